package graph

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"nearfar/kernels/philox"
	"nearfar/trainer/dataset"
)

// graphOf builds the graph of pairs.
func graphOf(t testing.TB, users, items int, pairs []dataset.Pair) *Bipartite {
	t.Helper()
	x, _, err := dataset.FromPairs(users, items, pairs)
	if err != nil {
		t.Fatal(err)
	}
	g, err := New(x)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// random draws a graph of at most the given number of interactions, repetitions being merged.
func random(t testing.TB, users, items, edges int) *Bipartite {
	t.Helper()
	draw := philox.New(1, "graph_test").Sequence(0, 0)
	pairs := make([]dataset.Pair, edges)
	for k := range pairs {
		pairs[k] = dataset.Pair{User: int32(draw.Below(users)), Item: int32(draw.Below(items))}
	}
	return graphOf(t, users, items, pairs)
}

func TestNew(t *testing.T) {
	// users 0..2, items 3..6; user 1 and item 5 have no neighbours, and one pair is there twice
	g := graphOf(t, 3, 4, []dataset.Pair{{User: 2, Item: 3}, {User: 0, Item: 1}, {User: 0, Item: 0}, {User: 2, Item: 1}, {User: 0, Item: 1}})
	half := 1 / math.Sqrt(2)
	got := fmt.Sprint(g.Users, g.Items, g.Nodes(), g.Edges(), g.Ptr, g.Col, g.Scale)
	want := fmt.Sprint(3, 4, 7, 4, []int32{0, 2, 2, 4, 5, 7, 7, 8}, []int32{3, 4, 4, 6, 0, 0, 2, 2}, []float64{half, 0, half, 1, half, 0, 1})
	if got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// TestNewAgainstDense compares with the dense matrix, which knows nothing of rows or sorting.
func TestNewAgainstDense(t *testing.T) {
	d, err := dataset.Load(t.Context(), dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	g, err := New(d.Train)
	if err != nil {
		t.Fatal(err)
	}
	nodes := g.Nodes()
	dense := make([]bool, nodes*nodes)
	for u := range g.Users {
		for _, i := range d.Train.Of(u) {
			item := g.Users + int(i)
			dense[u*nodes+item], dense[item*nodes+u] = true, true
		}
	}
	var col []int32
	for n := range nodes {
		begin := len(col)
		for m := range nodes {
			if dense[n*nodes+m] {
				col = append(col, int32(m))
			}
		}
		if int(g.Ptr[n+1]) != len(col) {
			t.Fatalf("row %d ends at %d, want %d", n, g.Ptr[n+1], len(col))
		}
		if degree := len(col) - begin; degree > 0 && g.Scale[n] != 1/math.Sqrt(float64(degree)) {
			t.Fatalf("node %d of degree %d has scale %g", n, degree, g.Scale[n])
		}
	}
	if !slices.Equal(g.Col, col) || g.Edges() != 31887 {
		t.Error("the columns are not those of the dense matrix")
	}
}

func TestNewWithoutEdges(t *testing.T) {
	g := graphOf(t, 2, 3, nil)
	if g.Edges() != 0 || len(g.Ptr) != 6 || slices.Max(g.Scale) != 0 {
		t.Errorf("%+v", g)
	}
	for _, method := range methods {
		fill(t, newViews(t, g, method, .5, 1, 0, 1), 0)
	}
	x, _, err := dataset.FromPairs(0, 3, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = New(x); err == nil {
		t.Error("a graph without users: no error")
	}
}

// TestNewRepeated: the library merges a repeated column, but not the first one of a row, and leaves rows unsorted; the graph is binary and
// sorted even where the interactions were not.
func TestNewRepeated(t *testing.T) {
	g, err := New(&dataset.Interactions{Ptr: []int64{0, 2, 5}, Item: []int32{1, 1, 1, 0, 1}, Items: 2})
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(g.Edges(), g.Ptr, g.Col)
	if want := fmt.Sprint(3, []int32{0, 1, 3, 4, 6}, []int32{3, 2, 3, 1, 0, 1}); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
