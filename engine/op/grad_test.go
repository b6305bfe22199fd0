package op_test

import (
	"math"
	"strings"
	"testing"

	"nearfar/engine/op"
	"nearfar/kernels"
)

func TestGradErrors(t *testing.T) {
	b := newBench(t)
	x, y := b.float("x", b.apart, 2, 2), b.float("y", b.apart, 2, 2)
	sparse := &op.Sparse{Beg: b.ints("beg", 0, 1), End: b.ints("end", 1, 2), Col: b.ints("col", 1, 0)}
	tests := []struct {
		name, want string
		cost, wrt  *op.Node
	}{
		{"no scalar", "not a real scalar", x, x},
		{"no dependence", "does not depend on it", op.Sum(x), y},
		{"no transposed matrix", "Transposed", op.Sum(op.SpMM(sparse, x)), x},
		{"an integer cost", "not a real scalar", op.Reshape(b.ints("one", 1)), x},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			if _, err := op.Grad(c.cost, c.wrt); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Grad: %v, want an error with %q", err, c.want)
			}
		})
	}
}

// What does not fit panics with *op.Error, which engine.Build returns, and nothing else.
func TestConstructorsRefuseMisfits(t *testing.T) {
	b := newBench(t)
	x, v := b.float("x", b.apart, 2, 3), b.float("v", b.apart, 4)
	id := b.ints("id", 0, 1)
	for name, f := range map[string]func(){
		"Add":           func() { op.Add(x, v) },
		"MatMul":        func() { op.MatMul(x, x, false, false) },
		"Gather":        func() { op.Gather(x, op.Only(x)) },
		"Reshape":       func() { op.Reshape(x, 5) },
		"Permute":       func() { op.Permute(x, 1) },
		"Slice":         func() { op.Slice(x, 0, 1, 9) },
		"Slice axis":    func() { op.Slice(x, -1, 0, 1) },
		"Concat":        func() { op.Concat(0, x, v) },
		"TopK":          func() { op.TopK(x, 9) },
		"Put":           func() { op.Put(v, x, id) },
		"LogSumExp":     func() { op.LogSumExp(x, x, op.Similarity{}) },
		"Concat none":   func() { op.Concat(0) },
		"ArgMax scalar": func() { op.ArgMax(op.Sum(x)) },
		"Linear":        func() { op.Linear(x, v, nil) },
		"Sum":           func() { op.Sum(x, 7) },
		"Reshape rank":  func() { op.Reshape(x, 1, 1, 1, 2, 3) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if r := recover(); r == nil {
					t.Error("it passed")
				} else if _, ok := r.(*op.Error); !ok {
					t.Errorf("it panics with %v, want *op.Error", r)
				}
			}()
			f()
		})
	}
}

// Grad is right the second time on one graph, and on its own results: x^5 and its derivatives.
func TestGradOfGrad(t *testing.T) {
	b := newBench(t)
	x := b.values64("x", []float64{1.3})
	y := op.Mul(op.Square(op.Square(x)), x)
	want := []float64{5 * math.Pow(1.3, 4), 20 * math.Pow(1.3, 3), 60 * math.Pow(1.3, 2), 120 * 1.3, 120}
	for round := range 2 {
		d := y
		for k, w := range want {
			g, err := op.Grad(d, x)
			if err != nil {
				t.Fatal(err)
			}
			d = g[0]
			if got := b.eval(d).F[0]; math.Abs(got-w) > 1e-10*w {
				t.Errorf("round %d: derivative %d of x^5 is %v, want %v", round, k+1, got, w)
			}
		}
	}
}

// A gradient by an inner node treats it as a leaf.
func TestGradOfInnerNode(t *testing.T) {
	b := newBench(t)
	x := b.values64("x", []float64{2, 3}, 2)
	y := op.Square(x)
	if _, err := op.Grad(op.SumSquares(y), y, x); err != nil && !strings.Contains(err.Error(), "does not depend") {
		t.Fatal(err)
	}
	g, err := op.Grad(op.SumSquares(y), y)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []float64{8, 18} {
		if got := b.eval(g[0]).F[i]; got != want {
			t.Errorf("d Σy²/dy[%d] = %v, want %v", i, got, want)
		}
	}
}

