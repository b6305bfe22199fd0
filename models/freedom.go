package models

import (
	"context"
	"fmt"

	"nearfar/engine"
	"nearfar/engine/op"
	"nearfar/trainer/graph"
	"nearfar/trainer/memory"
	"nearfar/trainer/sample"
)

// FREEDOMOptions are FREEDOM's.
type FREEDOMOptions struct {
	_                  struct{} `title:"FREEDOM (Zhou and Shen, MM 2023)" defaults:"eval-every=1 patience=20 warmup=0" source:"MMRec"`
	PropagationOptions `defaults:"layers=2" source:"MMRec"`
	BPROptions         `defaults:"reg=0" source:"MMRec: no L2"`
	FeatureOptions
	Neighbours int             `flag:"neighbours" default:"10" min:"1" help:"each item and its nearest others in each modality, so many together (k)" source:"MMRec"`
	ItemLayers int             `flag:"item-layers" default:"1" min:"0" max:"16" help:"propagation layers over the graph of items" source:"MMRec"`
	Mix        ModalityWeights `flag:"modality-weights" help:"weight of each modality in the graph of items, such as image=0.1,text=0.9, which image and text have without it; others are then alike. A grid has each in brackets: [image=0.1,text=0.9]" source:"MMRec"`
	Prune      float64         `flag:"prune" default:"0.8" min:"0" below:"1" help:"share of the interactions that are left out of the graph, others in each epoch" source:"MMRec"`
	Side       float64         `flag:"side" default:"0.001" min:"0" help:"weight of BPR between users and the items' projected features" source:"MMRec: reg_weight, Baby"`
}

// New makes the model.
func (o *FREEDOMOptions) New(d Data) (Model, error) {
	p, err := newPropagation(o.PropagationOptions, d)
	if err != nil {
		return nil, err
	}
	features := o.FeatureOptions
	features.Freeze = o.Freeze || o.Side == 0 // no loss reads them: they make the graph alone
	f, err := newModalities(features, d, o.Dim)
	if err != nil {
		return nil, err
	}
	r, err := newRanking(o.BPROptions, p.nodes, d, 3, sample.Options{})
	if err != nil {
		return nil, err
	}
	pruned, err := graph.NewPruned(p.graph, o.Prune, d.Seed, r.StepsPerEpoch())
	if err != nil {
		return nil, err
	}
	weights, err := o.Mix.of(f.of)
	return &freedom{ranked: ranked{p, r}, modalities: f, o: o, pruned: pruned, weights: weights, seed: d.Seed}, err
}

// freedom freezes the graph of items, which are neighbours by their features, and denoises that of interactions, of which it trains on a part anew each
// epoch.
type freedom struct {
	ranked
	modalities modalities
	o          *FREEDOMOptions
	pruned     prunedFeed
	weights    []float64 // of the modalities
	seed       uint64
	neighbours *graph.Neighbours // Prepare
}

// prunedFeed draws a sub-graph: graph.Pruned, or a fixed one in tests.
type prunedFeed interface {
	engine.Feed
	View() graph.View
}

// Prepare finds the items' neighbours.
func (m *freedom) Prepare(ctx context.Context, how Fitting) (err error) {
	need := int64(0) // rows of length 1, and those as the search reads them
	for _, f := range m.modalities.of {
		need = max(need, 2*4*int64(len(f.Value)))
	}
	if available, lacks := memory.Lacks(need); lacks {
		return fmt.Errorf("the system has %.3g GiB available, and the search for neighbours among %d items takes %.3g GiB: -modalities names fewer",
			float64(available)/memory.GiB, m.items, float64(need)/memory.GiB)
	}
	q := graph.NeighbourSearch{K: m.o.Neighbours, Seed: m.seed, Kernels: how.Kernels, Threads: how.Threads, Step: how.Step}
	m.neighbours, err = q.Find(ctx, m.items, m.modalities.of, m.weights)
	return err
}

// similar is the graph of items.
func (m *freedom) similar(b *engine.Builder) *op.Sparse {
	s := m.neighbours
	sparse := func(name string, ptr, col []int32, weight []float64) *op.Sparse {
		return &op.Sparse{Beg: b.Indices(name+"/beg", ptr[:m.items]), End: b.Indices(name+"/end", ptr[1:]), Col: b.Indices(name+"/col", col),
			Val: b.Const(name+"/weight", weight, len(weight))}
	}
	a := sparse("neighbours", s.Ptr, s.Col, s.Weight)
	a.Transposed = sparse("neighbours/transposed", s.TransposedPtr, s.TransposedCol, s.TransposedWeight)
	return a
}

// tables are users and items over the graph `interactions`: what is propagated, and for items their neighbours' embeddings on top (eq. 11, 12).
func (m *freedom) tables(b *engine.Builder, interactions *op.Sparse) (users, items *op.Node) {
	e := m.embedding(b)
	users, items = m.split(m.read(m.layersOf(e, func(int) *op.Sparse { return interactions }, nil)))
	_, h := m.split(e)
	for range m.o.ItemLayers {
		h = op.SpMM(m.similar(b), h)
	}
	return users, op.Add(items, h)
}

// Train is eq. 14: BPR on the pruned graph, and BPR of the same users with the features of the same items, projected.
func (m *freedom) Train(b *engine.Builder) engine.Objective {
	ports, at := b.Feed(m.pruned), m.pruned.View()
	users, items := m.tables(b, (&op.Sparse{Beg: ports[at.Beg], End: ports[at.End], Col: ports[at.Col], RowScale: ports[at.Scale], ColScale: ports[at.Scale]}).Symmetric())
	t := m.batch(b)
	rows := [3]*op.Node{op.Gather(users, t.User), op.Gather(items, t.Pos), op.Gather(items, t.Neg)}
	penalised := rows
	if m.L2 == Ego {
		eu, ei := m.split(m.embedding(b))
		penalised = [3]*op.Node{op.Gather(eu, t.User), op.Gather(ei, t.Pos), op.Gather(ei, t.Neg)}
	}
	o := m.compare(b, t, rows, penalised)
	if m.o.Side == 0 {
		return o
	}
	hardest := m.hardest(b, rows) // the items that the model ranks highest are compared in every modality
	var side []*op.Node
	for k := range m.modalities.of {
		raw := m.modalities.raw(b, k)
		of := func(at op.Index) *op.Node { return m.modalities.project(b, k, linearOfFREEDOM, op.Gather(raw, at)) }
		side = append(side, m.prefer(t, [3]*op.Node{rows[0], of(t.Pos), of(t.Neg)}, hardest))
	}
	return append(o, engine.Term{Name: "side", Weight: m.o.Side, Value: op.SumOf(side[0], side[1:]...)})
}

// Score is the inner product over the graph of all interactions.
func (m *freedom) Score(b *engine.Builder) (users, items *op.Node) { return m.tables(b, m.clean(b)) }

// Describe says what the features take.
func (m *freedom) Describe() (string, error) { return m.modalities.String(), nil }

// linearOfFREEDOM is what MMRec's FREEDOM begins with: torch.nn.Linear's.
func linearOfFREEDOM(in int) (weight, bias engine.Init) { return fanIn(in), fanIn(in) }
