package graph

import (
	"fmt"

	"nearfar/engine"
	"nearfar/kernels"
	"nearfar/kernels/philox"
)

// Views feeds the two random sub-graphs that a contrastive model compares, drawn anew each epoch. It is an engine.Periodic whose key is
// the epoch.
//
// Row n of a sub-graph is col[beg[n]:end[n]], ascending; what lies outside of all rows is -1; scale[n] = deg(n)^-1/2 on the sub-graph. No
// augmentation makes more edges than the base has (EdgeAdd replaces), so capacity and addresses never change. Where edges are only
// dropped, rows stand in the slots of the base, beg[n] = Ptr[n]. An added edge may make a row longer than its slot, and slots with room for
// the longest row would be as wide as the graph; so with EdgeAdd rows are packed anew each epoch and beg is that epoch's. Kernels ask for
// no more (kernels.SpMM).
//
// Everything is decided by keyed hashes of (seed, epoch, view, layer) and the element: it depends neither on threads nor on the device
// nor on earlier draws, and an interaction stays in both directions or in none. Fill works in memory of its own, one call at a time.
type Views struct {
	base          *Bipartite
	draws         int // sub-graphs of one view: its layers with RandomWalk, else one that serves all layers
	stepsPerEpoch uint64
	ports         []engine.Port

	steps []step  // an augmentation each, in their order
	edges []edge  // of the sub-graph under way
	slots []int32 // where rows begin; nil where they are packed
}

var _ engine.Periodic = (*Views)(nil)

// An edge is an interaction; the item is a node.
type edge struct{ user, item int32 }

// A step is one augmentation. It changes edges in place, which are by user and then by item before and after, and returns those of the
// view.
type step interface {
	apply(d drawn, edges []edge) []edge
}

// drawn names a sub-graph.
type drawn struct {
	epoch uint64
	view  int // from 0
	layer int
}

// A View is the ports of one sub-graph, as positions in Views.Ports.
type View struct {
	Beg, End int // int32 [N]
	Col      int // int32 [2 edges]
	Scale    int // float [N]
}

const (
	views        = 2
	portsPerView = 4
)

// NewViews draws two views of base by augmentations with ratio rho, 0 <= rho < 1, for propagation over a number of layers. A new epoch begins
// every stepsPerEpoch steps. AttributeMask changes no graph: alone it leaves the base.
func NewViews(base *Bipartite, augment Augmentations, rho float64, layers int, seed uint64, stepsPerEpoch int) (*Views, error) {
	if err := augment.Check(); err != nil {
		return nil, fmt.Errorf("graph: %w", err)
	}
	switch {
	case !(rho >= 0 && rho < 1):
		return nil, fmt.Errorf("graph: drop ratio %g is not in [0, 1)", rho)
	case layers < 1:
		return nil, fmt.Errorf("graph: %d layers have no view", layers)
	case stepsPerEpoch < 1:
		return nil, fmt.Errorf("graph: an epoch of %d steps", stepsPerEpoch)
	}
	v := &Views{base: base, draws: 1, stepsPerEpoch: uint64(stepsPerEpoch), edges: make([]edge, 0, base.Edges()), slots: base.Beg()}
	if augment.Has(RandomWalk) {
		v.draws = layers
	}
	r := newRanking(max(base.Edges(), base.Users, base.Items))
	for _, a := range augment.Structural() {
		switch a {
		case EdgeDropout:
			v.steps = append(v.steps, newEdgeDropout(base, rho, 1, seed, r))
		case RandomWalk:
			v.steps = append(v.steps, newEdgeDropout(base, rho, layers, seed, r))
		case NodeDropout:
			v.steps = append(v.steps, newNodeDropout(base, rho, seed, r))
		case EdgeAdd:
			s, err := newEdgeReplacement(base, rho, seed, r)
			if err != nil {
				return nil, fmt.Errorf("graph: %w", err)
			}
			v.steps, v.slots = append(v.steps, s), nil
		case Subgraph:
			v.steps = append(v.steps, newWalks(base, rho, seed))
		}
	}
	v.describe(augment.Has(RandomWalk))
	return v, nil
}

