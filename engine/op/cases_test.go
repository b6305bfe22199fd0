package op_test

import (
	"math"

	"nearfar/engine/op"
	"nearfar/kernels"
)

// operands are the inputs of a case by what happens to a gradient at them.
type operands struct {
	flows     []*op.Node
	stops     []*op.Node // the derivative is zero
	cut       []*op.Node // the derivative is not zero and stops by definition, as the operator's documentation says
	unwritten []*op.Node
}

type build func(b *bench) (*op.Node, operands)

// opCase is one use of a constructor. `of` is the exported constructor that it is a case of.
type opCase struct {
	of, name string
	build    build
	once     bool // has no second derivative, by documentation
}

func on(n ...*op.Node) operands { return operands{flows: n} }

func unaryCase(of string, f func(*op.Node) *op.Node, v func(*bench) func() float64) opCase {
	return opCase{of: of, build: func(b *bench) (*op.Node, operands) {
		x := b.float("x", v(b), 3, 2)
		return f(x), on(x)
	}}
}

func flatCase(of string, f func(*op.Node) *op.Node) opCase {
	return opCase{of: of, build: func(b *bench) (*op.Node, operands) {
		x := b.float("x", b.apart, 3, 2)
		return f(x), operands{stops: []*op.Node{x}}
	}}
}

// pairCases are an operator of two operands on equal shapes and on everything that broadcasts.
func pairCases(of string, f func(a, b *op.Node) *op.Node, flat bool) (cases []opCase) {
	for _, s := range []struct {
		name string
		a, b []int
	}{
		{"equal", []int{2, 3}, []int{2, 3}},
		{"row", []int{2, 3}, []int{3}},
		{"column", []int{2, 3}, []int{2, 1}},
		{"scalar first", []int{}, []int{2, 3}},
		{"scalar second", []int{2, 3}, []int{}},
		{"both", []int{2, 1}, []int{1, 3}},
		{"rank", []int{3, 1}, []int{2, 3, 2}},
		{"ones in front", []int{1, 1, 3}, []int{3}},
		{"scalars", []int{}, []int{}},
	} {
		cases = append(cases, opCase{of: of, name: s.name, build: func(b *bench) (*op.Node, operands) {
			x, y := b.float("x", b.apart, s.a...), b.float("y", b.apart, s.b...)
			if flat {
				return f(x, y), operands{stops: []*op.Node{x, y}}
			}
			return f(x, y), on(x, y)
		}})
	}
	if !flat {
		cases = append(cases, opCase{of: of, name: "with itself, moved", build: func(b *bench) (*op.Node, operands) {
			x := b.float("x", b.apart, 2, 3)
			return f(x, op.AddConst(x, 3)), on(x)
		}})
	}
	return cases
}

func apart(b *bench) func() float64 { return b.apart }
func above(b *bench) func() float64 { return b.above }

