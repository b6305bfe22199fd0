package models

import (
	"fmt"

	"nearfar/engine"
	"nearfar/engine/op"
	"nearfar/kernels"
	"nearfar/kernels/philox"
	"nearfar/trainer/memory"
	"nearfar/trainer/sample"
)

// L2Rows says which rows an L2 penalty falls on.
type L2Rows string

const (
	Ego   L2Rows = "ego"   // the batch's rows of the embedding table, before propagation (LightGCN-PyTorch, SGL)
	Final L2Rows = "final" // the batch's rows of the propagated embeddings (SELFRec)
)

// EmbeddingOptions are those of every model with one embedding for each user and item, trained by BPR.
type EmbeddingOptions struct {
	_        struct{}      `title:"Embeddings and BPR"`
	Dim      int           `flag:"dim" default:"64" min:"1" max:"4096" help:"size of an embedding" source:"LightGCN 4.1.2"`
	Batch    int           `flag:"batch" default:"2048" min:"1" max:"1048576" help:"interactions a step" source:"LightGCN 4.1.2"`
	Init     string        `flag:"init" default:"xavier" choices:"xavier,normal" help:"xavier_uniform of each table, or N(0, init-std²)" source:"SELFRec; normal: LightGCN-PyTorch"`
	InitStd  float64       `flag:"init-std" default:"0.1" above:"0" help:"deviation of -init normal" source:"LightGCN-PyTorch"`
	Sampling sample.Scheme `flag:"sampling" default:"shuffle" choices:"shuffle,uniform" help:"every interaction once an epoch, or users drawn uniformly" source:"SELFRec; uniform: LightGCN-PyTorch"`
	NegativeOptions
	Reduce sample.Reduction `flag:"reduce" default:"mean" choices:"mean,sum" help:"BPR, L2 (and the contrast over batch rows) as the mean or the sum over the batch" source:"LightGCN-PyTorch; sum: wujcan/SGL"`
	Reg    float64          `flag:"reg" default:"0.0001" min:"0" help:"weight of the L2 penalty ½|row|²" source:"LightGCN-PyTorch"`
	L2     L2Rows           `flag:"l2" default:"ego" choices:"ego,final" help:"rows that L2 falls on: before or after propagation" source:"LightGCN-PyTorch; final: SELFRec, which does not square"`
}

// table is one embedding table for users and items together, user u in row u and item i in row Users + i, with its sampler.
type table struct {
	EmbeddingOptions
	users, items int
	penalised    int // how many of user, positive and negative L2 falls on
	triples      triplesFeed
}

// triplesFeed is the sampler of a model: sample.Pairwise, or fixed batches in tests.
type triplesFeed interface {
	engine.Feed
	StepsPerEpoch() int
}

func newTable(o EmbeddingOptions, d Data, distinct bool, penalised int) (table, error) {
	t := table{EmbeddingOptions: o, users: d.Train.Users(), items: d.Train.Items, penalised: penalised}
	if d.Train.Len() == 0 {
		return t, fmt.Errorf("the data has no training interaction")
	}
	t.Batch = min(o.Batch, d.Train.Len()) // more rows would be padding, which is computed and then weighs nothing
	if available, lacks := memory.Lacks(t.bytes()); lacks {
		return t, t.tooLarge(available)
	}
	var err error
	t.triples, err = sample.NewPairwise(d.Train, t.Batch, d.Seed, sample.Options{Scheme: o.Sampling, Reduce: o.Reduce, Nodes: true, Distinct: distinct,
		Candidates: o.NumNegatives * o.HardNegatives, Negative: o.NegativeSampling, Alpha: o.NegativeAlpha})
	return t, err
}

// bytes is what training takes at the least, with any optimiser, in float32: the embeddings, thrice while they are drawn in float64 and rounded, and
// once beside a step's candidates, their indices and rows. The engine's plan has the exact number, but when it has it, inputs are allocated.
func (t *table) bytes() int64 {
	const number = 4
	// An index has four ports (sample.Index), which a feed fills in two places while a step reads a third, and two arrays to sort in.
	const indices = 4*3 + 2
	rows := int64(1)
	if t.penalised == 3 && t.Reg > 0 && t.several() {
		rows = 2 // L2's derivative, or its rows, beside those of BPR
	}
	table, candidates := int64(t.nodes())*int64(t.Dim), int64(t.Batch)*int64(t.NumNegatives)*int64(t.HardNegatives)
	return number * max(3*table, table+candidates*(indices+rows*int64(t.Dim)))
}

// several tells of BPR with more than one candidate for each positive.
func (t *table) several() bool { return t.NumNegatives > 1 || t.HardNegatives > 1 }

func (t *table) tooLarge(available int64) error {
	what := fmt.Sprintf("%d embeddings of -dim %d and -batch %d", t.nodes(), t.Dim, t.Batch)
	lower := "-dim or -batch"
	if t.several() {
		what += fmt.Sprintf(" with -num-negatives %d of -hard-negatives %d each", t.NumNegatives, t.HardNegatives)
		lower = "-num-negatives, -hard-negatives, -batch or -dim"
	}
	return fmt.Errorf("training takes at least %.3g GiB, and the system has %.3g GiB available: %s; lower %s",
		float64(t.bytes())/memory.GiB, float64(available)/memory.GiB, what, lower)
}

func (t *table) StepsPerEpoch() int { return t.triples.StepsPerEpoch() }

func (t *table) nodes() int { return t.users + t.items }

// embedding is E0 [U+I, d]. The two tables are initialised each by its own shape.
func (t *table) embedding(b *engine.Builder) *op.Node {
	init := engine.Gaussian(t.InitStd)
	if t.Init == "xavier" {
		init = func(s philox.Stream, d kernels.Desc, out []float64) {
			cut := t.users * t.Dim
			engine.XavierUniform(s, kernels.Of(d.Type, t.users, t.Dim), out[:cut])
			engine.XavierUniform(philox.New(b.Store.Seed, "init/embedding/items"), kernels.Of(d.Type, t.items, t.Dim), out[cut:])
		}
	}
	return b.Param("embedding", init, t.nodes(), t.Dim)
}

// split gives the rows of users and of items of a table of nodes.
func (t *table) split(z *op.Node) (users, items *op.Node) {
	return op.Slice(z, 0, 0, t.users), op.Slice(z, 0, t.users, t.nodes())
}
