package op_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"nearfar/engine/op"
)

func eachCase(t *testing.T, f func(b *bench, c opCase, y *op.Node, in operands)) {
	for _, c := range allCases() {
		t.Run(c.of+"/"+c.name, func(t *testing.T) {
			b := newBench(t)
			y, in := c.build(b)
			f(b, c, y, in)
		})
	}
}

// Every exported function that makes a node has a case, and every case is of one.
func TestEveryConstructorHasACase(t *testing.T) {
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	plumbing := map[string]bool{"Apply": true, "ApplyIn": true, "Output": true, "Leaf": true, "Grad": true, "Operator": true}
	exported := map[string]bool{}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv != nil || !f.Name.IsExported() || f.Type.Results == nil || plumbing[f.Name.Name] {
				continue
			}
			for _, r := range f.Type.Results.List {
				kind := r.Type
				if a, ok := kind.(*ast.ArrayType); ok {
					kind = a.Elt
				}
				if s, ok := kind.(*ast.StarExpr); ok {
					kind = s.X
				}
				if id, ok := kind.(*ast.Ident); ok && (id.Name == "Node" || id.Name == "Index") {
					exported[f.Name.Name] = true
				}
			}
		}
	}
	has := map[string]bool{}
	for _, c := range allCases() {
		has[c.of] = true
	}
	for name := range exported {
		if !has[name] {
			t.Errorf("%s has no case", name)
		}
	}
	for name := range has {
		if !exported[name] {
			t.Errorf("a case of %s, which the package does not export", name)
		}
	}
}

func TestDerivatives(t *testing.T) {
	eachCase(t, func(b *bench, _ opCase, y *op.Node, in operands) {
		cost := b.mixed("r", y)
		if len(in.flows) == 0 {
			return
		}
		grads, err := op.Grad(cost, in.flows...)
		if err != nil {
			b.t.Fatal(err)
		}
		for i, w := range in.flows {
			b.checkGradient("first", grads[i], cost, w, 1e-7)
		}
	})
}

// A gradient stops only where there is none, or where the operator's documentation says so; and what nobody wrote is an error.
func TestFlowIsHonest(t *testing.T) {
	eachCase(t, func(b *bench, c opCase, y *op.Node, in operands) {
		cost := b.mixed("r", y)
		for _, w := range in.stops {
			if d := b.differences(cost, w); !zeros(d) && c.name != "every column absent" {
				b.t.Errorf("the gradient of %s stops and is %v", w.Name(), d)
			}
			g, err := op.Grad(cost, w)
			if err == nil && !zeros(b.eval(g[0]).F) || err != nil && !strings.Contains(err.Error(), "does not depend on it") {
				b.t.Errorf("Grad of %s, whose gradient stops: %v", w.Name(), err)
			}
		}
		for _, w := range in.cut {
			if zeros(b.differences(cost, w)) {
				b.t.Errorf("%s is said to be cut and has no gradient", w.Name())
			}
			if _, err := op.Grad(cost, w); err == nil {
				b.t.Errorf("a gradient reaches %s", w.Name())
			}
		}
		def, _, _, _ := op.Operator(y)
		for _, w := range in.unwritten {
			_, err := op.Grad(cost, w)
			if err == nil || !strings.Contains(err.Error(), "not written") || !strings.Contains(err.Error(), def.Name()) || !strings.Contains(err.Error(), "input") {
				b.t.Errorf("Grad through an unwritten derivative: %v, want an error that names %s and the input", err, def.Name())
			}
		}
	})
}

// The gradient of Σ r·(first gradient) against differences of it.
func TestSecondDerivatives(t *testing.T) {
	eachCase(t, func(b *bench, c opCase, y *op.Node, in operands) {
		if len(in.flows) == 0 {
			return
		}
		grads, err := op.Grad(b.mixed("r", op.Square(y)), in.flows...)
		if err != nil {
			b.t.Fatal(err)
		}
		cost := b.mixed("r0", grads[0])
		for i, g := range grads[1:] {
			cost = op.Add(cost, b.mixed(fmt.Sprint("r", i+1), g))
		}
		second, err := op.Grad(cost, in.flows...)
		if c.once {
			if err == nil || !strings.Contains(err.Error(), "no form in smaller operators") {
				b.t.Errorf("a second derivative that nobody wrote: %v", err)
			}
			return
		}
		if err != nil {
			b.t.Fatal(err)
		}
		for i, w := range in.flows {
			b.checkGradient("second", second[i], cost, w, 1e-6)
		}
	})
}

