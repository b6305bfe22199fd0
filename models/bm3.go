package models

import (
	"nearfar/engine"
	"nearfar/engine/op"
	"nearfar/kernels"
	"nearfar/models/loss"
	"nearfar/trainer/sample"
)

// BM3Options are BM3's.
type BM3Options struct {
	_                  struct{} `title:"BM3 (Zhou et al., WWW 2023)" defaults:"eval-every=1 patience=20 warmup=0" source:"MMRec"`
	PropagationOptions `defaults:"layers=1" source:"MMRec, Baby"`
	FeatureOptions
	Reg     float64   `flag:"reg" default:"0.1" min:"0" help:"weight of (|users|_F + |items|_F) / items, the norms of the whole propagated tables" source:"MMRec, Baby; Sports: 0.01"`
	Dropout float64   `flag:"dropout" default:"0.5" min:"0" below:"1" help:"share of a target that is dropped" source:"MMRec, Baby; Electronics: 0.3"`
	CL      float64   `flag:"cl" default:"2" min:"0" help:"weight of alignment and masking" source:"MMRec"`
	Without BM3Loss   `flag:"without" default:"none" choices:"none,reconstruction,alignment,masking" help:"a loss that is left out, to see what it does"`
	AlignTo AlignSide `flag:"align-to" default:"items" choices:"items,users" help:"what an item's modalities are aligned with: the item's target or its user's" source:"BM3 eq. 8: items"`
}

// BM3Loss names one of BM3's losses.
type BM3Loss string

const (
	Reconstruction BM3Loss = "reconstruction" // of the interaction graph: a user's item and an item's user
	Alignment      BM3Loss = "alignment"      // between modalities
	Masking        BM3Loss = "masking"        // inside a modality
)

// AlignSide is the target of BM3's alignment.
type AlignSide string

const (
	AlignItems AlignSide = "items"
	AlignUsers AlignSide = "users"
)

// New makes the model.
func (o *BM3Options) New(d Data) (Model, error) {
	p, err := newPropagation(o.PropagationOptions, d)
	if err != nil {
		return nil, err
	}
	f, err := newModalities(o.FeatureOptions, d, o.Dim)
	if err != nil {
		return nil, err
	}
	pairs, err := sample.NewPairwise(d.Train, p.Batch, d.Seed, sample.Options{Scheme: o.Sampling, PairsOnly: true})
	return &bm3{propagation: p, modalities: f, o: o, pairs: pairs, kept: bernoulli}, err
}

// bm3 bootstraps: a predictor sees one representation of a user or item and has to find another one, of which a part is dropped and to which no
// gradient flows. There are no negatives, and no second network.
type bm3 struct {
	propagation
	modalities modalities
	o          *BM3Options
	pairs      triplesFeed
	kept       func(b *engine.Builder, what string, p float64, rows, dim int) *op.Node // 1 with probability 1-p, else 0, [rows, dim]
}

func bernoulli(b *engine.Builder, what string, p float64, rows, dim int) *op.Node {
	return b.Random("dropout/"+what, kernels.Bernoulli, 1-p, rows, dim)
}

// StepsPerEpoch implements Model.
func (m *bm3) StepsPerEpoch() int { return m.pairs.StepsPerEpoch() }

// tables are the propagated users G_u [U, d] and items G_i + E_i [I, d] (the residual of the reference is of items only).
func (m *bm3) tables(b *engine.Builder) (users, items *op.Node) {
	users, items = m.split(m.final(b))
	_, ego := m.split(m.embedding(b))
	return users, op.Add(items, ego)
}

// predict is the one predictor of all representations, x·P + b.
func (m *bm3) predict(b *engine.Builder, x *op.Node) *op.Node {
	return linear(b, "predictor", linearOfBM3, x, m.Dim)
}

// target is drop(x) of rows x [B, d], which are rows `at` of a table of n, with the rest scaled up and without gradient. A row that stands twice in
// a batch is dropped alike, as where the whole table is.
func (m *bm3) target(b *engine.Builder, what string, x *op.Node, at op.Index, n int) *op.Node {
	if p := m.o.Dropout; p > 0 {
		x = op.Mul(x, op.Scale(op.Gather(m.kept(b, what, p, n, m.Dim), at), 1/(1-p)))
	}
	return op.Detach(x)
}

// Train is eq. 12: with pairs (a, b) of a user and an item, one predictor P, targets ~, and D(x, y) the batch's mean of 1 - cos(x, y),
//
//	reconstruction  D(P u_a, i~_b) + D(P i_b, u~_a)                            eq. 6
//	alignment       Σ_modalities D(P t_b, i~_b)                                eq. 8
//	masking         Σ_modalities D(P t_b, t~_b)                                eq. 9
//	l2              (|users|_F + |items|_F) / items, of whole tables           (the reference: not squared)
func (m *bm3) Train(b *engine.Builder) engine.Objective {
	users, items := m.tables(b)
	user, item, w := b.Index(m.pairs, "user"), b.Index(m.pairs, "pos"), b.Port(m.pairs, "weight")
	u, i := op.Gather(users, user), op.Gather(items, item)
	targetUser, targetItem := m.target(b, "users", u, user, m.users), m.target(b, "items", i, item, m.items)

	var o engine.Objective
	if m.o.Without != Reconstruction {
		o = append(o, engine.Term{Name: "reconstruction", Weight: 1, Value: op.Add(
			loss.CosineDistance(m.predict(b, u), targetItem, w), loss.CosineDistance(m.predict(b, i), targetUser, w))})
	}
	aligned := targetItem
	if m.o.AlignTo == AlignUsers {
		aligned = targetUser
	}
	var alignment, masking []*op.Node
	for k, f := range m.modalities.of {
		t := m.modalities.project(b, k, linearOfBM3, op.Gather(m.modalities.raw(b, k), item))
		p := m.predict(b, t)
		alignment = append(alignment, loss.CosineDistance(p, aligned, w))
		if m.o.Without != Masking {
			masking = append(masking, loss.CosineDistance(p, m.target(b, features+f.Name, t, item, m.items), w))
		}
	}
	if m.o.Without != Alignment {
		o = append(o, engine.Term{Name: "alignment", Weight: m.o.CL, Value: op.SumOf(alignment[0], alignment[1:]...)})
	}
	if m.o.Without != Masking {
		o = append(o, engine.Term{Name: "masking", Weight: m.o.CL, Value: op.SumOf(masking[0], masking[1:]...)})
	}
	if m.o.Reg > 0 {
		norms := op.Add(op.Sqrt(op.SumSquares(users)), op.Sqrt(op.SumSquares(items)))
		o = append(o, engine.Term{Name: "l2", Weight: m.o.Reg, Value: op.Scale(norms, 1/float64(m.items))})
	}
	return o
}

// Score is the inner product of what the predictor makes of both.
func (m *bm3) Score(b *engine.Builder) (users, items *op.Node) {
	users, items = m.tables(b)
	return m.predict(b, users), m.predict(b, items)
}

// Describe says what the features take.
func (m *bm3) Describe() (string, error) { return m.modalities.String(), nil }

// linearOfBM3 is what MMRec's BM3 begins with.
func linearOfBM3(in int) (weight, bias engine.Init) { return engine.XavierNormal, fanIn(in) }
