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
// A sub-graph keeps the row slots of its base: row n is col[beg[n]:end[n]] with beg[n] = Ptr[n] <= end[n] <= Ptr[n+1], ascending, and the
// rest of the slot is -1. So capacity and addresses never change, whatever is dropped. scale[n] = deg(n)^-1/2 on the sub-graph.
//
// What stays is decided by keyed hashes of (seed, epoch, view, layer, user, item): it depends neither on threads nor on the device
// nor on earlier draws, and an interaction stays in both directions or in none. Fill works in memory of its own, one call at a time.
type Views struct {
	base          *Bipartite
	method        Augmentation
	rho           float64
	draws         int // sub-graphs of one view: its layers for RandomWalk, else one that serves all layers
	stepsPerEpoch uint64
	ports         []engine.Port

	edge       []philox.Stream // [draws]
	user, item philox.Stream
	hash       [2][]uint64 // of edges or nodes, in view 1 and view 2
	selection  selection
	gone       [2][]bool // [N], in view 1 and view 2; NodeDropout only
}

var _ engine.Periodic = (*Views)(nil)

// A View is the ports of one sub-graph, as positions in Views.Ports.
type View struct {
	Beg, End int // int32 [N]
	Col      int // int32 [2 edges]
	Scale    int // float [N]
}

const portsPerView = 4

// NewViews draws two views of base by an augmentation with drop ratio rho, 0 <= rho < 1, for propagation over a number of layers. A new
// epoch begins every stepsPerEpoch steps.
func NewViews(base *Bipartite, method Augmentation, rho float64, layers int, seed uint64, stepsPerEpoch int) (*Views, error) {
	if err := new(Augmentation).UnmarshalText([]byte(method)); err != nil {
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
	v := &Views{
		base: base, method: method, rho: rho, draws: 1, stepsPerEpoch: uint64(stepsPerEpoch),
		user: philox.New(seed, "graph/views/user"),
		item: philox.New(seed, "graph/views/item"),
	}
	if method == RandomWalk {
		v.draws = layers
	}
	for layer := range v.draws {
		v.edge = append(v.edge, philox.New(seed, fmt.Sprintf("graph/views/edge/%d", layer)))
	}
	hashes := base.Edges()
	if method == NodeDropout {
		hashes = max(base.Users, base.Items)
	}
	v.selection = newSelection(hashes)
	for k := range v.hash {
		v.hash[k] = make([]uint64, hashes)
		if method == NodeDropout {
			v.gone[k] = make([]bool, base.Nodes())
		}
	}
	v.describe()
	return v, nil
}

// describe lists the ports: view1/beg .. view2/scale, and with RandomWalk view1/layer0/beg and so on.
func (v *Views) describe() {
	nodes, slots := v.base.Nodes(), len(v.base.Col)
	for view := 1; view <= len(v.hash); view++ {
		for layer := range v.draws {
			name := fmt.Sprintf("view%d/", view)
			if v.method == RandomWalk {
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
	epoch := v.Key(t)
	if v.method == NodeDropout {
		v.dropNodes(epoch, out)
		return nil
	}
	for layer := range v.draws {
		v.dropEdges(epoch, layer, out)
	}
	return nil
}

// dropEdges fills the sub-graphs of a layer in both views. One block of random words serves an edge in both.
func (v *Views) dropEdges(epoch uint64, layer int, out []engine.Slot) {
	g := v.base
	for u := range g.Users {
		for e := g.Ptr[u]; e < g.Ptr[u+1]; e++ {
			w := v.edge[layer].At(epoch, uint32(u), uint32(int(g.Col[e])-g.Users))
			v.hash[0][e], v.hash[1][e] = pack(w[0], w[1]), pack(w[2], w[3])
		}
	}
	keep := int(float64(g.Edges()) * (1 - v.rho))
	for k, hash := range v.hash {
		kept := v.selection.smallest(keep, hash)
		s := v.subgraph(k+1, layer, out)
		s.start(g)
		for u := range g.Users {
			for e := g.Ptr[u]; e < g.Ptr[u+1]; e++ {
				if kept.includes(hash[e], e) {
					s.connect(int32(u), g.Col[e])
				}
			}
		}
		s.finish(g)
	}
}

// dropNodes fills both views: an interaction stays where both its user and its item do.
func (v *Views) dropNodes(epoch uint64, out []engine.Slot) {
	g := v.base
	v.markGone(v.user, epoch, 0, g.Users)
	v.markGone(v.item, epoch, g.Users, g.Items)
	for k, gone := range v.gone {
		s := v.subgraph(k+1, 0, out)
		s.start(g)
		for u := range g.Users {
			if gone[u] {
				continue
			}
			for _, i := range g.Of(u) {
				if !gone[i] {
					s.connect(int32(u), i)
				}
			}
		}
		s.finish(g)
	}
}

// markGone draws int(rho n) of the nodes first .. first+n-1 in each view. One block of random words serves a node in both.
func (v *Views) markGone(stream philox.Stream, epoch uint64, first, n int) {
	for i := range n {
		w := stream.At(epoch, uint32(i), 0)
		v.hash[0][i], v.hash[1][i] = pack(w[0], w[1]), pack(w[2], w[3])
	}
	for k, gone := range v.gone {
		hash := v.hash[k][:n]
		drawn := v.selection.smallest(int(v.rho*float64(n)), hash)
		for i, h := range hash {
			gone[first+i] = drawn.includes(h, int32(i))
		}
	}
}

// pack makes one hash of two random words.
func pack(high, low uint32) uint64 { return uint64(high)<<32 | uint64(low) }

// subgraph is the memory of one view's layer, while it is filled.
type subgraph struct {
	beg, end, col []int32
	scale         engine.Slot
}

func (v *Views) subgraph(view, layer int, out []engine.Slot) subgraph {
	at := v.View(view, layer)
	return subgraph{out[at.Beg].I32, out[at.End].I32, out[at.Col].I32, out[at.Scale]}
}

// start empties every row.
func (s *subgraph) start(g *Bipartite) {
	copy(s.beg, g.Beg())
	copy(s.end, g.Beg())
}

// connect adds an interaction to both of its rows, whose ends are the cursors. Called in the order of users, and of items within a user, it
// leaves the rows of both ascending.
func (s *subgraph) connect(user, item int32) {
	s.col[s.end[user]] = item
	s.end[user]++
	s.col[s.end[item]] = user
	s.end[item]++
}

// finish fills what is left of the slots, and normalises.
func (s *subgraph) finish(g *Bipartite) {
	for n, end := range s.end {
		rest := s.col[end:g.Ptr[n+1]]
		for k := range rest {
			rest[k] = -1
		}
		s.scale.Set(n, scale(int(end-s.beg[n])))
	}
}