func elementwiseCases() []opCase {
	cases := []opCase{
		unaryCase("Neg", op.Neg, apart), unaryCase("Exp", op.Exp, apart), unaryCase("Log", op.Log, above), unaryCase("Sqrt", op.Sqrt, above),
		unaryCase("Recip", op.Recip, apart), unaryCase("Sigmoid", op.Sigmoid, apart), unaryCase("Tanh", op.Tanh, apart),
		unaryCase("ReLU", op.ReLU, apart), unaryCase("Softplus", op.Softplus, apart), unaryCase("Square", op.Square, apart),
		unaryCase("Scale", func(x *op.Node) *op.Node { return op.Scale(x, -1.7) }, apart),
		unaryCase("AddConst", func(x *op.Node) *op.Node { return op.AddConst(x, .3) }, apart),
		unaryCase("MaxConst", func(x *op.Node) *op.Node { return op.MaxConst(x, .05) }, apart),
		flatCase("Sign", op.Sign), flatCase("Positive", op.Positive),
		{of: "Where", build: func(b *bench) (*op.Node, operands) {
			cond := b.values64("cond", []float64{1, 0, -2, 0, 0, 1}, 2, 3)
			x, y := b.float("x", b.apart, 2, 3), b.float("y", b.apart, 2, 3)
			return op.Where(cond, x, y), operands{flows: []*op.Node{x, y}}
		}},
		{of: "Where", name: "broadcast", build: func(b *bench) (*op.Node, operands) {
			cond := b.values64("cond", []float64{1, 0}, 2, 1)
			x, y := b.float("x", b.apart, 3), b.float("y", b.apart)
			return op.Where(cond, x, y), operands{flows: []*op.Node{x, y}}
		}},
		{of: "Where", name: "condition", build: func(b *bench) (*op.Node, operands) {
			cond := b.float("cond", b.apart, 2, 3)
			x, y := b.float("x", b.apart, 2, 3), b.float("y", b.apart, 2, 3)
			return op.Where(cond, x, y), operands{flows: []*op.Node{x, y}, stops: []*op.Node{cond}}
		}},
		{of: "PReLU", build: func(b *bench) (*op.Node, operands) {
			x, slope := b.float("x", b.apart, 4, 2), b.float("slope", b.above, 2)
			return op.PReLU(x, slope), on(x, slope)
		}},
		{of: "SumOf", build: func(b *bench) (*op.Node, operands) {
			x, y := b.float("x", b.apart, 2, 3), b.float("y", b.apart, 2, 3)
			return op.SumOf(x, y, op.Square(x)), on(x, y)
		}},
		{of: "MeanOf", build: func(b *bench) (*op.Node, operands) {
			x, y := b.float("x", b.apart, 2, 3), b.float("y", b.apart, 2, 3)
			return op.MeanOf(x, y, y), on(x, y)
		}},
		{of: "BroadcastLike", build: func(b *bench) (*op.Node, operands) {
			x, like := b.float("x", b.apart, 1, 3), b.float("like", b.apart, 2, 2, 3)
			return op.BroadcastLike(x, like), operands{flows: []*op.Node{x}, stops: []*op.Node{like}}
		}},
		{of: "BroadcastLike", name: "the shape that it has", build: func(b *bench) (*op.Node, operands) {
			x, like := b.float("x", b.apart, 2, 3), b.float("like", b.apart, 2, 3)
			return op.BroadcastLike(x, like), operands{flows: []*op.Node{x}, stops: []*op.Node{like}}
		}},
	}
	for of, f := range map[string]func(a, b *op.Node) *op.Node{"Add": op.Add, "Sub": op.Sub, "Mul": op.Mul, "Div": op.Div, "Max": op.Max, "Min": op.Min} {
		cases = append(cases, pairCases(of, f, false)...)
	}
	return append(append(cases, pairCases("Equal", op.Equal, true)...), pairCases("Greater", op.Greater, true)...)
}

