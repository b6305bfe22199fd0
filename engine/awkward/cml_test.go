package awkward

import (
	"math"

	"nearfar/engine/op"
	"nearfar/kernels"
)

const (
	cU, cI, cD   = 6, 5, 3
	cK, cLayers  = 2, 2
	cB, cS, cRun = 4, 4, 2 // triples a behaviour, contrasted users, users of one chunk
	cHidden      = 4
)

// cml is one copy of CML's parameters: nodes, so that a virtual step makes another copy.
type cml struct{ users, items, wu, wi, cu, ci *op.Node }

func (m *model) cml() *cml {
	return &cml{m.matrix("users", cU, cD), m.matrix("items", cI, cD), m.matrix("Wu", cD, cD), m.matrix("Wi", cD, cD),
		m.matrix("Cu", cLayers*cD, cD), m.matrix("Ci", cLayers*cD, cD)}
}

func (c *cml) list() []*op.Node { return []*op.Node{c.users, c.items, c.wu, c.wi, c.cu, c.ci} }

// moved is c with each parameter replaced by step of it.
func (c *cml) moved(step func(i int, p *op.Node) *op.Node) *cml {
	l := c.list()
	for i, p := range l {
		l[i] = step(i, p)
	}
	return &cml{l[0], l[1], l[2], l[3], l[4], l[5]}
}

// meta is the weight network's parameters.
type meta struct{ l1, l2, l3, r1, r2, r3, slope, gamma, beta *op.Node }

func (m *model) meta() *meta {
	return &meta{m.matrix("M/L1", 3*cD, cHidden), m.matrix("M/L2", cHidden, 1), m.matrix("M/L3", 2*cD, 1),
		m.matrix("M/R1", 3*cD, cHidden), m.matrix("M/R2", cHidden, 1), m.matrix("M/R3", cD, 1),
		m.matrix("M/slope", 1), m.matrix("M/gamma", 1), m.matrix("M/beta", 1)}
}

// behaviour is A_k of the users' side with D_r^-1/2 A D_c^-1/2, and its transposed.
func (m *model) behaviour(k int) *op.Sparse {
	edge := func(u, i int) bool { return (u*3+i*(k+2)+k)%4 == 0 || u%cI == i }
	side := func(name string, rows, cols int, edge func(r, c int) bool) *op.Sparse {
		var beg, end, col []int32
		degree, other := make([]float64, rows), make([]float64, cols)
		for r := range rows {
			beg = append(beg, int32(len(col)))
			for c := range cols {
				if edge(r, c) {
					col = append(col, int32(c))
					degree[r]++
					other[c]++
				}
			}
			end = append(end, int32(len(col)))
		}
		scale := func(d []float64) []float64 {
			s := make([]float64, len(d))
			for i, n := range d {
				if n > 0 {
					s[i] = 1 / math.Sqrt(n)
				}
			}
			return s
		}
		name += string(rune('0' + k))
		return &op.Sparse{Beg: m.Indices(name+"/beg", beg), End: m.Indices(name+"/end", end), Col: m.Indices(name+"/col", col),
			RowScale: m.Const(name+"/row", scale(degree), rows), ColScale: m.Const(name+"/column", scale(other), cols)}
	}
	a := side("A", cU, cI, edge)
	a.Transposed = side("At", cI, cU, func(i, u int) bool { return edge(u, i) })
	a.Transposed.Transposed = a
	return a
}

// encoded are the users' and items' rows, fused and by behaviour.
type encoded struct {
	users, items *op.Node
	byBehaviour  [cK]*op.Node // users only
}

// encode runs the layers: x_u' = sigmoid(mean_k(A_k x_i) W_u), items likewise; by behaviour sigmoid(A_k x_i W_u). The layers' rows side by side
// times C; layer 0 is left out.
func (c *cml) encode(m *model) encoded {
	xu, xi := c.users, c.items
	var us, is []*op.Node
	var by [cK][]*op.Node
	for range cLayers {
		var mu, mi []*op.Node
		for k := range cK {
			a := m.behaviour(k)
			mu, mi = append(mu, op.SpMM(a, xi)), append(mi, op.SpMM(a.Transposed, xu))
			by[k] = append(by[k], op.Sigmoid(op.Linear(mu[k], c.wu, nil)))
		}
		xu = op.Sigmoid(op.Linear(op.MeanOf(mu[0], mu[1:]...), c.wu, nil))
		xi = op.Sigmoid(op.Linear(op.MeanOf(mi[0], mi[1:]...), c.wi, nil))
		us, is = append(us, xu), append(is, xi)
	}
	e := encoded{users: op.Linear(op.Concat(1, us...), c.cu, nil), items: op.Linear(op.Concat(1, is...), c.ci, nil)}
	for k := range cK {
		e.byBehaviour[k] = op.Linear(op.Concat(1, by[k]...), c.cu, nil)
	}
	return e
}

