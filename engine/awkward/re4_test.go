package awkward

import (
	"math"

	"nearfar/engine/op"
)

const tau = .2 // Re4 has .02, at which one item takes all and a difference shows nothing

// re4Parts are what the three backward losses of Re4 read.
type re4Parts struct {
	x, mask, perLength *op.Node // [B T d], [B T], [B]
	logits, a, z       *op.Node // [B K T], its softmax, [B K d]
	on                 *op.Node // mask as [B K T]
	positive           *op.Node // [B K T]: 1 where a_kj > 1/len
}

func re4(m *model) re4Parts {
	table := m.matrix("item", rItems, rD)
	ids, mask, perLength := m.history(rB, rT, rItems)
	p := re4Parts{mask: mask, perLength: perLength}
	p.x = m.show("x", op.Reshape(op.Gather(table, ids), rB, rT, rD))
	m.show("mask", mask)
	h := op.Tanh(op.Linear(p.x, m.matrix("W1", rD, 5), nil))
	p.logits = op.Permute(op.Linear(h, m.matrix("W12", 5, rK), nil), 0, 2, 1)
	p.on = op.BroadcastLike(op.Reshape(mask, rB, 1, rT), p.logits)
	p.a = m.show("a", op.Softmax(p.logits, p.on))
	p.z = m.show("z", op.MatMul(p.a, op.Linear(p.x, m.matrix("W2", rD, rD), nil), false, false))
	p.positive = op.Greater(p.a, op.Reshape(perLength, rB, 1, 1))
	return p
}

// previous is each user's predecessor in the batch; the first user's is the last.
func previous(x *op.Node) *op.Node {
	n := op.Desc(x).Dim[0]
	return op.Concat(0, op.Slice(x, 0, n-1, n), op.Slice(x, 0, 0, n-1))
}

// absent is s where on, -Inf elsewhere.
func absent(m *model, on, s *op.Node) *op.Node {
	return op.Where(on, s, m.Scalar(math.Inf(-1)))
}

// reContrast: interest k attracts its items P_k and repels the user's other items and interests and the previous user's items; all cosines.
//
//	-1/(B·K·T) Σ_{j in P_k} (cos_kj/tau - ln D_k),  D_k over own items that are no padding, other interests, the previous user's items
func reContrast(m *model) *op.Node {
	p := re4(m)
	x, z := op.NormaliseRows(p.x), op.NormaliseRows(p.z)
	similar := func(y *op.Node) *op.Node { return op.Scale(op.MatMul(z, y, false, true), 1/tau) }
	own := similar(x)
	others := make([]float64, rK*rK)
	for k := range others {
		if k%rK != k/rK {
			others[k] = 1
		}
	}
	s := op.Concat(2,
		absent(m, p.on, own),
		absent(m, m.Const("other interests", others, 1, rK, rK), similar(z)),
		absent(m, op.Reshape(previous(p.mask), rB, 1, rT), similar(previous(x))))
	lse := op.LogSumExpAlong(s, 2) // [B K]
	each := op.Sub(op.Reshape(lse, rB, rK, 1), own)
	return op.Scale(op.Sum(op.Mul(p.positive, each)), 1./(rB*rK*rT))
}

func wantReContrast(v values) (loss float64) {
	unit := func(name string, row int) []float64 {
		r := append([]float64(nil), v[name][row*rD:row*rD+rD]...)
		n := 0.0
		for _, x := range r {
			n += x * x
		}
		for i := range r {
			r[i] /= math.Sqrt(n)
		}
		return r
	}
	e := func(a, b []float64) (s float64) {
		for i := range a {
			s += a[i] * b[i]
		}
		return s / tau
	}
	for b := range rB {
		before, items := (b+rB-1)%rB, 0.0
		for t := range rT {
			items += v["mask"][b*rT+t]
		}
		for k := range rK {
			z, sum := unit("z", b*rK+k), 0.0
			for t := range rT {
				if v["mask"][b*rT+t] != 0 {
					sum += math.Exp(e(z, unit("x", b*rT+t)))
				}
				if v["mask"][before*rT+t] != 0 {
					sum += math.Exp(e(z, unit("x", before*rT+t)))
				}
			}
			for q := range rK {
				if q != k {
					sum += math.Exp(e(z, unit("z", b*rK+q)))
				}
			}
			for t := range rT {
				if v["a"][(b*rK+k)*rT+t] > 1/items {
					loss -= (e(z, unit("x", b*rT+t)) - math.Log(sum)) / (rB * rK * rT)
				}
			}
		}
	}
	return loss
}