func matrixCases() (cases []opCase) {
	for _, batch := range [][]int{nil, {3}, {2, 2}} {
		for _, transA := range []bool{false, true} {
			for _, transB := range []bool{false, true} {
				cases = append(cases, opCase{of: "MatMul", name: map[int]string{0: "", 1: "batch ", 2: "batches "}[len(batch)] + transposes(transA, transB),
					build: func(b *bench) (*op.Node, operands) {
						shape := func(rows, cols int, turned bool) []int {
							if turned {
								rows, cols = cols, rows
							}
							return append(append([]int{}, batch...), rows, cols)
						}
						x, y := b.float("x", b.apart, shape(2, 3, transA)...), b.float("y", b.apart, shape(3, 4, transB)...)
						return op.MatMul(x, y, transA, transB), on(x, y)
					}})
			}
		}
	}
	return append(cases,
		opCase{of: "MatMul", name: "a Gram matrix", build: func(b *bench) (*op.Node, operands) {
			x := b.float("x", b.apart, 3, 2)
			return op.MatMul(x, x, false, true), on(x)
		}},
		opCase{of: "Linear", build: func(b *bench) (*op.Node, operands) {
			x, w, bias := b.float("x", b.apart, 2, 2, 3), b.float("w", b.apart, 3, 4), b.float("bias", b.apart, 4)
			return op.Linear(x, w, bias), on(x, w, bias)
		}},
		opCase{of: "Linear", name: "without bias", build: func(b *bench) (*op.Node, operands) {
			x, w := b.float("x", b.apart, 5, 3), b.float("w", b.apart, 3, 4)
			return op.Linear(x, w, nil), on(x, w)
		}},
		opCase{of: "SpMM", name: "symmetric, scaled", build: func(b *bench) (*op.Node, operands) {
			// 0-1, 1-2, 2-2
			s := &op.Sparse{Beg: b.ints("beg", 0, 1, 3), End: b.ints("end", 1, 3, 5), Col: b.ints("col", 1, 0, 2, 1, 2)}
			s.RowScale = b.float("scale", b.above, 3)
			s.ColScale = s.RowScale
			x := b.float("x", b.apart, 3, 2)
			return op.SpMM(s.Symmetric(), x), operands{flows: []*op.Node{x}, unwritten: []*op.Node{s.RowScale}}
		}},
		opCase{of: "SpMM", name: "transposed beside it, scaled, with gaps", build: func(b *bench) (*op.Node, operands) {
			// [2 x 3]: row 0 holds columns 2, 0 and an unused slot; row 1 holds column 2
			s := &op.Sparse{Beg: b.ints("beg", 0, 3), End: b.ints("end", 2, 4), Col: b.ints("col", 2, 0, 7, 2)}
			s.RowScale, s.ColScale = b.float("row scale", b.above, 2), b.float("col scale", b.above, 3)
			s.Transposed = &op.Sparse{Beg: b.ints("tbeg", 0, 1, 1), End: b.ints("tend", 1, 1, 3), Col: b.ints("tcol", 0, 0, 1), RowScale: s.ColScale, ColScale: s.RowScale}
			x := b.float("x", b.apart, 3, 2)
			return op.SpMM(s, x), on(x)
		}},
		opCase{of: "SpMM", name: "transposed beside it, valued", build: func(b *bench) (*op.Node, operands) {
			s := &op.Sparse{Beg: b.ints("beg", 0, 2), End: b.ints("end", 2, 3), Col: b.ints("col", 2, 0, 2), Val: b.values64("val", []float64{2, 3, 5}, 3)}
			s.Transposed = &op.Sparse{Beg: b.ints("tbeg", 0, 1, 1), End: b.ints("tend", 1, 1, 3), Col: b.ints("tcol", 0, 0, 1), Val: b.values64("tval", []float64{3, 2, 5}, 3)}
			x := b.float("x", b.apart, 3, 2)
			return op.SpMM(s, x), operands{flows: []*op.Node{x}, unwritten: []*op.Node{s.Val}}
		}},
	)
}

func transposes(a, b bool) string {
	return map[bool]string{false: "A", true: "Aᵀ"}[a] + map[bool]string{false: "B", true: "Bᵀ"}[b]
}