// Whatever is written twice, fused and in smaller operators, is one function with one gradient.
func TestExpansions(t *testing.T) {
	expanded := map[string]bool{}
	eachCase(t, func(b *bench, c opCase, y *op.Node, in operands) {
		if c.once || len(in.flows) == 0 {
			return
		}
		grads, err := op.Grad(b.mixed("r", y), in.flows...)
		if err != nil {
			b.t.Fatal(err)
		}
		for _, n := range composites(append(grads, y)) {
			def, _, _, _ := op.Operator(n)
			expanded[def.Name()] = true
			b.checkExpansion(n)
		}
	})
	for _, name := range []string{"LogSumExp", "LogSumExpGrad", "NormaliseRowsGrad"} {
		if !expanded[name] {
			t.Errorf("no case expands %s", name)
		}
	}
}

func composites(roots []*op.Node) (found []*op.Node) {
	seen := map[*op.Node]bool{}
	var visit func(n *op.Node)
	visit = func(n *op.Node) {
		def, in, _, ok := op.Operator(n)
		if seen[n] || !ok {
			return
		}
		seen[n] = true
		if _, ok := def.(op.Composite); ok {
			found = append(found, n)
		}
		for _, c := range in {
			visit(c)
		}
	}
	for _, r := range roots {
		visit(r)
	}
	return found
}

// checkExpansion compares on fresh leaves that hold the operands' values, so that a gradient is one of this operator alone.
func (b *bench) checkExpansion(n *op.Node) {
	def, in, _, _ := op.Operator(n)
	alone := newBench(b.t)
	leaves := make([]*op.Node, len(in))
	for i, c := range in {
		leaves[i] = op.Leaf(alone.graph, fmt.Sprint("in", i), op.Desc(c))
		alone.leaves[leaves[i]] = b.eval(c)
	}
	fused := op.Apply(def, leaves)
	small := def.(op.Composite).Expand(leaves)
	if len(small) != op.Outputs(fused) {
		b.t.Fatalf("%s has %d outputs and expands to %d", def.Name(), op.Outputs(fused), len(small))
	}
	for k := range small {
		whole := op.Output(fused, k)
		same(b.t, fmt.Sprintf("%s, output %d", def.Name(), k), alone.eval(whole).F, alone.eval(small[k]).F)
		for i, w := range leaves {
			if def.Flow(i) != op.Flows || !op.Desc(w).Type.IsFloat() {
				continue
			}
			r := alone.float(fmt.Sprint("r", k, i), alone.apart, op.Desc(whole).Shape()...)
			g, err := op.Grad(op.Sum(op.Mul(whole, r)), w)
			if err != nil {
				b.t.Fatal(err)
			}
			h, err := op.Grad(op.Sum(op.Mul(small[k], r)), w)
			if err != nil {
				b.t.Fatal(err)
			}
			same(b.t, fmt.Sprintf("%s, gradient of output %d by input %d", def.Name(), k, i), alone.eval(g[0]).F, alone.eval(h[0]).F)
		}
	}
}

func same(t *testing.T, what string, a, b []float64) {
	t.Helper()
	if len(a) != len(b) {
		t.Fatalf("%s: %d and %d numbers", what, len(a), len(b))
	}
	for i := range a {
		if a[i] != b[i] && !(math.Abs(a[i]-b[i]) <= 1e-12*(1+math.Abs(a[i]))) {
			t.Errorf("%s: element %d is %v fused and %v expanded", what, i, a[i], b[i])
			return
		}
	}
}

// A row that is absent may hold logits beyond what e^s can represent; its expansion must not turn them into NaN.
func TestExpansionOfAbsentRows(t *testing.T) {
	b := newBench(t)
	x, y := b.values64("x", []float64{1, 2, 4000, 4000}, 2, 2), b.float("y", b.above, 3, 2)
	weight := b.values64("weight", []float64{1, 0}, 2)
	lse := op.LogSumExp(x, y, op.Similarity{Scale: 1, Weight: weight})
	g, err := op.Grad(op.Sum(lse), x)
	if err != nil {
		t.Fatal(err)
	}
	second, err := op.Grad(op.SumSquares(g[0]), x, y)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range append(composites(g), second...) {
		for i, v := range b.eval(n).F {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				t.Errorf("element %d is %v", i, v)
			}
		}
	}
	for _, n := range composites(g) {
		b.checkExpansion(n)
	}
}
