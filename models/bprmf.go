package models

import (
	"nearfar/engine"
	"nearfar/engine/op"
	"nearfar/trainer/sample"
)

// BPRMFOptions are those of matrix factorisation.
type BPRMFOptions struct {
	_ struct{} `title:"BPR-MF (Rendle et al., UAI 2009)"`
	EmbeddingOptions
	BPROptions
}

// New makes the model.
func (o *BPRMFOptions) New(d Data) (Model, error) {
	n, err := newNodes(o.EmbeddingOptions, d)
	if err != nil {
		return nil, err
	}
	r, err := newRanking(o.BPROptions, n, d, 3, sample.Options{Nodes: true})
	return &bprmf{n, r}, err
}

// bprmf is matrix factorisation: the score is the inner product of two free embeddings.
type bprmf struct {
	nodes
	ranking
}

// Train is BPR and L2 on the batch's rows.
func (m *bprmf) Train(b *engine.Builder) engine.Objective {
	e := m.embedding(b)
	return m.bpr(b, e, e)
}

// Score is the inner product of the embeddings.
func (m *bprmf) Score(b *engine.Builder) (users, items *op.Node) { return m.split(m.embedding(b)) }