func TestDot(t *testing.T) {
	b := newBench(t)
	x := b.float("x", b.apart, 2)
	if d := op.Dot(op.Exp(x)); !strings.Contains(d, "digraph") || !strings.Contains(d, "exp") {
		t.Errorf("Dot gives %q", d)
	}
}

func TestForeignOperatorsAreRefused(t *testing.T) {
	b := newBench(t)
	x := b.float("x", b.apart, 2)
	if name, foreign := op.Foreign(op.Exp(x)); foreign {
		t.Errorf("our own %s is foreign", name)
	}
	if op.Desc(op.Exp(x)) != kernels.Of(kernels.Float64, 2) {
		t.Errorf("Desc is %v", op.Desc(op.Exp(x)))
	}
}

// A bound on the logits is promised wherever unit rows and the absence of a bias make one true, at every temperature.
func TestBound(t *testing.T) {
	b := newBench(t)
	x, bias := b.float("x", b.apart, 3, 2), b.float("bias", b.apart, 3)
	for name, c := range map[string]struct {
		s       op.Similarity
		bounded bool
	}{
		"unit":            {op.Similarity{Scale: 10, Unit: true}, true},
		"negative scale":  {op.Similarity{Scale: -10, Unit: true}, true},
		"absent columns":  {op.Similarity{Scale: 10, Unit: true, Bias: bias}, true},
		"any rows":        {op.Similarity{Scale: 10}, false},
		"a bias":          {op.Similarity{Scale: 10, Unit: true, Bias: bias, FiniteBias: true}, false},
		"low temperature": {op.Similarity{Scale: 100, Unit: true}, true},
	} {
		def, _, _, _ := op.Operator(op.LogSumExp(x, x, c.s))
		bound := def.Base().(kernels.LogSumExp).Bound
		if c.bounded != (bound > 0) || c.bounded && bound < 10 {
			t.Errorf("%s: a bound of %v", name, bound)
		}
	}
}

// A matrix whose sides are scaled differently is not its own transposed, whatever its pattern.
func TestSymmetricNeedsOneScale(t *testing.T) {
	b := newBench(t)
	one, two := b.float("one", b.above, 2), b.float("two", b.above, 2)
	pattern := op.Sparse{Beg: b.ints("beg", 0, 1), End: b.ints("end", 1, 2), Col: b.ints("col", 1, 0)}
	symmetric := func(row, col *op.Node) (err error) {
		defer func() {
			if r := recover(); r != nil {
				err = r.(*op.Error)
			}
		}()
		s := pattern
		s.RowScale, s.ColScale = row, col
		if s.Symmetric(); s.Transposed != &s {
			t.Error("a symmetric matrix is not its own transposed")
		}
		return nil
	}
	for _, scale := range []*op.Node{nil, one} {
		if err := symmetric(scale, scale); err != nil {
			t.Error(err)
		}
	}
	for _, pair := range [][2]*op.Node{{one, two}, {one, nil}, {nil, two}} {
		if err := symmetric(pair[0], pair[1]); err == nil || !strings.Contains(err.Error(), "Sparse.Transposed") {
			t.Errorf("two scales: %v", err)
		}
	}
}

// half is x·y whose derivative is said to stop at y; the derivative by x is not written, and the expansion is.
type half struct{ kernels.Map }

func (h half) Base() kernels.Kernel            { return h.Map }
func (h half) Pull(*op.Pull) []*op.Node        { return nil }
func (h half) Expand(in []*op.Node) []*op.Node { return []*op.Node{op.Mul(in[0], in[1])} }
func (h half) Flow(input int) op.Flow {
	if input == 1 {
		return op.Stops
	}
	return op.Unwritten
}

// The gradient through an expansion stops at the operator's inputs, where one of them is computed from another too.
func TestExpansionStopsAtTheInputs(t *testing.T) {
	b := newBench(t)
	x := b.values64("x", []float64{3, 5}, 2)
	g, err := op.Grad(op.Sum(op.Apply(half{kernels.Binary(kernels.Mul)}, []*op.Node{x, op.Square(x)})), x)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range b.eval(g[0]).F {
		if want := []float64{9, 25}[i]; v != want { // x², not 3x²
			t.Errorf("element %d is %v, want %v", i, v, want)
		}
	}
}
