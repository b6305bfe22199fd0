package awkward

import (
	"math"

	"nearfar/engine"
	"nearfar/engine/op"
	"nearfar/kernels"
	"nearfar/trainer/sample"
)

// Users, items, dimensions and batch of the graph models.
const gU, gI, gD, gB = 4, 5, 3, 4

// adjacency is the symmetric normalised graph of users and items; a view of it fills every row's slot only in part.
func (m *model) adjacency(view string, kept func(u, i int) bool) *op.Sparse {
	const n = gU + gI
	var beg, end, col []int32
	degree := make([]float64, n)
	for r := range n {
		beg = append(beg, int32(len(col)))
		rest := 0
		for c := range n {
			u, i := r, c-gU
			if r >= gU {
				u, i = c, r-gU
			}
			if u >= gU || i < 0 || (u+2*i)%3 == 0 {
				continue
			}
			if !kept(u, i) {
				rest++
				continue
			}
			col = append(col, int32(c))
			degree[r]++
		}
		end = append(end, int32(len(col)))
		for range rest { // the slot's unused end
			col = append(col, 0)
		}
	}
	scale := make([]float64, n)
	for r, d := range degree {
		if d > 0 {
			scale[r] = 1 / math.Sqrt(d)
		}
	}
	s := m.Const(view+"/scale", scale, n)
	return (&op.Sparse{Beg: m.Indices(view+"/beg", beg), End: m.Indices(view+"/end", end), Col: m.Indices(view+"/col", col), RowScale: s, ColScale: s}).Symmetric()
}

// distinct is a batch of nodes below bound with the weights and biases of its distinct ids.
func (m *model) distinct(name string, bound int) (rows op.Index, weight, bias *op.Node) {
	x, err := sample.NewIndex(name, gB, bound, true)
	if err != nil {
		panic(&op.Error{Err: err})
	}
	f := &fed{ports: x.Ports(), fill: func(t uint64, out []engine.Slot) error {
		for b := range gB {
			out[0].I32[b] = int32((int(t) + b*b) % bound) // 0 and 1 and 4 and 9: repeats for every bound here
		}
		return x.Invert(out)
	}}
	m.Feed(f)
	// The distinct ids are their own inverse: each stands once, so the scatter needs no sorting.
	return op.Only(m.Port(f, name+"/rows")), m.Port(f, name+"/unique"), m.Port(f, name+"/absent")
}

// simGCL: two noisy passes of two layers over one graph; the distinct users of the batch find themselves among each other.
func simGCL(m *model) *op.Node {
	e := m.matrix("nodes", gU+gI, gD)
	a := m.adjacency("clean", func(u, i int) bool { return true })
	pass := func(view string) *op.Node {
		x, sum := e, []*op.Node(nil)
		for layer := range 2 {
			x = op.SpMM(a, x)
			noise := op.NormaliseRows(m.Random(view+string(rune('0'+layer)), kernels.Uniform, 0, gU+gI, gD))
			x = op.Add(x, op.Scale(op.Mul(op.Sign(x), noise), .1))
			sum = append(sum, x)
		}
		return op.MeanOf(sum[0], sum[1:]...)
	}
	rows, weight, bias := m.distinct("user", gU)
	x, y := op.NormaliseRows(op.Gather(pass("view1"), rows)), op.NormaliseRows(op.Gather(pass("view2"), rows))
	m.show("x", x)
	m.show("y", y)
	m.show("weight", weight)
	lse := op.LogSumExp(x, y, op.Similarity{Scale: 5, Unit: true, Bias: bias, Weight: weight})
	return op.Sum(op.Mul(weight, op.Sub(lse, op.Scale(op.RowDot(x, y), 5))))
}

func wantSimGCL(v values) (loss float64) {
	dot := func(a, b int) (s float64) {
		for j := range gD {
			s += 5 * v["x"][a*gD+j] * v["y"][b*gD+j]
		}
		return s
	}
	for a, w := range v["weight"] {
		sum := 0.0
		for b, present := range v["weight"] {
			if present > 0 {
				sum += math.Exp(dot(a, b))
			}
		}
		if w > 0 {
			loss += w * (math.Log(sum) - dot(a, a))
		}
	}
	return loss
}

// sgl: BPR on the clean graph, and two views by edge dropout whose users find themselves among all users.
func sgl(m *model) *op.Node {
	e := m.matrix("nodes", gU+gI, gD)
	encode := func(view string, kept func(u, i int) bool) *op.Node {
		a := m.adjacency(view, kept)
		one := op.SpMM(a, e)
		return op.MeanOf(e, one, op.SpMM(a, one))
	}
	clean := encode("clean", func(u, i int) bool { return true })
	x := encode("view1", func(u, i int) bool { return (u+i)%4 != 1 })
	y := encode("view2", func(u, i int) bool { return (u*i)%3 != 2 })
	u, p, n := m.index("user", gB, gU, false), m.index("pos", gB, gI, true), m.index("neg", gB, gI, false)
	users, items := op.Slice(clean, 0, 0, gU), op.Slice(clean, 0, gU, gU+gI)
	eu := op.Gather(users, u)
	bpr := op.Mean(op.Softplus(op.Sub(op.RowDot(eu, op.Gather(items, n)), op.RowDot(eu, op.Gather(items, p)))))
	xs, ys := op.NormaliseRows(op.Gather(op.Slice(x, 0, 0, gU), u)), op.NormaliseRows(op.Slice(y, 0, 0, gU))
	lse := op.LogSumExp(xs, ys, op.Similarity{Scale: 5, Unit: true})
	ssl := op.Sum(op.Sub(lse, op.Scale(op.RowDot(xs, op.Gather(ys, u)), 5)))
	return op.Add(bpr, op.Scale(ssl, .1))
}
