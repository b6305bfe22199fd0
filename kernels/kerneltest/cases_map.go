package kerneltest

import (
	"slices"

	"nearfar/kernels"
)

// mapOf makes a case, with every operand of the output's shape overwritten in turn.
func mapOf(m kernels.Map, in ...kernels.Tensor64) Case {
	c := of(m, in...)
	out, _ := kernels.Broadcast(descs(in)...)
	for i, t := range in {
		if t.Desc == out {
			c.InPlace = append(c.InPlace, []int{i})
		}
	}
	return c
}

func mapCases(g *gen) (cases []Case) {
	for op := kernels.Copy; op <= kernels.Where; op++ {
		m := kernels.MapOf(kernels.MapInstr{Op: op, A: 0, B: 1, C: 2, Imm: .3})
		add := func(operand func() kernels.Tensor64) {
			in := make([]kernels.Tensor64, op.Arity())
			for i := range in {
				in[i] = operand()
			}
			cases = append(cases, mapOf(m, in...))
		}
		for _, n := range sizes {
			add(func() kernels.Tensor64 {
				switch op {
				case kernels.Equal, kernels.Greater, kernels.Max, kernels.Min, kernels.Sign, kernels.Positive, kernels.Where:
					return g.steps(5, n)
				case kernels.Log, kernels.Sqrt, kernels.Recip, kernels.Div:
					return g.uniform(.1, 3, n)
				}
				return g.normal(2, n)
			})
		}
		add(func() kernels.Tensor64 { return g.uniform(1e-4, 1e-3, 67) })
		add(func() kernels.Tensor64 { return g.uniform(-1e-4, 1e-4, 67) })
		add(func() kernels.Tensor64 { return g.uniform(-90, 90, 131) })
		add(func() kernels.Tensor64 { return g.uniform(-90, -10, 131) })
		add(func() kernels.Tensor64 { return g.uniform(1e-44, 1e-38, 35) }) // denormal in float32
		add(func() kernels.Tensor64 { return g.uniform(1e15, 1e18, 35) })
		add(func() kernels.Tensor64 { return g.normal(1, 7, 5, 3) })
		add(func() kernels.Tensor64 { return g.normal(1) })
		if op == kernels.Exp || op == kernels.Mul || op == kernels.Where {
			add(func() kernels.Tensor64 { return g.normal(1, 40_013) })
		}
		// All pairs of these meet: the second operand is the first, turned.
		special := []float64{0, 1, -1, inf, -inf, nan, .5, -3, 88, -104}
		in := make([]kernels.Tensor64, op.Arity())
		for i := range in {
			in[i] = vector()
			for range special {
				in[i].F = append(in[i].F, special...)
				if i > 0 {
					special = append(special[1:], special[0])
				}
			}
			in[i].Desc = kernels.Of(kernels.Float64, len(in[i].F))
		}
		cases = append(cases, mapOf(m, in...))
	}
	cases = append(cases, of(kernels.WithImm(kernels.MaxImm, -2), g.normal(3, 33)), of(kernels.WithImm(kernels.AddImm, 1e-3), g.normal(1, 33)),
		of(kernels.Unary(kernels.Recip), vector(0, -2, inf)))
	cases = append(cases, broadcastCases(g)...)
	return append(cases, chainCases(g)...)
}