// reAttend: -Σ a^ ln a / Σ a^ with a^ = softmax_T(z·x), the attention read backwards. ln a is logits - lse, so that a weight that underflows is no
// infinity; padding is left out of the sum.
func reAttend(m *model) *op.Node {
	p := re4(m)
	back := op.Softmax(op.MatMul(p.z, p.x, false, true), p.on)
	lse := op.LogSumExpAlong(absent(m, p.on, p.logits), 2)
	ln := op.Where(p.on, op.Sub(p.logits, op.Reshape(lse, rB, rK, 1)), m.Scalar(0))
	return op.Neg(op.Div(op.Sum(op.Mul(back, ln)), op.Sum(back)))
}

func wantReAttend(v values) float64 {
	num, den := 0.0, 0.0
	for r := range rB * rK {
		b := r / rK
		var e [rT]float64
		total := 0.0
		for t := range rT {
			s := 0.0
			for i := range rD {
				s += v["z"][r*rD+i] * v["x"][(b*rT+t)*rD+i]
			}
			e[t] = v["mask"][b*rT+t] * math.Exp(s)
			total += e[t]
		}
		for t := range rT {
			if e[t] > 0 {
				num -= e[t] / total * math.Log(v["a"][r*rT+t])
			}
			den += e[t] / total
		}
	}
	return num / den
}

// reConstruct: C = reshape(Linear(z)) [T x d] an interest; beta = softmax over C's rows of W32 tanh(W3 Cᵀ); x^ = beta (C W5) is held to the items of
// P_k by squared error, averaged over B·K·T·d. Rows of C that stand for padding take no part in beta.
func reConstruct(m *model) *op.Node {
	p := re4(m)
	c := op.Reshape(op.Linear(p.z, m.matrix("W4", rD, rT*rD), m.matrix("b4", rT*rD)), rB*rK, rT, rD)
	h := op.Tanh(op.Linear(c, m.matrix("W3", rD, 5), nil))
	logits := op.Permute(op.Linear(h, m.matrix("W32", 5, rT), nil), 0, 2, 1) // [B·K, target, source]
	on := op.BroadcastLike(op.Reshape(p.on, rB*rK, 1, rT), logits)
	beta := op.Softmax(logits, on)
	xhat := op.Reshape(op.MatMul(beta, op.Linear(c, m.matrix("W5", rD, rD), nil), false, false), rB, rK, rT, rD)
	miss := op.Square(op.Sub(xhat, op.Reshape(p.x, rB, 1, rT, rD)))
	return op.Scale(op.Sum(op.Mul(miss, op.Reshape(p.positive, rB, rK, rT, 1))), 1./(rB*rK*rT*rD))
}

func wantReConstruct(v values) (loss float64) {
	for r := range rB * rK {
		b := r / rK
		var c, cw5 [rT][rD]float64
		var w32 [rT][rT]float64 // [source][target]
		items := 0.0
		for t := range rT {
			items += v["mask"][b*rT+t]
			for j := range rD {
				c[t][j] = v["b4"][t*rD+j]
				for i := range rD {
					c[t][j] += v["z"][r*rD+i] * v["W4"][i*rT*rD+t*rD+j]
				}
			}
			for h := range 5 {
				s := 0.0
				for i := range rD {
					s += c[t][i] * v["W3"][i*5+h]
				}
				for target := range rT {
					w32[t][target] += math.Tanh(s) * v["W32"][h*rT+target]
				}
			}
			for j := range rD {
				for i := range rD {
					cw5[t][j] += c[t][i] * v["W5"][i*rD+j]
				}
			}
		}
		for target := range rT {
			if v["a"][r*rT+target] <= 1/items {
				continue
			}
			for j := range rD {
				num, den := 0.0, 0.0
				for t := range rT {
					e := v["mask"][b*rT+t] * math.Exp(w32[t][target])
					num, den = num+e*cw5[t][j], den+e
				}
				miss := num/den - v["x"][(b*rT+target)*rD+j]
				loss += miss * miss / (rB * rK * rT * rD)
			}
		}
	}
	return loss
}

// re4Recommend is the recommending loss, r = tanh(fc z).
func re4Recommend(m *model) *op.Node {
	p := re4(m)
	r := op.Tanh(op.Linear(p.z, m.matrix("fc", rD, rD), m.matrix("fc.bias", rD)))
	return recommend(m, m.matrix("item", rItems, rD), r)
}
