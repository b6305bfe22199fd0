package awkward

import (
	"math"

	"nearfar/engine/op"
)

const (
	prototypes = 5
	epsilon    = .25
)

// sinkhorn gives soft assignments [B, K] with equal shares of the prototypes, after three rounds (Caron 2020, algorithm 1):
//
//	Q = exp(z Cᵀ / eps), about its maximum;  each round: columns to 1/K, rows to 1/B;  times B
func sinkhorn(scores *op.Node) *op.Node {
	B, K := op.Desc(scores).Dim[0], op.Desc(scores).Dim[1]
	s := op.Scale(scores, 1/epsilon)
	q := op.Exp(op.Sub(s, op.Reshape(op.Largest(s, 0, 1), 1, 1)))
	for range 3 {
		q = op.Scale(op.Div(q, op.SumKeep(q, 0)), 1/float64(K))
		q = op.Scale(op.Div(q, op.SumKeep(q, 1)), 1/float64(B))
	}
	return op.Scale(q, float64(B))
}

// swapped is the mean over rows of the cross-entropy between q and softmax(scores/tau): lse - Σ q s, since q sums to one.
func swapped(q, scores *op.Node) *op.Node {
	s := op.Scale(scores, 1/tTau)
	return op.Mean(op.Sub(op.LogSumExpAlong(s, 1), op.RowDot(q, s)))
}

// concat is ConCAT with prototypes for each side: the user predicts the item's assignment to the item prototypes, and the reverse.
func concat(m *model) *op.Node {
	u, v, _ := towers(m)
	ci, cu := op.NormaliseRows(m.matrix("C items", prototypes, tD)), op.NormaliseRows(m.matrix("C users", prototypes, tD))
	score := func(x, c *op.Node) *op.Node { return op.MatMul(x, c, false, true) }
	qv := m.stop("q items", sinkhorn(score(v, ci)))
	qu := m.stop("q users", sinkhorn(score(u, cu)))
	return op.Add(swapped(qv, score(u, ci)), swapped(qu, score(v, cu)))
}

func wantConcat(v values) (loss float64) {
	for _, side := range [][3]string{{"C items", "v", "u"}, {"C users", "u", "v"}} {
		c := unitRows(v[side[0]], tD)
		score := func(x string, b, k int) (s float64) {
			for j := range tD {
				s += v[x][b*tD+j] * c[k*tD+j]
			}
			return s
		}
		var q [tB][prototypes]float64
		for b := range tB {
			for k := range prototypes {
				q[b][k] = math.Exp(score(side[1], b, k) / epsilon)
			}
		}
		for range 3 {
			for k := range prototypes {
				s := 0.0
				for b := range tB {
					s += q[b][k]
				}
				for b := range tB {
					q[b][k] /= s
				}
			}
			for b := range tB {
				s := 0.0
				for k := range prototypes {
					s += q[b][k]
				}
				for k := range prototypes {
					q[b][k] /= s
				}
			}
		}
		for b := range tB {
			sum := 0.0
			for k := range prototypes {
				sum += math.Exp(score(side[2], b, k) / tTau)
			}
			for k := range prototypes {
				loss -= q[b][k] * (score(side[2], b, k)/tTau - math.Log(sum)) / tB
			}
		}
	}
	return loss
}
