package awkward

import (
	"math"

	"nearfar/engine/op"
	"nearfar/kernels"
)

// squash is (|s|²/(1+|s|²)) s/sqrt(|s|²+1e-9) along the last dimension (ComiRec's code).
func squash(s *op.Node) *op.Node {
	n := op.SumKeep(op.Square(s), op.Desc(s).Rank-1)
	return op.Mul(s, op.Div(n, op.Mul(op.AddConst(n, 1), op.Sqrt(op.AddConst(n, 1e-9)))))
}

// truncatedNormal is a normal number of at most two deviations: the first of three draws that is one, else 0 (1 in 10,000).
func (m *model) truncatedNormal(stream string, dims ...int) *op.Node {
	z := m.Scalar(0)
	for _, draw := range []string{"a", "b", "c"} {
		x := m.Random(stream+"/"+draw, kernels.Normal, 0, dims...)
		z = op.Where(op.Greater(m.Scalar(4), op.Square(x)), x, z)
	}
	return z
}

// Users, positions, interests, dimensions and items of the sequence models.
const rB, rT, rK, rD, rItems = 3, 4, 2, 3, 9

// route is three iterations of dynamic routing over x^ [B, K, T, d]; the first two see it stopped. b [B, T, K] are the first logits; the softmax is over the interests, and padding is zeroed behind it.
func route(m *model, xhat, mask, b *op.Node) *op.Node {
	B, K, T, d := op.Desc(xhat).Dim[0], op.Desc(xhat).Dim[1], op.Desc(xhat).Dim[2], op.Desc(xhat).Dim[3]
	still := m.stop("xhat", xhat)
	for iteration := 0; ; iteration++ {
		c := op.Mul(op.Softmax(b, nil), op.Reshape(mask, B, T, 1))
		c = op.Reshape(op.Permute(c, 0, 2, 1), B, K, 1, T)
		x := still
		if iteration == 2 {
			x = xhat
		}
		z := squash(op.MatMul(c, x, false, false)) // [B K 1 d]
		if iteration == 2 {
			return op.Reshape(z, B, K, d)
		}
		agreement := op.Reshape(op.MatMul(x, z, false, true), B, K, T)
		b = op.Add(b, op.Permute(agreement, 0, 2, 1))
	}
}

// interest is z_k* [B, d] with k* the interest nearest to the target (hard attention). A Map cannot compute indices, so the row is chosen by a
// product with its indicator.
func interest(m *model, z, target *op.Node) *op.Node {
	B, K, d := op.Desc(z).Dim[0], op.Desc(z).Dim[1], op.Desc(z).Dim[2]
	scores := op.Reshape(op.MatMul(z, op.Reshape(target, B, d, 1), false, false), B, K)
	numbers := make([]float64, K)
	for k := range numbers {
		numbers[k] = float64(k)
	}
	chosen := op.Equal(m.Const("interests", numbers, 1, K), op.Reshape(op.ArgMax(scores), B, 1))
	return op.Reshape(op.MatMul(op.Reshape(chosen, B, 1, K), z, false, false), B, d)
}

// recommend ends every sequence model here: the chosen interest against its target and all other items.
func recommend(m *model, table, z *op.Node) *op.Node {
	B := op.Desc(z).Dim[0]
	target := m.index("target", B, op.Desc(table).Dim[0], false)
	m.show("targets", m.asReal(target.ID))
	e := op.Gather(table, target)
	u := interest(m, z, e)
	lse := op.LogSumExp(u, table, op.Similarity{Scale: 1})
	return op.Mean(op.Sub(lse, op.RowDot(u, e)))
}

// comiRecDR: a map W_t,k for every position and interest, b = 0.
func comiRecDR(m *model) *op.Node {
	table := m.matrix("item", rItems, rD)
	ids, mask, _ := m.history(rB, rT, rItems)
	m.show("mask", mask)
	x := op.Reshape(op.Gather(table, ids), rB, rT, rD)
	m.show("x", x)
	w := m.matrix("W", rT, rD, rK*rD)
	xhat := op.MatMul(op.Permute(x, 1, 0, 2), w, false, false) // [T B K·d]
	xhat = op.Permute(op.Reshape(xhat, rT, rB, rK, rD), 1, 2, 0, 3)
	z := route(m, xhat, mask, op.Fill(m.Graph, 0, m.Float(rB, rT, rK)))
	return op.Add(recommend(m, table, z), op.Scale(op.Sum(op.Mul(z, m.data("probe", rB, rK, rD))), .1))
}

