package op_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"nearfar/engine/op"
	"nearfar/kernels"
)

// bench evaluates graphs by the kernels' references, without a plan.
type bench struct {
	t      *testing.T
	graph  *op.Graph
	leaves map[*op.Node]kernels.Tensor64
	values map[*op.Node]kernels.Tensor64
	rand   *rand.Rand
}

func newBench(t *testing.T) *bench {
	return &bench{t: t, graph: op.NewGraph(), leaves: map[*op.Node]kernels.Tensor64{}, rand: rand.New(rand.NewPCG(1, 2))}
}

func (b *bench) float(name string, f func() float64, dims ...int) *op.Node {
	v := kernels.NewTensor64(kernels.Of(kernels.Float64, dims...))
	for i := range v.F {
		v.F[i] = f()
	}
	n := op.Leaf(b.graph, name, v.Desc)
	b.leaves[n] = v
	return n
}

func (b *bench) values64(name string, f []float64, dims ...int) *op.Node {
	i := -1
	return b.float(name, func() float64 { i++; return f[i] }, dims...)
}

func (b *bench) ints(name string, v ...int32) *op.Node {
	t := kernels.Tensor64{Desc: kernels.Of(kernels.Int32, len(v)), I: v}
	n := op.Leaf(b.graph, name, t.Desc)
	b.leaves[n] = t
	return n
}

// apart is a number at least .15 from 0, where no elementwise operator has its kink.
func (b *bench) apart() float64 {
	v := .15 + b.rand.Float64()
	if b.rand.IntN(2) == 0 {
		return -v
	}
	return v
}

func (b *bench) above() float64 { return .3 + b.rand.Float64() }

// eval computes a node afresh.
func (b *bench) eval(n *op.Node) kernels.Tensor64 {
	b.values = map[*op.Node]kernels.Tensor64{}
	return b.value(n)
}

func (b *bench) value(n *op.Node) kernels.Tensor64 {
	if v, ok := b.values[n]; ok {
		return v
	}
	v, ok := b.leaves[n]
	if !ok {
		def, in, _, isOp := op.Operator(n)
		if !isOp {
			b.t.Fatalf("the leaf %v has no value", n)
		}
		operands := make([]kernels.Tensor64, len(in))
		descs := make([]kernels.Desc, len(in))
		for i, c := range in {
			operands[i] = b.value(c)
			descs[i] = op.Desc(c)
		}
		outs, err := def.Infer(descs)
		if err != nil {
			b.t.Fatal(err)
		}
		out := make([]kernels.Tensor64, len(outs))
		for i, d := range outs {
			out[i] = kernels.NewTensor64(d)
		}
		def.Ref(out, operands)
		v = out[op.OutputIndex(n)]
	}
	b.values[n] = v
	return v
}

// mixed is a scalar of everything in y: Σ r·y with fixed random r.
func (b *bench) mixed(name string, y *op.Node) *op.Node {
	return op.Sum(op.Mul(y, b.float(name, b.apart, op.Desc(y).Shape()...)))
}

const step = 1e-5

// differences is the gradient of a scalar by central differences, element by element.
func (b *bench) differences(scalar, wrt *op.Node) []float64 {
	x := b.leaves[wrt].F
	g := make([]float64, len(x))
	for i, v := range x {
		x[i] = v + step
		up := b.eval(scalar).F[0]
		x[i] = v - step
		down := b.eval(scalar).F[0]
		x[i] = v
		g[i] = (up - down) / (2 * step)
	}
	return g
}

// checkGradient compares element by element, and along one direction with all elements in it.
func (b *bench) checkGradient(what string, got *op.Node, scalar, wrt *op.Node, tolerance float64) {
	b.t.Helper()
	want := b.differences(scalar, wrt)
	have := b.eval(got).F
	for i := range want {
		if !(math.Abs(have[i]-want[i]) <= tolerance*(1+math.Abs(want[i]))) {
			b.t.Errorf("%s: element %d of d/d%s is %.9g, by differences %.9g", what, i, wrt.Name(), have[i], want[i])
			return
		}
	}
	x := b.leaves[wrt].F
	direction, along := make([]float64, len(x)), 0.0
	for i := range x {
		direction[i] = b.rand.NormFloat64() / math.Sqrt(float64(len(x)))
		along += direction[i] * have[i]
	}
	move := func(h float64) float64 {
		for i := range x {
			x[i] += h * direction[i]
		}
		v := b.eval(scalar).F[0]
		for i := range x {
			x[i] -= h * direction[i]
		}
		return v
	}
	if d := (move(step) - move(-step)) / (2 * step); !(math.Abs(d-along) <= tolerance*(1+math.Abs(d))) {
		b.t.Errorf("%s: the derivative along a direction is %.9g, by differences %.9g", what, along, d)
	}
}

func zeros(v []float64) bool {
	for _, x := range v {
		if math.Abs(x) > 1e-9 {
			return false
		}
	}
	return true
}
