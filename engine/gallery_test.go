package engine_test

import (
	"math"

	"nearfar/engine"
	"nearfar/engine/op"
	"nearfar/kernels"
)

// A gallery of programs at toy size that between them hold the awkward parts: two noisy views over a graph, a queue and an average, a
// gradient of a gradient.

const (
	users, items, width, batch = 6, 5, 4, 7
)

// triples is a feed of (user, pos, neg) with inverses and a weight that is 0 for the last row.
type triples struct{ fills int }

func (f *triples) Ports() (p []engine.Port) {
	for _, name := range []string{"user", "pos", "neg"} {
		for _, part := range []struct {
			suffix string
			n      int
		}{{"", batch}, {"/rows", batch}, {"/seg", batch + 1}, {"/perm", batch}} {
			p = append(p, engine.Port{Name: name + part.suffix, Desc: kernels.Of(kernels.Int32, part.n)})
		}
	}
	return append(p, engine.Port{Name: "weight", Desc: kernels.Of(kernels.Float32, batch)})
}

func (f *triples) Fill(t uint64, out []engine.Slot) error {
	f.fills++
	for k, rows := range []int32{users, items, items} {
		id := out[4*k].I32
		for i := range id {
			x := (t*31+uint64(k)*17+uint64(i))*0x9E3779B97F4A7C15 + 12345
			id[i] = int32((x >> 33) % uint64(rows))
		}
		id[batch-1] = -1
		invert(id, out[4*k+1].I32, out[4*k+2].I32, out[4*k+3].I32)
	}
	for i := range batch {
		out[12].Set(i, 1)
	}
	out[12].Set(batch-1, 0)
	return nil
}

// invert sorts the places of ids: rows are the distinct ones.
func invert(id, rows, seg, perm []int32) {
	n := 0
	for i, v := range id {
		if v < 0 {
			continue
		}
		k := n
		for ; k > 0 && id[perm[k-1]] > v; k-- {
			perm[k] = perm[k-1]
		}
		perm[k] = int32(i)
		n++
	}
	for k := n; k < len(perm); k++ {
		perm[k] = 0
	}
	d := 0
	for k := range n {
		if k == 0 || id[perm[k]] != id[perm[k-1]] {
			rows[d], seg[d] = id[perm[k]], int32(k)
			d++
		}
	}
	for k := d; k < len(seg); k++ {
		seg[k] = int32(n)
		if k < len(rows) {
			rows[k] = -1
		}
	}
}

// bipartite is the symmetric normalised graph in which user u has the items u, 2u+1 and 3u modulo their number.
func bipartite(b *engine.Builder) *op.Sparse {
	n := users + items
	adjacent := make([][]bool, n)
	for i := range adjacent {
		adjacent[i] = make([]bool, n)
	}
	for u := range users {
		for _, i := range []int{u % items, (2*u + 1) % items, 3 * u % items} {
			adjacent[u][users+i], adjacent[users+i][u] = true, true
		}
	}
	var beg, end, col []int32
	scale := make([]float64, n)
	for i := range n {
		beg = append(beg, int32(len(col)))
		for j := range n {
			if adjacent[i][j] {
				col = append(col, int32(j))
			}
		}
		end = append(end, int32(len(col)))
		scale[i] = 1 / math.Sqrt(float64(end[i]-beg[i]))
	}
	s := &op.Sparse{Beg: b.Indices("graph/beg", beg), End: b.Indices("graph/end", end), Col: b.Indices("graph/col", col)}
	s.RowScale = b.Const("graph/scale", scale, n)
	s.ColScale = s.RowScale
	return s.Symmetric()
}

// propagate is LightGCN's mean of layers; with a stream, SimGCL's noise is added at each.
func propagate(b *engine.Builder, g *op.Sparse, e *op.Node, layers int, stream string) *op.Node {
	sum := e
	for l := range layers {
		e = op.SpMM(g, e)
		if stream != "" {
			noise := op.NormaliseRows(b.Random(stream+string(rune('0'+l)), kernels.Uniform, 0, users+items, width))
			e = op.Add(e, op.Scale(op.Mul(op.Sign(e), noise), .1))
		}
		if l == 0 && stream != "" {
			sum = e
		} else {
			sum = op.Add(sum, e)
		}
	}
	return op.Scale(sum, 1/float64(layers+1))
}

func bpr(z *op.Node, user, pos, neg op.Index, weight *op.Node) *op.Node {
	u, p, n := halves(z)
	x := op.Gather(u, user)
	margin := op.Sub(op.RowDot(x, op.Gather(p, pos)), op.RowDot(x, op.Gather(n, neg)))
	return op.Scale(op.Sum(op.Mul(op.Softplus(op.Neg(margin)), weight)), 1./(batch-1))
}

func halves(z *op.Node) (u, i, same *op.Node) {
	u, i = op.Slice(z, 0, 0, users), op.Slice(z, 0, users, users+items)
	return u, i, i
}

// infoNCE contrasts rows of one view with all rows of the other.
func infoNCE(x, y *op.Node, at op.Index, weight *op.Node, tau float64) *op.Node {
	x, y = op.NormaliseRows(op.Gather(x, at)), op.NormaliseRows(y)
	lse := op.LogSumExp(x, y, op.Similarity{Scale: 1 / tau, Unit: true, Weight: weight})
	positive := op.Scale(op.RowDot(x, op.Gather(y, at)), 1/tau)
	return op.Scale(op.Sum(op.Mul(op.Sub(lse, positive), weight)), 1./(batch-1))
}