func reduceCases() []opCase {
	sums := func(of string, f func(x *op.Node, along ...int) *op.Node, all bool) (cases []opCase) {
		for name, along := range map[string][]int{"rows": {0}, "last": {2}, "two": {0, 2}, "every": {0, 1, 2}, "all": nil} {
			if along == nil && !all {
				continue
			}
			cases = append(cases, opCase{of: of, name: name, build: func(b *bench) (*op.Node, operands) {
				x := b.float("x", b.apart, 2, 3, 2)
				return f(x, along...), on(x)
			}})
		}
		return cases
	}
	cases := append(sums("Sum", op.Sum, true), sums("SumKeep", op.SumKeep, false)...)
	cases = append(append(cases, sums("Mean", op.Mean, true)...), sums("LogSumExpAlong", op.LogSumExpAlong, false)...)
	return append(cases,
		opCase{of: "Sum", name: "of a scalar", build: func(b *bench) (*op.Node, operands) {
			x := b.float("x", b.apart)
			return op.Sum(x), on(x)
		}},
		unaryCase("SumSquares", op.SumSquares, apart),
		opCase{of: "Largest", build: func(b *bench) (*op.Node, operands) {
			x := b.float("x", b.apart, 2, 3)
			return op.Largest(x, 1), operands{unwritten: []*op.Node{x}}
		}},
		flatCase("AllFinite", op.AllFinite),
		opCase{of: "LogSumExpAlong", name: "absent elements", build: func(b *bench) (*op.Node, operands) {
			x, absent := b.float("x", b.apart, 3, 3), b.values64("absent", []float64{0, math.Inf(-1), 0, 0, 0, 0, math.Inf(-1), math.Inf(-1), math.Inf(-1)}, 3, 3)
			lse := op.LogSumExpAlong(op.Add(x, absent), 1)
			return op.Slice(lse, 0, 0, 2), on(x)
		}},
		unaryCase("Softmax", func(x *op.Node) *op.Node { return op.Softmax(x, nil) }, apart),
		opCase{of: "Softmax", name: "masked", build: func(b *bench) (*op.Node, operands) {
			x, mask := b.float("x", b.apart, 3, 3), b.values64("mask", []float64{1, 0, 1, 1, 1, 1, 0, 0, 0}, 3, 3)
			return op.Softmax(x, mask), operands{flows: []*op.Node{x}}
		}},
		opCase{of: "TopK", build: func(b *bench) (*op.Node, operands) {
			x := b.float("x", b.apart, 2, 4)
			v, _ := op.TopK(x, 2)
			return v, operands{unwritten: []*op.Node{x}}
		}},
		opCase{of: "ArgMax", build: func(b *bench) (*op.Node, operands) {
			x, table := b.float("x", b.apart, 3, 4), b.float("table", b.apart, 4, 2)
			return op.Gather(table, op.Only(op.ArgMax(x))), operands{flows: []*op.Node{table}, stops: []*op.Node{x}}
		}},
		opCase{of: "Detach", build: func(b *bench) (*op.Node, operands) {
			x, y := b.float("x", b.apart, 2, 2), b.float("y", b.apart, 2, 2)
			return op.Mul(op.Detach(x), y), operands{flows: []*op.Node{y}, cut: []*op.Node{x}}
		}},
	)
}

// index is 3, -1, 1, 3, 0 with its inverse.
func index(b *bench) op.Index {
	return op.Index{ID: b.ints("id", 3, -1, 1, 3, 0), Rows: b.ints("id/rows", 0, 1, 3, -1, -1), Seg: b.ints("id/seg", 0, 1, 2, 4, 4, 4), Perm: b.ints("id/perm", 4, 2, 0, 3, 1)}
}

func rowCases() []opCase {
	var cases []opCase
	for _, name := range []string{"with its inverse", "without"} {
		at := func(b *bench) op.Index {
			if name == "without" {
				return op.Only(index(b).ID)
			}
			return index(b)
		}
		cases = append(cases,
			opCase{of: "Gather", name: "rows " + name, build: func(b *bench) (*op.Node, operands) {
				x := b.float("x", b.apart, 4, 2)
				return op.Gather(x, at(b)), on(x)
			}},
			opCase{of: "Gather", name: "numbers " + name, build: func(b *bench) (*op.Node, operands) {
				x := b.float("x", b.apart, 4)
				return op.Gather(x, at(b)), on(x)
			}},
			opCase{of: "ScatterAdd", name: "rows " + name, build: func(b *bench) (*op.Node, operands) {
				x := b.float("x", b.apart, 5, 2)
				return op.ScatterAdd(x, at(b), 4), on(x)
			}},
			opCase{of: "ScatterAdd", name: "numbers " + name, build: func(b *bench) (*op.Node, operands) {
				x := b.float("x", b.apart, 5)
				return op.ScatterAdd(x, at(b), 6), on(x)
			}},
		)
	}
	return append(cases,
		opCase{of: "Only", build: func(b *bench) (*op.Node, operands) {
			x := b.float("x", b.apart, 4, 2)
			return op.Gather(x, op.Only(b.ints("at", 2, 2, -1))), on(x)
		}},
		opCase{of: "SegmentSum", build: func(b *bench) (*op.Node, operands) {
			x := b.float("x", b.apart, 5, 2)
			return op.SegmentSum(x, index(b)), operands{unwritten: []*op.Node{x}}
		}},
		opCase{of: "Put", name: "rows", build: func(b *bench) (*op.Node, operands) {
			table, x := b.float("table", b.apart, 4, 2), b.float("x", b.apart, 3, 2)
			return op.Put(table, x, b.ints("at", 2, -1, 0)), on(table, x)
		}},
		opCase{of: "Put", name: "numbers", build: func(b *bench) (*op.Node, operands) {
			table, x := b.float("table", b.apart, 4), b.float("x", b.apart, 2)
			return op.Put(table, x, b.ints("at", 3, 1)), on(table, x)
		}},
		opCase{of: "Column", build: func(b *bench) (*op.Node, operands) {
			x, v := b.float("x", b.apart, 3, 2), b.float("v", b.apart, 3)
			return op.Mul(x, op.Column(v)), on(x, v)
		}},
		opCase{of: "RowDot", build: func(b *bench) (*op.Node, operands) {
			x, y := b.float("x", b.apart, 2, 2, 3), b.float("y", b.apart, 2, 2, 3)
			return op.RowDot(x, y), on(x, y)
		}},
		opCase{of: "RowDot", name: "with itself", build: func(b *bench) (*op.Node, operands) {
			x := b.float("x", b.apart, 2, 3)
			return op.RowDot(x, x), on(x)
		}},
		opCase{of: "NormaliseRows", build: func(b *bench) (*op.Node, operands) {
			x := b.float("x", b.apart, 2, 2, 3)
			return op.NormaliseRows(x), on(x)
		}},
		opCase{of: "NormaliseRows", name: "the inverse norms", build: func(b *bench) (*op.Node, operands) {
			x := b.float("x", b.apart, 3, 2)
			return op.Output(op.NormaliseRows(x), 1), on(x)
		}},
		opCase{of: "NormaliseRows", name: "both outputs", build: func(b *bench) (*op.Node, operands) {
			x := b.float("x", b.apart, 3, 2)
			y := op.NormaliseRows(x)
			return op.Mul(y, op.Column(op.Output(y, 1))), on(x)
		}},
		opCase{of: "Cosine", build: func(b *bench) (*op.Node, operands) {
			x, y := b.float("x", b.apart, 3, 2), b.float("y", b.apart, 3, 2)
			return op.Cosine(x, y), on(x, y)
		}},
	)
}