// otherChunks is 1 where two rows of S stand in different chunks, [S, S].
func (m *model) otherChunks() *op.Node {
	v := make([]float64, cS*cS)
	for i := range v {
		if i/cS/cRun != i%cS/cRun {
			v[i] = 1
		}
	}
	return m.Const("other chunks", v, cS, cS)
}

// chunked is the reference's contrast of a user's target row x with its row y of one behaviour, [S]:
//
//	s(u,v) = e^(<x_u, y_v>/d);  l = -ln(1e-8 + s(u,u) / (1e-8 + Σ over other chunks s(u,v)))
func chunked(m *model, x, y *op.Node) *op.Node {
	s := op.Exp(op.Scale(op.MatMul(x, y, false, true), 1./cD))
	pos := op.Exp(op.Scale(op.RowDot(x, y), 1./cD))
	neg := op.Sum(op.Mul(s, m.otherChunks()), 1)
	return op.Neg(op.Log(op.AddConst(op.Div(pos, op.AddConst(neg, 1e-8)), 1e-8)))
}

func contrast(m *model) *op.Node {
	return op.Mean(chunked(m, m.matrix("x", cS, cD), m.matrix("y", cS, cD)))
}

func wantContrast(v values) (loss float64) {
	s := func(a, b int) float64 {
		z := 0.0
		for j := range cD {
			z += v["x"][a*cD+j] * v["y"][b*cD+j]
		}
		return math.Exp(z / cD)
	}
	for a := range cS {
		neg := 1e-8
		for b := range cS {
			if a/cRun != b/cRun {
				neg += s(a, b)
			}
		}
		loss -= math.Log(1e-8+s(a, a)/neg) / cS
	}
	return loss
}

// normed is BatchNorm1d(1) in train mode over the batch [n]: (x - mean)/sqrt(var + 1e-5)·gamma + beta. Running statistics are never read.
func (w *meta) normed(x *op.Node) *op.Node {
	centred := op.Sub(x, op.Mean(x))
	return op.Add(op.Mul(op.Div(centred, op.Sqrt(op.AddConst(op.Mean(op.Square(centred)), 1e-5))), w.gamma), w.beta)
}

// weigh is one half of the network, [n]: sig(BN(sqrt(width)·Dr(B Dr(PReLU(A in))))).
func (w *meta) weigh(m *model, stream string, in, a, b *op.Node) *op.Node {
	const drop = .4
	h := m.Dropout(stream+"/hidden", op.PReLU(op.Linear(in, a, nil), w.slope), drop)
	y := m.Dropout(stream+"/out", op.Linear(h, b, nil), drop)
	return op.Sigmoid(w.normed(op.Reshape(op.Scale(y, math.Sqrt(3*cD)), op.Desc(y).Dim[0])))
}

// weighShort is the other half: sig(BN(Dr(PReLU(A in)))).
func (w *meta) weighShort(m *model, stream string, in, a *op.Node) *op.Node {
	y := m.Dropout(stream+"/short", op.PReLU(op.Linear(in, a, nil), w.slope), .4)
	return op.Sigmoid(w.normed(op.Reshape(y, op.Desc(y).Dim[0])))
}

// repeated is a vector [n] as d equal columns.
func repeated(l *op.Node) *op.Node {
	return op.BroadcastLike(op.Column(l), op.Fill(l.Graph(), 0, kernels.Of(op.Desc(l).Type, op.Desc(l).Dim[0], cD)))
}

// objective is J of one batch, whose feeds and streams carry the round's name. detached: the weights have no gradient (round 3).
func (c *cml) objective(m *model, w *meta, round string, detached bool) *op.Node {
	const reg, contrastWeight = .01, .3
	e := c.encode(m)
	weight := func(stream string, x *op.Node) *op.Node {
		if detached {
			return m.stop(stream+" weights", x)
		}
		return x
	}
	s := m.index(round+"/S", cS, cU, false)
	x := op.Gather(e.users, s)
	var bpr, contrasts, squares []*op.Node
	for k := range cK {
		name := round + string(rune('0'+k))
		u, p, n := m.index(name+"/user", cB, cU, false), m.index(name+"/pos", cB, cI, false), m.index(name+"/neg", cB, cI, false)
		eu, ep, en := op.Gather(e.users, u), op.Gather(e.items, p), op.Gather(e.items, n)
		l := op.Softplus(op.Sub(op.RowDot(eu, en), op.RowDot(eu, ep)))
		uk := op.Gather(e.byBehaviour[k], u)
		wb := op.Add(w.weigh(m, name+"/b", op.Concat(1, repeated(l), eu, uk), w.r1, w.r2), w.weighShort(m, name+"/b", op.Mul(op.Column(l), eu), w.r3))
		bpr = append(bpr, op.Sum(op.Mul(weight(name+"/b", wb), l)))
		if k == cK-1 { // the rows of the last behaviour are those that L2 sees
			for _, r := range []*op.Node{eu, ep, en} {
				squares = append(squares, op.SumSquares(r))
			}
		}
		y := op.Gather(e.byBehaviour[k], s)
		lc := chunked(m, op.Gather(e.byBehaviour[cK-1], s), y)
		wc := op.Scale(op.Add(w.weigh(m, name+"/c", op.Concat(1, repeated(lc), y, x), w.l1, w.l2),
			w.weighShort(m, name+"/c", op.Mul(op.Column(lc), op.Concat(1, y, x)), w.l3)), .5)
		contrasts = append(contrasts, op.Sum(op.Mul(weight(name+"/c", wc), lc)))
	}
	j := op.SumOf(op.MeanOf(bpr[0], bpr[1:]...), op.Scale(op.SumOf(squares[0], squares[1:]...), reg), op.Scale(op.MeanOf(contrasts[0], contrasts[1:]...), contrastWeight))
	return op.Scale(j, 1./cB)
}

