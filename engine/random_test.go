package engine_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"nearfar/engine"
	"nearfar/engine/cpu"
	"nearfar/engine/op"
	"nearfar/engine/paranoid"
	"nearfar/kernels"
	kernelset "nearfar/kernels/cpu"
)

// arbitrary is a program of random operators over four states [users+items, width], of the kinds that rewrites look for, and random updates.
func arbitrary(seed uint64) model {
	return func(b *engine.Builder) engine.Step {
		r := rand.New(rand.NewPCG(seed, 7))
		n := users + items
		var states, pool []*op.Node
		for i := range 4 {
			states = append(states, b.State(fmt.Sprint("s", i), engine.Gaussian(.5), n, width))
		}
		pool = append(pool, states...)
		g := bipartite(b)
		other := &op.Sparse{Beg: g.Beg, End: g.End, Col: g.Col} // the same edges, not normalised
		other.Symmetric()
		matrices := []*op.Sparse{g, other}
		f := &triples{}
		at := []op.Index{b.Index(f, "user"), b.Index(f, "pos")}
		everyRow := make([]int32, n)
		for i := range everyRow {
			everyRow[i] = int32((i + 3) % n)
		}
		turn := b.Indices("turn", everyRow)
		pick := func() *op.Node { // often one that was made lately
			if r.IntN(3) == 0 {
				return pool[r.IntN(len(pool))]
			}
			return pool[len(pool)-1-r.IntN(min(5, len(pool)))]
		}
		constant := func() *op.Node {
			shape := [][]int{{}, {1}, {width}, {n, 1}, {n, width}}[r.IntN(5)]
			return op.Fill(b.Graph, []float64{.5, -.25, 1.5, -2}[r.IntN(4)], b.Float(shape...))
		}
		makers := []func() *op.Node{
			func() *op.Node { return op.Add(pick(), pick()) },
			func() *op.Node { return op.Sub(pick(), pick()) },
			func() *op.Node { return op.Scale(pick(), .75) },
			func() *op.Node { return op.Neg(pick()) },
			func() *op.Node { return op.Scale(op.SpMM(matrices[r.IntN(2)], pick()), .3) },
			func() *op.Node {
				m := matrices[r.IntN(2)]
				return op.Sub(op.Scale(op.SpMM(m, pick()), .2), op.Scale(op.SpMM(m, pick()), .3))
			},
			func() *op.Node { return op.Tanh(op.Mul(pick(), pick())) },
			func() *op.Node { return op.Add(pick(), constant()) },
			func() *op.Node { return op.Sub(pick(), constant()) },
			func() *op.Node { return op.Sub(constant(), pick()) },
			func() *op.Node { return op.Mul(pick(), constant()) },
			func() *op.Node { return op.Div(pick(), constant()) },
			func() *op.Node { return op.Where(pick(), pick(), pick()) },
			func() *op.Node { return op.Max(pick(), op.Sigmoid(pick())) },
			func() *op.Node {
				i := at[r.IntN(2)]
				return op.Add(pick(), op.Scale(op.ScatterAdd(op.Gather(pick(), i), i, n), -.5))
			},
			func() *op.Node { return op.Put(pick(), pick(), turn) },
			func() *op.Node { return op.Mul(pick(), op.Column(op.RowDot(pick(), op.Tanh(pick())))) },
			func() *op.Node {
				return op.Reshape(op.Tanh(op.Mul(op.Reshape(pick(), width, n), op.Reshape(pick(), width, n))), n, width)
			},
			func() *op.Node { return op.NormaliseRows(op.AddConst(pick(), .1)) },
			func() *op.Node { return op.Softmax(pick(), nil) },
		}
		for range 40 {
			pool = append(pool, makers[r.IntN(len(makers))]())
		}
		s := engine.Step{Outputs: []engine.Named{{Name: "last", Value: pool[len(pool)-1]}}}
		for _, i := range r.Perm(len(states)) {
			next := pool[r.IntN(len(pool))]
			if r.IntN(2) == 0 { // may be in place
				next = op.Sub(op.Scale(states[i], .9), op.Scale(op.Tanh(next), .1))
			}
			s.Updates = append(s.Updates, engine.Update{State: states[i], Next: op.Tanh(next)})
			if r.IntN(4) == 0 {
				s.Updates[len(s.Updates)-1].Next = next
			}
		}
		if r.IntN(2) == 0 {
			s.Scalars = []engine.Named{{Name: "sum", Value: op.Sum(pick())}}
		}
		return s
	}
}

// Random programs give the same with every rewrite and with none, in any order, and on the processor. (40 seeds here; thousands were tried.)
func TestRandomPrograms(t *testing.T) {
	var none []engine.PlanOption
	for _, o := range rewrites {
		none = append(none, o)
	}
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			m := arbitrary(seed)
			plain := start(t, paranoid.New(seed), kernels.Float64, m, none...).steps(0, 3)
			full := start(t, paranoid.New(seed+1), kernels.Float64, m).steps(0, 3)
			agree(t, "with all rewrites", full, plain, 1e-9)
			close(t, "the last value", full.output("last"), plain.output("last"), 1e-9)
			for _, set := range []kernelset.Set{kernelset.Generic(), kernelset.Best()} {
				agree(t, "on "+set.Name(), start(t, cpu.New(2, set), kernels.Float64, m).steps(0, 3), plain, 1e-9)
			}
		})
	}
}
