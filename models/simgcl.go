package models

import (
	"fmt"

	"nearfar/engine"
	"nearfar/engine/op"
	"nearfar/kernels"
)

// SimGCLOptions are SimGCL's, as SELFRec has it: distinct users and items of the batch, apart, averaged.
type SimGCLOptions struct {
	_                  struct{} `title:"SimGCL (Yu et al., SIGIR 2022)"`
	PropagationOptions `defaults:"layers=3 readout=mean1" source:"SELFRec"`
	BPROptions         `defaults:"l2=final" source:"SELFRec"`
	ContrastOptions    `defaults:"lambda=0.5 tau=0.2 negatives=batch unique=true" source:"SELFRec, yelp2018"`
	Eps                float64 `flag:"eps" default:"0.1" min:"0" help:"length of the noise added to each node's embedding in each layer" source:"SELFRec, yelp2018"`
}

// New makes the model.
func (o *SimGCLOptions) New(d Data) (Model, error) {
	r, err := newRanked(o.PropagationOptions, o.BPROptions, d, o.Unique, 2)
	return &simgcl{noisy{r, o.Eps, draw}, o}, err
}

// noisy propagates with noise.
type noisy struct {
	ranked
	eps   float64
	noise func(b *engine.Builder, view, layer, nodes, dim int) *op.Node // U[0, 1) [N, d]
}

func draw(b *engine.Builder, view, layer, nodes, dim int) *op.Node {
	return b.Random(fmt.Sprintf("noise/view%d/layer%d", view, layer+1), kernels.Uniform, 0, nodes, dim)
}

// perturbed gives the layers of a noisy pass: E_{l+1} = Â E_l, then E += eps · sign(E) · u/|u|, u ~ U[0,1)^d, carried into the next
// layer (eq. 4: the noise has length eps and stays in the embedding's orthant).
func (m *noisy) perturbed(b *engine.Builder, view int) []*op.Node {
	a := m.clean(b)
	return m.layersOf(m.embedding(b), func(int) *op.Sparse { return a }, func(layer int, x *op.Node) *op.Node {
		u := op.NormaliseRows(m.noise(b, view, layer, m.count(), m.Dim))
		return op.Add(x, op.Scale(op.Mul(op.Sign(x), u), m.eps))
	})
}

// simgcl needs no sub-graphs: noise in the embeddings makes the two views.
type simgcl struct {
	noisy
	o *SimGCLOptions
}

// Train is eq. 2 with the views of eq. 4: BPR on the clean pass, contrast between two noisy ones, L2 on the final rows of users and
// positive items.
func (m *simgcl) Train(b *engine.Builder) engine.Objective {
	o := m.bpr(b, m.final(b), m.embedding(b))
	x, y := m.read(m.perturbed(b, 1)), m.read(m.perturbed(b, 2))
	return append(o, engine.Term{Name: "ssl", Weight: m.o.Lambda, Value: m.contrast(b, x, y, m.o.ContrastOptions)})
}