// cmlInner is J with the gradient of everything.
func cmlInner(m *model) *op.Node { return m.cml().objective(m, m.meta(), "round1", false) }

// clippedAdamW is one step of a fresh AdamW from zero moments, with clipping to a global norm, as nodes.
func clippedAdamW(m *model, params, grads []*op.Node, lr, clip float64) []*op.Node {
	squares := op.SumSquares(grads[0])
	for _, g := range grads[1:] {
		squares = op.Add(squares, op.SumSquares(g))
	}
	scale := op.Min(m.Scalar(1), op.Div(m.Scalar(clip), op.AddConst(op.Sqrt(squares), 1e-6)))
	const b1, b2 = .9, .999
	rates := m.Const("fresh rates", []float64{lr, 1 / (1 - b1), 1 / (1 - b2)}, 3)
	next := make([]*op.Node, len(params))
	for i, p := range params {
		zero := op.Fill(m.Graph, 0, op.Desc(p))
		next[i] = op.OptimiserStep(kernels.Adam{B1: b1, B2: b2, Eps: 1e-8, Decay: 1e-4, Decoupled: true}, p, zero, zero, grads[i], rates, scale, m.Scalar(1))[0]
	}
	return next
}

func (m *model) grad(cost *op.Node, wrt ...*op.Node) []*op.Node {
	g, err := op.Grad(cost, wrt...)
	if err != nil {
		panic(&op.Error{Err: err})
	}
	return g
}

// cmlFirst is the reference's second round: the copy took a step of AdamW that no gradient passes.
func cmlFirst(m *model) *op.Node {
	c, w := m.cml(), m.meta()
	next := clippedAdamW(m, c.list(), m.grad(c.objective(m, w, "round1", false), c.list()...), 3e-2, 20)
	copied := c.moved(func(i int, p *op.Node) *op.Node { return m.stop("theta1/"+p.Name(), next[i]) })
	outer := op.Scale(copied.objective(m, w, "round2", false), .5)
	// The copies do not lead back to theta; a third round makes every parameter one of this loss.
	return op.Add(outer, c.objective(m, w, "round3", true))
}

// cmlBilevel passes the gradient through a virtual step: theta1 = theta - alpha·dJ/dtheta.
func cmlBilevel(m *model) *op.Node {
	const alpha = .5
	c, w := m.cml(), m.meta()
	g := m.grad(c.objective(m, w, "round1", false), c.list()...)
	copied := c.moved(func(i int, p *op.Node) *op.Node { return op.Sub(p, op.Scale(g[i], alpha)) })
	return op.Scale(copied.objective(m, w, "round2", false), .5)
}

// penalised is a second derivative through the fused kernels: |d InfoNCE/dx|² with a queue that is not full, a row of padding, and unit rows.
func penalised(m *model) *op.Node {
	x, y := m.matrix("x", 4, cD), m.matrix("y", 5, cD)
	bias := m.reals("filled", func(_ uint64, i int) float64 {
		if i >= 3 {
			return math.Inf(-1)
		}
		return -.1 * float64(i)
	}, 5)
	weight := m.reals("weight", func(_ uint64, i int) float64 { return float64(1-i/3) / 3 }, 4)
	lse := op.LogSumExp(op.NormaliseRows(x), op.NormaliseRows(y), op.Similarity{Scale: 4, Unit: true, Bias: bias, FiniteBias: true, Weight: weight})
	g := m.grad(op.Sum(op.Mul(weight, op.Square(lse))), x, y)
	return op.Add(op.SumSquares(g[0]), op.SumSquares(g[1]))
}
