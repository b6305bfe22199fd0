package models

import (
	"fmt"

	"nearfar/engine"
	"nearfar/engine/op"
	"nearfar/models/loss"
	"nearfar/trainer/memory"
	"nearfar/trainer/sample"
)

// NegativeOptions say which items BPR ranks below a user's own.
type NegativeOptions struct {
	NumNegatives     int             `flag:"num-negatives" default:"1" min:"1" max:"1000" help:"negatives of each positive; BPR is the mean over them" source:"BPR; several: SELFRec n_negs, RecBole sample_num"`
	NegativeSampling sample.Negative `flag:"negative-sampling" default:"uniform" choices:"uniform,popularity" help:"negatives alike, or by their training interactions to the power of -negative-alpha" source:"BPR; popularity: word2vec 2.2, RecBole"`
	NegativeAlpha    float64         `flag:"negative-alpha" default:"0.75" min:"0" max:"10" needs:"negative-sampling=popularity" help:"exponent of -negative-sampling popularity" source:"word2vec 2.2; RecBole: 1"`
	HardNegatives    int             `flag:"hard-negatives" default:"1" min:"1" max:"1000" help:"items drawn for each negative, of which the model's highest-scored is taken; 1 takes what is drawn" source:"BPR; more: DNS (Zhang et al., SIGIR 2013), RecBole candidate_num"`
}

// L2Rows says which rows an L2 penalty falls on.
type L2Rows string

const (
	Ego   L2Rows = "ego"   // the batch's rows of the embedding table, before propagation (LightGCN-PyTorch, SGL)
	Final L2Rows = "final" // the batch's rows of the propagated embeddings (SELFRec)
)

// BPROptions are those of every model that learns to rank pairs of items.
type BPROptions struct {
	_ struct{} `title:"BPR"`
	NegativeOptions
	Reduce sample.Reduction `flag:"reduce" default:"mean" choices:"mean,sum" help:"BPR, L2 (and the contrast over batch rows) as the mean or the sum over the batch" source:"LightGCN-PyTorch; sum: wujcan/SGL"`
	Reg    float64          `flag:"reg" default:"0.0001" min:"0" help:"weight of the L2 penalty ½|row|²" source:"LightGCN-PyTorch"`
	L2     L2Rows           `flag:"l2" default:"ego" choices:"ego,final" help:"rows that L2 falls on: before or after propagation; alike in models without it" source:"LightGCN-PyTorch; final: SELFRec, which does not square"`
}

// ranking is BPR over the embeddings of nodes, with its sampler.
type ranking struct {
	BPROptions
	of        nodes
	penalised int // how many of user, positive and negative L2 falls on
	triples   triplesFeed
}

// triplesFeed is the sampler of a model: sample.Pairwise, or fixed batches in tests.
type triplesFeed interface {
	engine.Feed
	StepsPerEpoch() int
}

// newRanking samples from the data; s says how beside the options.
func newRanking(o BPROptions, of nodes, d Data, penalised int, s sample.Options) (ranking, error) {
	r := ranking{BPROptions: o, of: of, penalised: penalised}
	if available, lacks := memory.Lacks(r.bytes()); lacks {
		return r, r.tooLarge(available)
	}
	var err error
	s.Scheme, s.Reduce, s.Candidates, s.Negative, s.Alpha = of.Sampling, o.Reduce, o.NumNegatives*o.HardNegatives, o.NegativeSampling, o.NegativeAlpha
	r.triples, err = sample.NewPairwise(d.Train, of.Batch, d.Seed, s)
	return r, err
}

// bytes is what training takes at the least, with any optimiser, in float32: the embeddings, thrice while they are drawn in float64 and rounded, and
// once beside a step's candidates, their indices and rows. The engine's plan has the exact number, but when it has it, inputs are allocated.
func (r *ranking) bytes() int64 {
	const number = 4
	// An index has four ports (sample.Index), which a feed fills in two places while a step reads a third, and two arrays to sort in.
	const indices = 4*3 + 2
	gathered := int64(1)
	if r.penalised == 3 && r.Reg > 0 && r.several() {
		gathered = 2 // L2's derivative, or its rows, beside those of BPR
	}
	table, candidates := int64(r.of.count())*int64(r.of.Dim), int64(r.of.Batch)*int64(r.NumNegatives)*int64(r.HardNegatives)
	return number * max(3*table, table+candidates*(indices+gathered*int64(r.of.Dim)))
}

// several tells of BPR with more than one candidate for each positive.
func (r *ranking) several() bool { return r.NumNegatives > 1 || r.HardNegatives > 1 }

