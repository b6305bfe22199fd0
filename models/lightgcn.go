package models

import (
	"nearfar/engine"
	"nearfar/engine/op"
	"nearfar/trainer/graph"
	"nearfar/trainer/sample"
)

// Readout says how the layers E0..EL become one embedding.
type Readout string

const (
	MeanFrom0 Readout = "mean0" // mean(E0..EL) (LightGCN, SGL)
	MeanFrom1 Readout = "mean1" // mean(E1..EL): layer 0 left out (SimGCL, XSimGCL)
	SumFrom0  Readout = "sum0"  // sum(E0..EL) (SSLRec)
)

// PropagationOptions are those of every model that propagates.
type PropagationOptions struct {
	_ struct{} `title:"Propagation over the user-item graph"`
	EmbeddingOptions
	Layers     int     `flag:"layers" default:"3" min:"1" max:"16" help:"propagation layers" source:"LightGCN 4.1.2"`
	Readout    Readout `flag:"readout" default:"mean0" choices:"mean0,mean1,sum0" help:"layers in the final embedding: mean(E0..), mean(E1..), sum(E0..)" source:"LightGCN eq. 4; mean1: SimGCL; sum0: SSLRec"`
	Attributes bool    `flag:"attributes" default:"false" help:"add the embeddings of a user's or item's attributes to its own, where the data has them" source:"LightFM 3"`
}

// LightGCNOptions are LightGCN's.
type LightGCNOptions struct {
	_ struct{} `title:"LightGCN (He et al., SIGIR 2020)"`
	PropagationOptions
	BPROptions
}

// New makes the model.
func (o *LightGCNOptions) New(d Data) (Model, error) {
	r, err := newRanked(o.PropagationOptions, o.BPROptions, d, false, 3)
	return &lightgcn{r}, err
}

// propagation is a table of nodes and the graph over which it is propagated.
type propagation struct {
	nodes
	layers  int
	readout Readout
	graph   *graph.Bipartite

	attributes *attributed // nil without
}

func newPropagation(o PropagationOptions, d Data) (p propagation, err error) {
	p.layers, p.readout = o.Layers, o.Readout
	if p.nodes, err = newNodes(o.EmbeddingOptions, d); err != nil {
		return p, err
	}
	if o.Attributes {
		if p.attributes, err = newAttributed(d); err != nil {
			return p, err
		}
	}
	p.graph, err = newGraph(d)
	return p, err
}

// ranked is a propagation that is trained by BPR.
type ranked struct {
	propagation
	ranking
}

func newRanked(o PropagationOptions, of BPROptions, d Data, distinct bool, penalised int) (r ranked, err error) {
	if r.propagation, err = newPropagation(o, d); err != nil {
		return r, err
	}
	r.ranking, err = newRanking(of, r.nodes, d, penalised, sample.Options{Nodes: true, Distinct: distinct})
	return r, err
}

// clean is Â of all training interactions.
func (p *propagation) clean(b *engine.Builder) *op.Sparse {
	s := b.Const("graph/scale", p.graph.Scale, p.graph.Nodes())
	return (&op.Sparse{Beg: b.Indices("graph/beg", p.graph.Beg()), End: b.Indices("graph/end", p.graph.End()), Col: b.Indices("graph/col", p.graph.Col),
		RowScale: s, ColScale: s}).Symmetric()
}

// layersOf propagates e [N, d]: E_{l+1} = change_l(Â_l E_l). adjacency gives the matrix of each layer (from 0); change may be nil.
func (p *propagation) layersOf(e *op.Node, adjacency func(layer int) *op.Sparse, change func(layer int, x *op.Node) *op.Node) []*op.Node {
	layers := []*op.Node{e}
	for l := range p.layers {
		x := op.SpMM(adjacency(l), layers[l])
		if change != nil {
			x = change(l, x)
		}
		layers = append(layers, x)
	}
	return layers
}

// read is the readout of layers E0..EL.
func (p *propagation) read(layers []*op.Node) *op.Node {
	switch p.readout {
	case MeanFrom1:
		return op.MeanOf(layers[1], layers[2:]...)
	case SumFrom0:
		return op.SumOf(layers[0], layers[1:]...)
	}
	return op.MeanOf(layers[0], layers[1:]...)
}

// final is the clean pass.
func (p *propagation) final(b *engine.Builder) *op.Node {
	a := p.clean(b)
	return p.read(p.layersOf(p.embedding(b), func(int) *op.Sparse { return a }, nil))
}

// Score is the inner product of the clean pass's embeddings, not normalised.
func (p *propagation) Score(b *engine.Builder) (users, items *op.Node) { return p.split(p.final(b)) }

// lightgcn propagates without weights or nonlinearity: E^{l+1} = Â E^l (eq. 3), final = readout (eq. 4).
type lightgcn struct{ ranked }

// Train is eq. 15: BPR on the final embeddings, L2 on the ego rows.
func (m *lightgcn) Train(b *engine.Builder) engine.Objective {
	return m.bpr(b, m.final(b), m.embedding(b))
}
