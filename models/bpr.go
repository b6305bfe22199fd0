package models

import (
	"nearfar/engine"
	"nearfar/engine/op"
	"nearfar/models/loss"
	"nearfar/trainer/sample"
)

// NegativeOptions say which items BPR ranks below a user's own.
type NegativeOptions struct {
	NumNegatives     int             `flag:"num-negatives" default:"1" min:"1" max:"1000" help:"negatives of each positive; BPR is the mean over them" source:"BPR; several: SELFRec n_negs, RecBole sample_num"`
	NegativeSampling sample.Negative `flag:"negative-sampling" default:"uniform" choices:"uniform,popularity" help:"negatives alike, or by their training interactions to the power of -negative-alpha" source:"BPR; popularity: word2vec 2.2, RecBole"`
	NegativeAlpha    float64         `flag:"negative-alpha" default:"0.75" min:"0" max:"10" help:"exponent of -negative-sampling popularity" source:"word2vec 2.2; RecBole: 1"`
	HardNegatives    int             `flag:"hard-negatives" default:"1" min:"1" max:"1000" help:"items drawn for each negative, of which the model's highest-scored is taken; 1 takes what is drawn" source:"BPR; more: DNS (Zhang et al., SIGIR 2013), RecBole candidate_num"`
}

// triples are a batch: users [B], positive [B] and negative items [B, NumNegatives, HardNegatives] as nodes, and the rows' weights [B].
type triples struct {
	User, Pos, Neg op.Index
	Weight         *op.Node
}

func (t *table) batch(b *engine.Builder) triples {
	return triples{b.Index(t.triples, "user"), b.Index(t.triples, "pos"), b.Index(t.triples, "neg"), b.Port(t.triples, "weight")}
}

// bpr and its L2 penalty, on the tables z (final) and e (ego).
func (t *table) bpr(b *engine.Builder, z, e *op.Node) engine.Objective {
	batch := t.batch(b)
	u, p, n := op.Gather(z, batch.User), op.Gather(z, batch.Pos), op.Gather(z, batch.Neg)
	rows := []*op.Node{u, p, n}
	if t.L2 == Ego {
		rows = []*op.Node{op.Gather(e, batch.User), op.Gather(e, batch.Pos), op.Gather(e, batch.Neg)}
	}
	var ranking, penalty *op.Node
	if !t.several() {
		ranking, penalty = loss.BPR(u, p, n, batch.Weight), loss.L2(batch.Weight, rows[:t.penalised]...)
	} else {
		scores := t.scores(u, n)
		hardest := t.hardest(b, scores)
		ranking = loss.BPROfScores(op.RowDot(u, p), hardest(scores), batch.Weight)
		penalty = loss.L2(batch.Weight, rows[:min(t.penalised, 2)]...)
		if t.penalised == 3 {
			// Each row has its negatives' mean, as BPR has: u and p count once, whatever the number of negatives.
			squares := hardest(op.Reshape(op.RowDot(rows[2], rows[2]), t.Batch, t.NumNegatives, t.HardNegatives))
			penalty = op.Add(penalty, op.Scale(loss.Weighted(batch.Weight, op.Mean(squares, 1)), .5))
		}
	}
	o := engine.Objective{{Name: "bpr", Weight: 1, Value: ranking}}
	if t.Reg > 0 {
		o = append(o, engine.Term{Name: "l2", Weight: t.Reg, Value: penalty})
	}
	return o
}

// scores are the inner products of users u [B, d] with their candidates n, [B, NumNegatives, HardNegatives].
func (t *table) scores(u, n *op.Node) *op.Node {
	each := t.NumNegatives * t.HardNegatives
	products := op.MatMul(op.Reshape(n, t.Batch, each, t.Dim), op.Reshape(u, t.Batch, t.Dim, 1), false, false)
	return op.Reshape(products, t.Batch, t.NumNegatives, t.HardNegatives)
}

// hardest gives the choice of the highest-scored candidate, the first of equal ones, as a map of [B, NumNegatives, HardNegatives] to
// [B, NumNegatives]. Dynamic negative sampling (Zhang et al., SIGIR 2013, algorithm 2): the choice has no derivative, so that the loss is that of
// the chosen items alone. Indices cannot be computed, so it is a product with the choice's indicator.
func (t *table) hardest(b *engine.Builder, scores *op.Node) func(x *op.Node) *op.Node {
	if t.HardNegatives == 1 {
		return func(x *op.Node) *op.Node { return op.Reshape(x, t.Batch, t.NumNegatives) }
	}
	places := make([]float64, t.HardNegatives)
	for k := range places {
		places[k] = float64(k)
	}
	best := op.Column(op.ArgMax(op.Detach(scores)))
	chosen := op.Equal(b.Const("candidates", places, 1, 1, t.HardNegatives), best)
	return func(x *op.Node) *op.Node { return op.Sum(op.Mul(x, chosen), 2) }
}