func shapeCases() []opCase {
	return []opCase{
		{of: "Fill", build: func(b *bench) (*op.Node, operands) {
			x := b.float("x", b.apart, 2, 3)
			return op.Mul(x, op.Fill(b.graph, 2.5, kernels.Of(kernels.Float64, 3))), on(x)
		}},
		unaryCase("Reshape", func(x *op.Node) *op.Node { return op.Reshape(x, 1, 6) }, apart),
		{of: "Concat", build: func(b *bench) (*op.Node, operands) {
			x, y := b.float("x", b.apart, 2, 1, 2), b.float("y", b.apart, 2, 3, 2)
			return op.Concat(1, x, y, op.Square(x)), on(x, y)
		}},
		unaryCase("Slice", func(x *op.Node) *op.Node { return op.Slice(x, 0, 1, 3) }, apart),
		{of: "Slice", name: "last axis", build: func(b *bench) (*op.Node, operands) {
			x := b.float("x", b.apart, 2, 5)
			return op.Slice(x, 1, 1, 3), on(x)
		}},
		{of: "Permute", build: func(b *bench) (*op.Node, operands) {
			x := b.float("x", b.apart, 2, 3, 4)
			return op.Permute(x, 2, 0, 1), on(x)
		}},
		{of: "Random", build: func(b *bench) (*op.Node, operands) {
			x := b.float("x", b.apart, 2, 3)
			return op.Mul(x, op.Random(b.ints("clock", 1, 2, 3, 4), kernels.Random{Stream: 5, Shape: op.Desc(x)})), on(x)
		}},
		{of: "OptimiserStep", build: func(b *bench) (*op.Node, operands) {
			p, g := b.float("p", b.apart, 2), b.float("g", b.apart, 2)
			one := op.Fill(b.graph, 1, kernels.Of(kernels.Float64))
			next := op.OptimiserStep(kernels.SGD{}, p, g, b.values64("rates", []float64{.1}, 1), one, one)
			return next[0], operands{unwritten: []*op.Node{p, g}}
		}},
	}
}

func allCases() (cases []opCase) {
	for _, c := range [][]opCase{elementwiseCases(), matrixCases(), reduceCases(), rowCases(), shapeCases(), logSumExpCases()} {
		cases = append(cases, c...)
	}
	return cases
}
