package models

import (
	"fmt"

	"nearfar/engine"
	"nearfar/engine/op"
	"nearfar/kernels"
	"nearfar/kernels/philox"
	"nearfar/trainer/sample"
)

// EmbeddingOptions are those of every model with one embedding for each user and item.
type EmbeddingOptions struct {
	_        struct{}      `title:"Embeddings"`
	Dim      int           `flag:"dim" default:"64" min:"1" max:"4096" help:"size of an embedding" source:"LightGCN 4.1.2"`
	Batch    int           `flag:"batch" default:"2048" min:"1" max:"1048576" help:"interactions a step" source:"LightGCN 4.1.2"`
	Init     string        `flag:"init" default:"xavier" choices:"xavier,normal" help:"xavier_uniform of each table, or N(0, init-std²)" source:"SELFRec; normal: LightGCN-PyTorch"`
	InitStd  float64       `flag:"init-std" default:"0.1" above:"0" needs:"init=normal" help:"deviation of -init normal" source:"LightGCN-PyTorch"`
	Sampling sample.Scheme `flag:"sampling" default:"shuffle" choices:"shuffle,uniform" help:"every interaction once an epoch, or users drawn uniformly" source:"SELFRec; uniform: LightGCN-PyTorch"`
}

// nodes are users and items in one table, user u in row u and item i in row users + i.
type nodes struct {
	EmbeddingOptions
	users, items int
}

func newNodes(o EmbeddingOptions, d Data) (nodes, error) {
	n := nodes{o, d.Train.Users(), d.Train.Items}
	if d.Train.Len() == 0 {
		return n, fmt.Errorf("the data has no training interaction")
	}
	n.Batch = min(o.Batch, d.Train.Len()) // more rows would be padding, which is computed and then weighs nothing
	return n, nil
}

// count is the number of users and items.
func (n *nodes) count() int { return n.users + n.items }

// embedding is E0 [U+I, d]. The two tables are initialised each by its own shape.
func (n *nodes) embedding(b *engine.Builder) *op.Node {
	init := engine.Gaussian(n.InitStd)
	if n.Init == "xavier" {
		init = func(s philox.Stream, d kernels.Desc, out []float64) {
			cut := n.users * n.Dim
			engine.XavierUniform(s, kernels.Of(d.Type, n.users, n.Dim), out[:cut])
			engine.XavierUniform(philox.New(b.Store.Seed, "init/embedding/items"), kernels.Of(d.Type, n.items, n.Dim), out[cut:])
		}
	}
	return b.Param("embedding", init, n.count(), n.Dim)
}

// split gives the rows of users and of items of a table of nodes.
func (n *nodes) split(z *op.Node) (users, items *op.Node) {
	return op.Slice(z, 0, 0, n.users), op.Slice(z, 0, n.users, n.count())
}
