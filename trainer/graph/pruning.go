package graph

import (
	"fmt"
	"math"

	"nearfar/engine"
	"nearfar/kernels"
	"nearfar/kernels/philox"
)

// Pruned feeds a sub-graph of int(edges (1-rho)) interactions, drawn anew each epoch without replacement, an interaction (u, i) with a weight of
// 1/sqrt(deg(u) deg(i)): those of popular nodes go first (FREEDOM, MM 2023, 3.3, degree-sensitive edge pruning). It is normalised by its own degrees.
//
// The draw is the k smallest of -ln(x)/weight, x uniform (Efraimidis and Spirakis, IPL 2006), x a keyed hash of (seed, epoch, user, item).
type Pruned struct {
	base          *Bipartite
	keep          int
	stepsPerEpoch uint64
	stream        philox.Stream
	edges         []edge
	*ranking
}

var _ engine.Periodic = (*Pruned)(nil)

// NewPruned leaves out a share rho of the interactions, 0 <= rho < 1; a new epoch begins every stepsPerEpoch steps.
func NewPruned(base *Bipartite, rho float64, seed uint64, stepsPerEpoch int) (*Pruned, error) {
	if !(rho >= 0 && rho < 1) || stepsPerEpoch < 1 {
		return nil, fmt.Errorf("graph: a share of %g is pruned in epochs of %d steps", rho, stepsPerEpoch)
	}
	return &Pruned{base, int(float64(base.Edges()) * (1 - rho)), uint64(stepsPerEpoch), philox.New(seed, "graph/pruned"),
		make([]edge, 0, base.Edges()), newRanking(base.Edges())}, nil
}

// Ports implements engine.Feed: View has their positions.
func (p *Pruned) Ports() []engine.Port {
	nodes := p.base.Nodes()
	return []engine.Port{
		{Name: "pruned/beg", Desc: kernels.Of(kernels.Int32, nodes)}, {Name: "pruned/end", Desc: kernels.Of(kernels.Int32, nodes)},
		{Name: "pruned/col", Desc: kernels.Of(kernels.Int32, len(p.base.Col))}, {Name: "pruned/scale", Desc: kernels.Of(kernels.Float32, nodes)}}
}

// View is the sub-graph's ports.
func (p *Pruned) View() View { return View{Beg: 0, End: 1, Col: 2, Scale: 3} }

// Key implements engine.Periodic: the epoch of step t.
func (p *Pruned) Key(t uint64) uint64 { return t / p.stepsPerEpoch }

// Fill implements engine.Feed.
func (p *Pruned) Fill(t uint64, out []engine.Slot) error {
	if len(out) != portsPerView {
		return fmt.Errorf("graph: %d slots for %d ports of a pruned graph", len(out), portsPerView)
	}
	all := p.base.edges(p.edges)
	hash := p.hash[:len(all)]
	for n, e := range all {
		w := p.stream.At(p.Key(t), uint32(e.user), uint32(int(e.item)-p.base.Users))
		x := (float64(pack(w[0], w[1])>>11) + .5) / (1 << 53) // in (0, 1)
		key := -math.Log(x) / (p.base.Scale[e.user] * p.base.Scale[e.item])
		// Any increasing function of the key keeps the order; this one spreads keys over the bins of selection.
		hash[n] = uint64(key / (key + p.typical()) * (1 << 63))
	}
	bound, kept := p.smallest(p.keep, hash), all[:0]
	for n, e := range all {
		if bound.includes(hash[n], int32(n)) {
			kept = append(kept, e)
		}
	}
	at := p.View()
	r := rows{out[at.Beg].I32, out[at.End].I32, out[at.Col].I32}
	r.set(kept, p.base.Beg())
	for n, end := range r.end {
		out[at.Scale].Set(n, scale(int(end-r.beg[n])))
	}
	return nil
}

// typical is a key of an edge between nodes of mean degree.
func (p *Pruned) typical() float64 { return float64(len(p.base.Col)) / float64(p.base.Nodes()) }
