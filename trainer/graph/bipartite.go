// Package graph builds the user-item graph that propagation runs on, and the random sub-graphs ("views") that contrastive models
// compare.
package graph

import (
	"fmt"
	"math"
	"slices"

	"github.com/james-bowman/sparse"

	"nearfar/trainer/dataset"
)

// Bipartite is the symmetric adjacency A = [[0, R], [R^T, 0]] by rows over N = Users + Items nodes: user u is node u, item i is node
// Users + i. Row n has the neighbours Col[Ptr[n]:Ptr[n+1]], ascending, each once. Normalised,
//
//	Â[n][m] = Scale[n] Scale[m] A[n][m],  Scale[n] = deg(n)^-1/2, and 0 for a node without neighbours
//
// (Kipf and Welling, ICLR 2017, without self loops; LightGCN, SIGIR 2020, eq. 8). Interaction e, in the order of users and then of items,
// is element e of Col, since the rows of users come first.
type Bipartite struct {
	Users, Items int
	Ptr          []int32   // [N+1]
	Col          []int32   // [2 interactions]
	Scale        []float64 // [N]
}

// New builds the graph of the training interactions. It is an error where the graph is without nodes or outgrows int32 offsets.
//
// R and its transpose are compressed by james-bowman/sparse. It promises no order inside a row, so rows are sorted, and it adds up
// repetitions, except those of a row's first column, so they are merged here and the values ignored: the graph is binary.
func New(x *dataset.Interactions) (*Bipartite, error) {
	users, items, edges := x.Users(), x.Items, x.Len()
	if users == 0 || items == 0 {
		return nil, fmt.Errorf("graph: %d users and %d items make no graph", users, items)
	}
	if users+items > math.MaxInt32 || edges > math.MaxInt32/2 {
		return nil, fmt.Errorf("graph: %d nodes and %d interactions are more than 32-bit offsets can hold (%d and %d)",
			users+items, edges, math.MaxInt32, math.MaxInt32/2)
	}

	rows, cols, ones := make([]int, 0, edges), make([]int, 0, edges), make([]float64, edges)
	for u := range users {
		for _, i := range x.Of(u) {
			rows, cols = append(rows, u), append(cols, int(i))
		}
	}
	for e := range ones {
		ones[e] = 1
	}
	r := sparse.NewCOO(users, items, rows, cols, ones)

	g := &Bipartite{Users: users, Items: items, Ptr: make([]int32, 1, users+items+1), Col: make([]int32, 0, 2*edges)}
	byUser := r.ToCSR().RawMatrix()
	g.appendRows(byUser.Indptr, byUser.Ind, users) // an item's node comes after all users
	byItem := r.ToCSC().RawMatrix()
	g.appendRows(byItem.Indptr, byItem.Ind, 0)

	g.Scale = make([]float64, g.Nodes())
	for n := range g.Scale {
		g.Scale[n] = scale(g.Degree(n))
	}
	return g, nil
}

// appendRows appends compressed rows whose columns start at node first.
func (g *Bipartite) appendRows(ptr, col []int, first int) {
	for n := range len(ptr) - 1 {
		begin := len(g.Col)
		for _, c := range col[ptr[n]:ptr[n+1]] {
			g.Col = append(g.Col, int32(first+c))
		}
		slices.Sort(g.Col[begin:])
		g.Col = g.Col[:begin+len(slices.Compact(g.Col[begin:]))]
		g.Ptr = append(g.Ptr, int32(len(g.Col)))
	}
}

// scale is degree^-1/2, and 0 for degree 0.
func scale(degree int) float64 {
	if degree == 0 {
		return 0
	}
	return 1 / math.Sqrt(float64(degree))
}

// Nodes is N = Users + Items.
func (g *Bipartite) Nodes() int { return g.Users + g.Items }

// Edges is the number of interactions, each of which is two elements of Col.
func (g *Bipartite) Edges() int { return len(g.Col) / 2 }

// Degree is the number of neighbours of a node.
func (g *Bipartite) Degree(node int) int { return int(g.Ptr[node+1] - g.Ptr[node]) }

// Of returns the neighbours of a node, ascending. The slice is the graph's own memory: read it only.
func (g *Bipartite) Of(node int) []int32 { return g.Col[g.Ptr[node]:g.Ptr[node+1]] }

// Beg and End [N] bound the rows in the form that a view has: row n is Col[Beg[n]:End[n]].
func (g *Bipartite) Beg() []int32 { return g.Ptr[:g.Nodes()] }
func (g *Bipartite) End() []int32 { return g.Ptr[1:] }
