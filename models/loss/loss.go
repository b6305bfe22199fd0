// Package loss has the losses that models share, each once. A loss is a weighted sum over the rows of a batch: weight [B] is 1/n
// for a mean over the n real rows, 1 for a sum, and 0 for padding, so that the reduction is the batch's business and not the loss's.
package loss

import (
	"nearfar/engine/op"
)

// Weighted is Σ_b w_b x_b.
func Weighted(w, x *op.Node) *op.Node { return op.Sum(op.Mul(w, x)) }

// BPR is Bayesian personalised ranking (Rendle et al., UAI 2009, eq. 4, with -ln σ(x) written as softplus(-x)):
//
//	Σ_b w_b softplus(<u_b, n_b> - <u_b, p_b>)
//
// u, p, n are the rows of users, positive and negative items, [B, d]. At initialisation the mean is about ln 2.
func BPR(u, p, n, w *op.Node) *op.Node {
	return Weighted(w, op.Softplus(op.RowDot(u, op.Sub(n, p))))
}

// BPROfScores is BPR with several negatives of each positive, as scores: the mean over them,
//
//	Σ_b w_b 1/K Σ_k softplus(neg_bk - pos_b),   pos [B], neg [B, K]
//
// as though each positive stood in the batch once with each of its negatives (RecBole, sample_num; SELFRec, n_negs).
func BPROfScores(pos, neg, w *op.Node) *op.Node {
	return Weighted(w, op.Mean(op.Softplus(op.Sub(neg, op.Column(pos))), 1))
}

// L2 is ½ Σ_b w_b (|x_b|² + |y_b|² + ..) over rows [B, d] of the batch.
func L2(w *op.Node, rows ...*op.Node) *op.Node {
	total := op.RowDot(rows[0], rows[0])
	for _, x := range rows[1:] {
		total = op.Add(total, op.RowDot(x, x))
	}
	return op.Scale(Weighted(w, total), .5)
}

// Candidates are the rows that an anchor is contrasted with: Rows [N, d] of unit length, and an optional Bias [N] of 0 or -Inf that
// marks absent ones.
type Candidates struct {
	Rows, Bias *op.Node
}

// InfoNCE pulls each anchor to its positive and away from all candidates (van den Oord et al. 2018):
//
//	Σ_b w_b ( ln Σ_n e^(<x_b, y_n>/tau) - <x_b, p_b>/tau )
//
// x [B, d] anchors and p [B, d] positives, of unit length; the positive is one of the candidates, so it is in the denominator. Anchors of
// weight 0 cost nothing. The B x N similarities are no node.
//
// Both published forms are this one: SGL's logsumexp((s - s_pos)/tau), summed, over all nodes; and SimGCL's -log(e^(s_pos/tau) / Σ
// e^(s/tau)), averaged, in the batch. They differ in weights and candidates only.
func InfoNCE(x, p *op.Node, y Candidates, w *op.Node, tau float64) *op.Node {
	lse := op.LogSumExp(x, y.Rows, op.Similarity{Scale: 1 / tau, Unit: true, Bias: y.Bias, Weight: w})
	return Weighted(w, op.Sub(lse, op.Scale(op.RowDot(x, p), 1/tau)))
}

// CosineDistance is Σ_b w_b (1 - cos(x_b, y_b)) of rows [B, d]: about 1 between unrelated directions, 0 where they agree.
func CosineDistance(x, y, w *op.Node) *op.Node {
	return Weighted(w, op.AddConst(op.Neg(op.Cosine(x, y)), 1))
}
