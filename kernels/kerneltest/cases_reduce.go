package kerneltest

import (
	"slices"

	"nearfar/kernels"
)

func reduceCases(g *gen) (cases []Case) {
	shapes := [][]int{{}, {1, 1}, {3, 5}, {17, 33}, {2, 3, 5}, {7, 1, 9}, {2, 3, 4, 5}, {65, 2}, {257, 3}, {3, 257}, {65, 33}, {5, 64, 8}, {17, 7, 16}}
	for _, n := range sizes {
		shapes = append(shapes, []int{n})
	}
	shapes = append(shapes, []int{40_013}, []int{3, 5_001}, []int{4_001, 5}, []int{5, 17, 33})
	for op := kernels.Sum; op <= kernels.AllFinite; op++ {
		for _, shape := range shapes {
			all := kernels.Axes(1)<<len(shape) - 1
			for axes := range all + 1 {
				keep := g.one(2)
				cases = append(cases, of(kernels.Reduce{Op: op, Axes: axes, Keep: keep}, g.normal(2, shape...)))
			}
			x := g.normal(1, shape...)
			last := x.Desc.Elems() - 1
			to := kernels.Reduce{Op: op, Axes: kernels.AllAxes}
			rows := kernels.Reduce{Op: op, Axes: kernels.Axis(max(len(shape)-1, 0)), Keep: true}
			for _, r := range []kernels.Reduce{to, rows} {
				cases = append(cases, of(r, with(x, nan, last)))
				if last > 5000 {
					continue
				}
				cases = append(cases, of(r, with(x, nan, 0)), of(r, with(x, -inf, last/2)), of(r, g.uniform(1, 1.001, shape...)))
				if last > 300 {
					continue // the rest shows on short ones too
				}
				cases = append(cases, of(r, g.uniform(1e-30, 1e-29, shape...)), of(r, g.uniform(1e14, 1e15, shape...)),
					of(r, g.uniform(-500, 500, shape...)), of(r, tensor(func() float64 { return 0 }, shape...)))
				if op != kernels.LogSumExps { // e^(Inf-Inf) is nobody's business
					cases = append(cases, of(r, with(x, inf, last)))
				}
				if op != kernels.SumSquares {
					cases = append(cases, of(r, tensor(func() float64 { return -inf }, shape...)))
				}
			}
		}
		x := g.normal(1, 9, 17)
		r := kernels.Reduce{Op: op, Axes: kernels.Axis(1)}
		cases = append(cases, of(r, withRow(x, 3, -inf)), of(r, withRow(x, 8, nan)), of(kernels.Reduce{Op: op, Axes: kernels.Axis(0)}, withRow(x, 0, -inf)))
	}
	return cases
}

func softmaxCases(g *gen) (cases []Case) {
	add := func(z kernels.Tensor64) {
		cases = append(cases, of(kernels.Softmax{}, z))
		mask := tensor(func() float64 { return float64(g.below(2)) }, z.Desc.Shape()...)
		cases = append(cases, of(kernels.Softmax{Masked: true}, z, mask),
			of(kernels.Softmax{Masked: true}, z, withRow(mask, z.Desc.Rows()-1, 0)), of(kernels.Softmax{Masked: true}, z, withRow(mask, 0, 1)))
	}
	for _, n := range sizes {
		add(g.normal(3, n))
		for _, rows := range []int{1, 3, 17} {
			z := g.normal(3, rows, n)
			add(z)
			add(with(z, -inf, 0, (rows*n)/2))
			add(withRow(z, rows-1, -inf))
			add(withRow(z, 0, nan))
			add(with(z, nan, rows*n-1))
		}
		add(g.uniform(-100, 100, 5, n))
		add(g.uniform(9990, 10_000, 5, n))
		add(g.uniform(-1e30, 1e30, 5, n))
		add(tensor(func() float64 { return 7 }, 3, n))
	}
	add(g.normal(1, 2, 3, 5))
	add(g.normal(1, 2, 3, 4, 9))
	add(g.normal(1, 500, 33))
	add(g.normal(1, 3, 5_001))
	return cases
}

func topKCases(g *gen) (cases []Case) {
	for _, n := range sizes {
		ks := []int{1, 2, 5, n / 2, n - 1, n}
		slices.Sort(ks)
		for _, k := range slices.Compact(ks) {
			if k < 1 || k > n {
				continue
			}
			t := kernels.TopK{K: k}
			z := g.normal(1, 5, n)
			cases = append(cases, of(t, z), of(t, g.steps(4, 3, n)), of(t, tensor(func() float64 { return -2 }, 2, n)), of(t, g.normal(1, n)),
				of(t, with(z, nan, 0, n-1, 3*n+n/2)), of(t, with(z, -inf, 0, 2*n, 2*n+n/2)), of(t, with(z, inf, n-1, 3*n)), of(t, withRow(z, 2, nan)),
				of(t, withRow(z, 4, -inf)))
		}
	}
	increasing := tensor(func() float64 { return 0 }, 2, 3000)
	for i := range increasing.F {
		increasing.F[i] = float64(i % 3000)
	}
	return append(cases, of(kernels.TopK{K: 20}, g.normal(1, 9, 3001)), of(kernels.TopK{K: 20}, increasing), of(kernels.TopK{K: 3}, g.normal(1, 2, 3, 4, 5)))
}
