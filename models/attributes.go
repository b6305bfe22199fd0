package models

import (
	"fmt"
	"math"

	"nearfar/engine"
	"nearfar/engine/op"
	"nearfar/kernels"
	"nearfar/kernels/philox"
	"nearfar/trainer/graph"
)

// attributed are the attributes of users and items, with an embedding for each value.
type attributed struct{ bags *graph.Bags }

func newAttributed(d Data) (*attributed, error) {
	if d.UserFields == nil && d.ItemFields == nil {
		return nil, fmt.Errorf("-attributes: the data has no attributes of users or items; leave it out, or name data that has")
	}
	bags, err := graph.NewBags(d.Train.Users(), d.Train.Items, d.UserFields, d.ItemFields)
	return &attributed{bags}, err
}

// values is the table [values, d]. A value is drawn as the embeddings of its side are, to which it is added: by the shape of the few values
// alone, xavier_uniform would give them ten times the length.
func (n *nodes) values(b *engine.Builder, a *attributed) *op.Node {
	init := engine.Gaussian(n.InitStd)
	if n.Init == "xavier" {
		init = func(s philox.Stream, d kernels.Desc, out []float64) {
			draw := func(s philox.Stream, rows, values int, out []float64) {
				if values > 0 {
					engine.UniformIn(math.Sqrt(6/float64(rows+n.Dim)))(s, kernels.Of(d.Type, values, n.Dim), out)
				}
			}
			cut := a.bags.UserValues * n.Dim
			draw(s, n.users, a.bags.UserValues, out[:cut])
			draw(philox.New(b.Store.Seed, "init/attributes/items"), n.items, a.bags.ItemValues, out[cut:])
		}
	}
	return b.Param(attributes, init, a.bags.Values(), n.Dim)
}

// all are the bags of all nodes.
func (a *attributed) all(b *engine.Builder) *op.Sparse {
	return a.sparse(b, b.Indices("attributes/end", a.bags.Ptr[1:]), b.Indices("attributes/col", a.bags.Value),
		b.Indices("attributes/transposed/end", a.bags.Of[1:]), b.Indices("attributes/transposed/col", a.bags.Node))
}

// masked are those of view 1 or 2.
func (a *attributed) masked(b *engine.Builder, f *graph.MaskedBags, view int) *op.Sparse {
	ports, at := b.Feed(f), f.View(view)
	return a.sparse(b, ports[at.End], ports[at.Col], ports[at.TransposedEnd], ports[at.TransposedCol])
}

func (a *attributed) sparse(b *engine.Builder, end, col, transposedEnd, transposedCol *op.Node) *op.Sparse {
	return &op.Sparse{Beg: b.Indices("attributes/beg", a.bags.Ptr[:a.bags.Nodes()]), End: end, Col: col,
		Transposed: &op.Sparse{Beg: b.Indices("attributes/transposed/beg", a.bags.Of[:a.bags.Values()]), End: transposedEnd, Col: transposedCol}}
}

// embedding is E0 [U+I, d]: a row of the table, and with -attributes the sum of the embeddings of the node's values beside it (LightFM: Kula,
// CBRecSys 2015, section 3, where the node itself is one of its features).
func (p *propagation) embedding(b *engine.Builder) *op.Node {
	if p.attributes == nil {
		return p.nodes.embedding(b)
	}
	return p.with(b, p.attributes.all(b))
}

// with is E0 with the values of given bags.
func (p *propagation) with(b *engine.Builder, bags *op.Sparse) *op.Node {
	return op.Add(p.nodes.embedding(b), op.SpMM(bags, p.values(b, p.attributes)))
}