func (r *ranking) tooLarge(available int64) error {
	what := fmt.Sprintf("%d embeddings of -dim %d and -batch %d", r.of.count(), r.of.Dim, r.of.Batch)
	lower := "-dim or -batch"
	if r.several() {
		what += fmt.Sprintf(" with -num-negatives %d of -hard-negatives %d each", r.NumNegatives, r.HardNegatives)
		lower = "-num-negatives, -hard-negatives, -batch or -dim"
	}
	return fmt.Errorf("training takes at least %.3g GiB, and the system has %.3g GiB available: %s; lower %s",
		float64(r.bytes())/memory.GiB, float64(available)/memory.GiB, what, lower)
}

func (r *ranking) StepsPerEpoch() int { return r.triples.StepsPerEpoch() }

// triples are a batch: users [B], positive [B] and negative items [B, NumNegatives, HardNegatives] as nodes, and the rows' weights [B].
type triples struct {
	User, Pos, Neg op.Index
	Weight         *op.Node
}

func (r *ranking) batch(b *engine.Builder) triples {
	return triples{b.Index(r.triples, "user"), b.Index(r.triples, "pos"), b.Index(r.triples, "neg"), b.Port(r.triples, "weight")}
}

// bpr and its L2 penalty, on tables of nodes z (final) and e (ego).
func (r *ranking) bpr(b *engine.Builder, z, e *op.Node) engine.Objective {
	t := r.batch(b)
	of := func(z *op.Node) [3]*op.Node {
		return [3]*op.Node{op.Gather(z, t.User), op.Gather(z, t.Pos), op.Gather(z, t.Neg)}
	}
	if r.L2 == Final {
		e = z
	}
	return r.compare(b, t, of(z), of(e))
}

// compare is BPR of a batch's rows of users, positive and negative items, and L2 of rows that may be others of the same.
func (r *ranking) compare(b *engine.Builder, t triples, rows, penalised [3]*op.Node) engine.Objective {
	hardest := r.hardest(b, rows)
	o := engine.Objective{{Name: "bpr", Weight: 1, Value: r.prefer(t, rows, hardest)}}
	if r.Reg == 0 {
		return o
	}
	penalty := func(n int) *op.Node { return loss.L2(t.Weight, penalised[:min(n, r.penalised)]...) }
	if hardest == nil {
		return append(o, engine.Term{Name: "l2", Weight: r.Reg, Value: penalty(3)})
	}
	value := penalty(2)
	if r.penalised == 3 {
		// Each row has its negatives' mean, as BPR has: u and p count once, whatever the number of negatives.
		squares := hardest(op.Reshape(op.RowDot(penalised[2], penalised[2]), r.of.Batch, r.NumNegatives, r.HardNegatives))
		value = op.Add(value, op.Scale(loss.Weighted(t.Weight, op.Mean(squares, 1)), .5))
	}
	return append(o, engine.Term{Name: "l2", Weight: r.Reg, Value: value})
}

// prefer is BPR of a batch's rows of users, positive and negative items; of several candidates for each positive with a choice among them, as hardest gives it.
func (r *ranking) prefer(t triples, rows [3]*op.Node, hardest func(x *op.Node) *op.Node) *op.Node {
	u, p, n := rows[0], rows[1], rows[2]
	if hardest == nil {
		return loss.BPR(u, p, n, t.Weight)
	}
	return loss.BPROfScores(op.RowDot(u, p), hardest(r.scores(u, n)), t.Weight)
}

// scores are the inner products of users u [B, d] with their candidates n, [B, NumNegatives, HardNegatives].
func (r *ranking) scores(u, n *op.Node) *op.Node {
	each, dim := r.NumNegatives*r.HardNegatives, op.Desc(u).Cols()
	products := op.MatMul(op.Reshape(n, r.of.Batch, each, dim), op.Reshape(u, r.of.Batch, dim, 1), false, false)
	return op.Reshape(products, r.of.Batch, r.NumNegatives, r.HardNegatives)
}

// hardest gives the choice of the candidate that the rows score highest, the first of equal ones, as a map of [B, NumNegatives, HardNegatives] to
// [B, NumNegatives]; nil where each positive has one candidate. Dynamic negative sampling (Zhang et al., SIGIR 2013, algorithm 2): the choice has no
// derivative, so that the loss is that of the chosen items alone. Indices cannot be computed, so it is a product with the choice's indicator.
func (r *ranking) hardest(b *engine.Builder, rows [3]*op.Node) func(x *op.Node) *op.Node {
	switch {
	case !r.several():
		return nil
	case r.HardNegatives == 1:
		return func(x *op.Node) *op.Node { return op.Reshape(x, r.of.Batch, r.NumNegatives) }
	}
	places := make([]float64, r.HardNegatives)
	for k := range places {
		places[k] = float64(k)
	}
	best := op.Column(op.ArgMax(op.Detach(r.scores(rows[0], rows[2]))))
	chosen := op.Equal(b.Const("candidates", places, 1, 1, r.HardNegatives), best)
	return func(x *op.Node) *op.Node { return op.Sum(op.Mul(x, chosen), 2) }
}
