package models

import (
	"nearfar/engine"
	"nearfar/engine/op"
	"nearfar/trainer/sample"
)

// VBPROptions are VBPR's.
type VBPROptions struct {
	_ struct{} `title:"VBPR (He and McAuley, AAAI 2016)" defaults:"eval-every=1 patience=20 warmup=0" source:"MMRec"`
	EmbeddingOptions
	BPROptions
}

// Features implements Featured.
func (*VBPROptions) Features() {}

// New makes the model.
func (o *VBPROptions) New(d Data) (Model, error) {
	n, err := newNodes(o.EmbeddingOptions, d)
	if err != nil {
		return nil, err
	}
	f, err := newModalities(FeatureOptions{Freeze: true}, d, o.Dim)
	if err != nil {
		return nil, err
	}
	r, err := newRanking(o.BPROptions, n, d, 3, sample.Options{})
	return &vbpr{n, r, f}, err
}

// vbpr is matrix factorisation in which a half of an item's vector is learned freely and the other is a projection of its features, of all modalities
// side by side:
//
//	score(u, i) = <user_u, (item_i, W f_i + b)>,   user_u [2d]
//
// (eq. 4 without the biases of items, as MMRec has it). The features are fixed.
type vbpr struct {
	nodes
	ranking
	modalities modalities
}

func (m *vbpr) tables(b *engine.Builder) (users, items *op.Node) {
	return b.Param("embedding/users", m.start(), m.users, 2*m.Dim), b.Param("embedding/items", m.start(), m.items, m.Dim)
}

// start is the initial value of a table.
func (m *vbpr) start() engine.Init {
	if m.Init == "xavier" {
		return engine.XavierUniform
	}
	return engine.Gaussian(m.InitStd)
}

// vectors are those of items: rows of the free table, and the projections of the same rows' features, by what gives rows of a table. The product with
// all features side by side is a sum of one for each modality: they are not copied.
func (m *vbpr) vectors(b *engine.Builder, free *op.Node, rows func(table *op.Node) *op.Node) *op.Node {
	in := 0
	for _, f := range m.modalities.of {
		in += f.Dim
	}
	w, bias := linearParams(b, spanning, linearOfVBPR, in, m.Dim)
	projected := bias
	from := 0
	for k, f := range m.modalities.of {
		part := op.MatMul(rows(m.modalities.raw(b, k)), op.Slice(w, 0, from, from+f.Dim), false, false)
		projected = op.Add(part, projected)
		from += f.Dim
	}
	return op.Concat(1, rows(free), projected)
}

// Train is BPR and L2 on the batch's rows.
func (m *vbpr) Train(b *engine.Builder) engine.Objective {
	users, items := m.tables(b)
	t := m.batch(b)
	of := func(at op.Index) *op.Node {
		return m.vectors(b, items, func(table *op.Node) *op.Node { return op.Gather(table, at) })
	}
	rows := [3]*op.Node{op.Gather(users, t.User), of(t.Pos), of(t.Neg)}
	return m.compare(b, t, rows, rows)
}

// Score is the inner product of the vectors.
func (m *vbpr) Score(b *engine.Builder) (users, items *op.Node) {
	users, items = m.tables(b)
	return users, m.vectors(b, items, func(table *op.Node) *op.Node { return table })
}

// Describe says what the features take.
func (m *vbpr) Describe() (string, error) { return m.modalities.String(), nil }

// linearOfVBPR is what MMRec's VBPR begins with.
func linearOfVBPR(int) (weight, bias engine.Init) { return engine.XavierNormal, engine.Zeros }