// contrastive is LightGCN with BPR, L2 and InfoNCE between two views (noisy: SimGCL's).
func contrastive(layers int, noisy bool) func(b *engine.Builder) engine.Objective {
	return func(b *engine.Builder) engine.Objective {
		g, f := bipartite(b), &triples{}
		e := b.Param("embedding", engine.Gaussian(.5), users+items, width)
		user, pos, neg, weight := b.Index(f, "user"), b.Index(f, "pos"), b.Index(f, "neg"), b.Port(f, "weight")
		z := propagate(b, g, e, layers, "")
		v, w := z, propagate(b, g, op.Scale(e, .5), 1, "")
		if noisy {
			v, w = propagate(b, g, e, layers, "first"), propagate(b, g, e, layers, "second")
		}
		vu, vi, _ := halves(v)
		wu, wi, _ := halves(w)
		eu, ei, _ := halves(e)
		reg := op.SumOf(op.SumSquares(op.Gather(eu, user)), op.SumSquares(op.Gather(ei, pos)), op.SumSquares(op.Gather(ei, neg)))
		return engine.Objective{
			{Name: "bpr", Weight: 1, Value: bpr(z, user, pos, neg, weight)},
			{Name: "ssl", Weight: .3, Value: op.Add(infoNCE(vu, wu, user, weight, .2), infoNCE(vi, wi, pos, weight, .2))},
			{Name: "reg", Weight: 1e-3, Value: reg},
		}
	}
}

func simGCL(b *engine.Builder) engine.Step {
	return engine.Optimise(b, contrastive(3, true)(b), engine.Adam(.01))
}

// moco has a momentum encoder, which the keys are encoded with after its own update, and a queue, which the logits are formed with before
// the keys enter it.
func moco(b *engine.Builder) engine.Step {
	f := &triples{}
	table := b.Param("table", engine.Gaussian(.5), users, width)
	w := b.Param("w", engine.XavierUniform, width, width)
	momentum := b.State("momentum", engine.Constant(.1), width, width)
	queue := b.State("queue", engine.Gaussian(1), 3*batch, width)
	filled := b.State("filled", engine.Constant(math.Inf(-1)), 3*batch)
	user, weight := b.Index(f, "user"), b.Port(f, "weight")
	at := b.Feed(ring{})[0]

	next := op.Add(op.Scale(momentum, .9), op.Scale(op.Detach(w), .1))
	x := op.Gather(table, user)
	q := op.NormaliseRows(op.MatMul(x, w, false, false))
	k := op.Detach(op.NormaliseRows(op.MatMul(x, next, false, false)))
	negatives := op.LogSumExp(q, queue, op.Similarity{Scale: 2, Bias: filled, Weight: weight})
	positive := op.Scale(op.RowDot(q, k), 2)
	loss := op.Sum(op.Mul(weight, op.Softplus(op.Sub(op.MaxConst(negatives, -50), positive))))
	s := engine.Optimise(b, engine.Objective{{Name: "moco", Weight: 1, Value: loss}}, engine.SGD(.1, .9))
	s.Updates = append(s.Updates,
		engine.Update{State: momentum, Next: next},
		engine.Update{State: queue, Next: op.Put(queue, k, at)},
		engine.Update{State: filled, Next: op.Put(filled, op.Fill(b.Graph, 0, b.Float(batch)), at)})
	s.Outputs = []engine.Named{{Name: "keys", Value: k}, {Name: "old queue", Value: queue}}
	return s
}

// ring says where the keys of step t enter the queue.
type ring struct{}

func (ring) Ports() []engine.Port {
	return []engine.Port{{Name: "ring/at", Desc: kernels.Of(kernels.Int32, batch)}}
}
func (ring) Fill(t uint64, out []engine.Slot) error {
	for i := range out[0].I32 {
		out[0].I32[i] = int32((t*batch + uint64(i)) % (3 * batch))
	}
	return nil
}

// bilevel has three levels: two virtual steps of theta, whose outer loss moves the rate at which they were taken and theta itself.
func bilevel(b *engine.Builder) engine.Step {
	f := &triples{}
	theta := b.Param("theta", engine.Gaussian(.7), users, width)
	gate := b.Param("gate", engine.Constant(.2), width)
	user, pos, weight := b.Index(f, "user"), b.Index(f, "pos"), b.Port(f, "weight")
	inner := func(theta *op.Node) *op.Node {
		x := op.NormaliseRows(op.Gather(theta, user))
		y := op.NormaliseRows(op.Mul(theta, op.Sigmoid(gate)))
		lse := op.LogSumExp(x, y, op.Similarity{Scale: 3, Unit: true, Weight: weight})
		return op.Add(op.Sum(op.Mul(lse, weight)), op.Sum(op.Tanh(op.MatMul(theta, theta, true, false))))
	}
	now := theta
	for range 2 {
		g, err := op.Grad(inner(now), now)
		if err != nil {
			panic(&op.Error{Err: err})
		}
		now = op.Sub(now, op.Scale(g[0], .05))
	}
	outer := op.SumSquares(op.Sub(op.Gather(now, user), op.Gather(now, pos)))
	return engine.Optimise(b, engine.Objective{{Name: "outer", Weight: 1, Value: outer}}, engine.Adagrad(.1))
}

var gallery = map[string]model{
	"lightgcn": func(b *engine.Builder) engine.Step {
		return engine.Optimise(b, contrastive(2, false)(b), engine.AdamW(.05, .01))
	},
	"simgcl":  simGCL,
	"rows":    fewRows,
	"moco":    moco,
	"bilevel": bilevel,
}