func broadcastCases(g *gen) (cases []Case) {
	for _, shapes := range [][][]int{
		{{3, 5}, {5}}, {{3, 5}, {3, 1}}, {{3, 5}, {}}, {{}, {3, 5}}, {{17, 1}, {1, 33}}, {{1}, {65}}, {{257, 3}, {257, 1}}, {{3, 257}, {257}},
		{{2, 3, 5}, {3, 1}}, {{2, 1, 5}, {3, 1}}, {{2, 3, 4, 5}, {1, 3, 1, 5}}, {{2, 1, 4, 1}, {3, 1, 5}}, {{5}, {2, 3, 4, 5}}, {{1, 1}, {1}},
		{{130, 65}, {130, 1}}, {{130, 65}, {1, 65}}, {{300, 64}, {64}}, {{64, 300}, {64, 1}},
	} {
		a, b := g.normal(1, shapes[0]...), g.uniform(.5, 2, shapes[1]...)
		for _, op := range []kernels.MapOp{kernels.Sub, kernels.Div} {
			cases = append(cases, mapOf(kernels.Binary(op), a, b), mapOf(kernels.Binary(op), b, g.uniform(.5, 2, shapes[0]...)))
		}
	}
	where := kernels.MapOf(kernels.MapInstr{Op: kernels.Where, A: 0, B: 1, C: 2})
	cases = append(cases,
		mapOf(where, g.steps(3, 9, 1), g.normal(1, 9, 17), g.normal(1, 17)),
		mapOf(where, g.steps(3, 9, 17), g.normal(1, 1, 17), scalar(0)),
		mapOf(where, g.steps(3, 65), vector(slices.Repeat([]float64{nan}, 65)...), g.normal(1, 65)))
	// Indices are read as numbers: the mask of the padding, id >= 0.
	mask := kernels.MapOf(kernels.MapInstr{Op: kernels.AddImm, Imm: 1}, kernels.MapInstr{Op: kernels.Positive, A: -1},
		kernels.MapInstr{Op: kernels.Mul, A: -2, B: 1})
	for _, n := range []int{1, 8, 17, 100} {
		cases = append(cases, mapOf(mask, g.index(9, n), g.normal(1, n)), of(kernels.Binary(kernels.Equal), g.index(4, n), g.index(4, n)))
		ids := g.index(3, n)
		ids.Desc = kernels.Of(kernels.Int32, n, 1)
		cases = append(cases, of(kernels.Binary(kernels.Equal), ids, g.index(3, 7)), mapOf(kernels.Binary(kernels.Mul), g.normal(1, n, 33), ids))
	}
	return cases
}

func chainCases(g *gen) (cases []Case) {
	// softplus(-(a-b)·2)·w + a², with results used late and twice
	bpr := kernels.MapOf(
		kernels.MapInstr{Op: kernels.Sub, A: 0, B: 1},
		kernels.MapInstr{Op: kernels.Scale, A: -1, Imm: -2},
		kernels.MapInstr{Op: kernels.Softplus, A: -2},
		kernels.MapInstr{Op: kernels.Mul, A: -3, B: 2},
		kernels.MapInstr{Op: kernels.Square, A: -1},
		kernels.MapInstr{Op: kernels.Add, A: -4, B: -5})
	var full []kernels.MapInstr // 16 instructions: t <- tanh(t + a)·b, over and over
	full = append(full, kernels.MapInstr{Op: kernels.Copy, A: 0})
	for len(full) < kernels.MaxMap {
		last := int8(-len(full))
		switch len(full) % 3 {
		case 1:
			full = append(full, kernels.MapInstr{Op: kernels.Add, A: last, B: 0})
		case 2:
			full = append(full, kernels.MapInstr{Op: kernels.Tanh, A: last})
		default:
			full = append(full, kernels.MapInstr{Op: kernels.Mul, A: last, B: 1})
		}
	}
	unused := kernels.MapOf(kernels.MapInstr{Op: kernels.Exp, A: 0}, kernels.MapInstr{Op: kernels.Neg, A: 0})
	for _, n := range append(slices.Clone(sizes), 5000) {
		cases = append(cases,
			mapOf(bpr, g.normal(1, n), g.normal(1, n), g.steps(3, n)),
			mapOf(bpr, g.normal(1, n), g.normal(1, 1), scalar(.5)),
			mapOf(kernels.MapOf(full...), g.normal(1, n), g.normal(1, n)),
			mapOf(unused, g.normal(1, n)),
			mapOf(kernels.Unary(kernels.Copy), g.normal(1, n), g.normal(1, 3, n)))
	}
	return append(cases,
		mapOf(bpr, g.normal(1, 33, 17), g.normal(1, 33, 1), g.normal(1, 17)),
		mapOf(kernels.MapOf(full...), g.normal(1, 5, 1, 7), g.normal(1, 3, 1)))
}