// describe lists the ports: view1/beg .. view2/scale, and where layers differ view1/layer0/beg and so on.
func (v *Views) describe(layered bool) {
	nodes, slots := v.base.Nodes(), len(v.base.Col)
	for view := 1; view <= views; view++ {
		for layer := range v.draws {
			name := fmt.Sprintf("view%d/", view)
			if layered {
				name += fmt.Sprintf("layer%d/", layer)
			}
			v.ports = append(v.ports,
				engine.Port{Name: name + "beg", Desc: kernels.Of(kernels.Int32, nodes)},
				engine.Port{Name: name + "end", Desc: kernels.Of(kernels.Int32, nodes)},
				engine.Port{Name: name + "col", Desc: kernels.Of(kernels.Int32, slots)},
				engine.Port{Name: name + "scale", Desc: kernels.Of(kernels.Float32, nodes)})
		}
	}
}

// Ports implements engine.Feed; View tells them apart.
func (v *Views) Ports() []engine.Port { return v.ports }

// View returns the ports that a layer, from 0, of view 1 or 2 propagates over. Only with RandomWalk do layers differ, so a model asks for
// each layer and need not know the augmentation.
func (v *Views) View(view, layer int) View {
	first := portsPerView * ((view-1)*v.draws + min(layer, v.draws-1))
	return View{Beg: first, End: first + 1, Col: first + 2, Scale: first + 3}
}

// Key implements engine.Periodic: the epoch of step t.
func (v *Views) Key(t uint64) uint64 { return t / v.stepsPerEpoch }

// Fill implements engine.Feed.
func (v *Views) Fill(t uint64, out []engine.Slot) error {
	if len(out) != len(v.ports) {
		return fmt.Errorf("graph: %d slots for %d ports of views", len(out), len(v.ports))
	}
	for view := range views {
		for layer := range v.draws {
			edges := v.base.edges(v.edges)
			for _, s := range v.steps {
				edges = s.apply(drawn{v.Key(t), view, layer}, edges)
			}
			p := v.View(view+1, layer)
			r := rows{out[p.Beg].I32, out[p.End].I32, out[p.Col].I32}
			r.set(edges, v.slots)
			for n, end := range r.end {
				out[p.Scale].Set(n, scale(int(end-r.beg[n])))
			}
		}
	}
	return nil
}

// edges writes the interactions to memory of that capacity.
func (g *Bipartite) edges(memory []edge) []edge {
	memory = memory[:0]
	for u := range g.Users {
		for _, i := range g.Of(u) {
			memory = append(memory, edge{int32(u), i})
		}
	}
	return memory
}

// rows is a graph as a view has it.
type rows struct{ beg, end, col []int32 }

func (r rows) of(node int32) []int32 { return r.col[r.beg[node]:r.end[node]] }

// set makes the rows of edges, that begin at slots or, without slots, where the one before ends. Taken in the order of users, and of items
// within a user, edges leave the rows of both ascending.
func (r rows) set(edges []edge, slots []int32) {
	if slots != nil {
		copy(r.beg, slots)
	} else {
		clear(r.end)
		for _, e := range edges {
			r.end[e.user]++
			r.end[e.item]++
		}
		next := int32(0)
		for n, degree := range r.end {
			r.beg[n] = next
			next += degree
		}
	}
	copy(r.end, r.beg) // ends are the cursors
	for _, e := range edges {
		r.col[r.end[e.user]] = e.item
		r.end[e.user]++
		r.col[r.end[e.item]] = e.user
		r.end[e.item]++
	}
	for n, end := range r.end {
		next := len(r.col)
		if n+1 < len(r.beg) {
			next = int(r.beg[n+1])
		}
		for k := int(end); k < next; k++ {
			r.col[k] = -1
		}
	}
}

// pack makes one hash of two random words.
func pack(high, low uint32) uint64 { return uint64(high)<<32 | uint64(low) }

// hashOf is the hash of a view in a block of random words, one block serving both.
func hashOf(stream philox.Stream, d drawn, row, column uint32) uint64 {
	w := stream.At(d.epoch, row, column)
	return pack(w[2*d.view], w[2*d.view+1])
}

// ranking is the memory for hashes, which all steps share.
type ranking struct {
	hash []uint64
	selection
}

func newRanking(n int) *ranking { return &ranking{make([]uint64, n), newSelection(n)} }