// wantRouted routes again in plain Go, from x^ and the first logits.
func wantRouted(v values, xhat func(b, k, t, j int) float64, first func(b, t, k int) float64) float64 {
	var z [rB][rK][rD]float64
	for b := range rB {
		var logits [rT][rK]float64
		for t := range rT {
			for k := range rK {
				logits[t][k] = first(b, t, k)
			}
		}
		for range 3 {
			for k := range rK {
				var s [rD]float64
				for t := range rT {
					total := 0.0
					for _, l := range logits[t] {
						total += math.Exp(l)
					}
					for j := range rD {
						s[j] += math.Exp(logits[t][k]) / total * v["mask"][b*rT+t] * xhat(b, k, t, j)
					}
				}
				n := 0.0
				for _, x := range s {
					n += x * x
				}
				for j, x := range s {
					z[b][k][j] = n / (1 + n) * x / math.Sqrt(n+1e-9)
				}
			}
			for t := range rT {
				for k := range rK {
					for j := range rD {
						logits[t][k] += xhat(b, k, t, j) * z[b][k][j]
					}
				}
			}
		}
	}
	return wantRecommend(v, func(b, k, j int) float64 { return z[b][k][j] }, drawn("probe", rB*rK*rD))
}

func wantDR(v values) float64 {
	xhat := func(b, k, t, j int) (s float64) {
		for i := range rD {
			s += v["x"][(b*rT+t)*rD+i] * v["W"][(t*rD+i)*rK*rD+k*rD+j]
		}
		return s
	}
	return wantRouted(v, xhat, func(b, t, k int) float64 { return 0 })
}

func wantMIND(v values) float64 {
	xhat := func(b, k, t, j int) float64 {
		s := v["s"][j]
		for i := range rD {
			s += v["x"][(b*rT+t)*rD+i] * v["S"][i*rD+j]
		}
		return s
	}
	return wantRouted(v, xhat, func(b, t, k int) float64 { return v["first logits"][(b*rT+t)*rK+k] })
}

// wantRecommend is recommend's loss and the probe's part.
func wantRecommend(v values, z func(b, k, j int) float64, probe []float64) (loss float64) {
	item := func(i, j int) float64 { return v["item"][i*rD+j] }
	for b := range rB {
		target := int(v["targets"][b])
		best, top := 0, math.Inf(-1)
		for k := range rK {
			s := 0.0
			for j := range rD {
				s += z(b, k, j) * item(target, j)
				loss += .1 * z(b, k, j) * probe[(b*rK+k)*rD+j]
			}
			if s > top {
				best, top = k, s
			}
		}
		sum := 0.0
		for i := range rItems {
			s := 0.0
			for j := range rD {
				s += z(b, best, j) * item(i, j)
			}
			sum += math.Exp(s)
		}
		loss += (math.Log(sum) - top) / rB
	}
	return loss
}

// mind: one bilinear map with a bias for all positions and interests, first logits drawn, no gradient through them.
func mind(m *model) *op.Node {
	table := m.matrix("item", rItems, rD)
	ids, mask, _ := m.history(rB, rT, rItems)
	m.show("mask", mask)
	x := m.show("x", op.Reshape(op.Gather(table, ids), rB, rT, rD))
	shared := op.Linear(x, m.matrix("S", rD, rD), m.matrix("s", rD)) // [B T d]
	xhat := op.BroadcastLike(op.Reshape(shared, rB, 1, rT, rD), op.Fill(m.Graph, 0, m.Float(rB, rK, rT, rD)))
	z := route(m, xhat, mask, m.show("first logits", m.truncatedNormal("routing", rB, rT, rK)))
	return op.Add(recommend(m, table, z), op.Scale(op.Sum(op.Mul(z, m.data("probe", rB, rK, rD))), .1))
}

// comiRecSA: a = softmax_T(W2 tanh(W1 (x + position))), z = a x.
func comiRecSA(m *model) *op.Node {
	table := m.matrix("item", rItems, rD)
	ids, mask, _ := m.history(rB, rT, rItems)
	m.show("mask", mask)
	x := m.show("x", op.Reshape(op.Gather(table, ids), rB, rT, rD))
	placed := op.Add(x, m.matrix("position", 1, rT, rD))
	h := op.Tanh(op.Linear(placed, m.matrix("W1", rD, 5), m.matrix("b1", 5)))
	logits := op.Permute(op.Linear(h, m.matrix("W2", 5, rK), m.matrix("b2", rK)), 0, 2, 1) // [B K T]
	a := op.Softmax(logits, op.BroadcastLike(op.Reshape(mask, rB, 1, rT), logits))
	z := op.MatMul(a, x, false, false)
	return op.Add(recommend(m, table, z), op.Scale(op.Sum(op.Mul(z, m.data("probe", rB, rK, rD))), .1))
}

func wantSA(v values) float64 {
	z := func(b, k, j int) float64 {
		num, den := 0.0, 0.0
		for t := range rT {
			logit := v["b2"][k]
			for h := range 5 {
				s := v["b1"][h]
				for i := range rD {
					s += (v["x"][(b*rT+t)*rD+i] + v["position"][t*rD+i]) * v["W1"][i*5+h]
				}
				logit += math.Tanh(s) * v["W2"][h*rK+k]
			}
			e := v["mask"][b*rT+t] * math.Exp(logit)
			num, den = num+e*v["x"][(b*rT+t)*rD+j], den+e
		}
		return num / den
	}
	return wantRecommend(v, z, drawn("probe", rB*rK*rD))
}
