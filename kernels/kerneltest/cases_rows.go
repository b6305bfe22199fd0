package kerneltest

import (
	"slices"

	"nearfar/kernels"
)

// tables calls f for tables [n, d] and vectors [n], and a batch size.
func tables(f func(n, b int, table, rows []int)) {
	for i, d := range sizes {
		n, b := sizes[(i*7+3)%len(sizes)], sizes[(i*5+11)%len(sizes)]
		f(n, b, []int{n, d}, []int{b, d})
		f(d, b, []int{d}, []int{b})
	}
	for _, b := range some {
		f(9, b, []int{9, 64}, []int{b, 64})
	}
	f(200, 300, []int{200, 33}, []int{300, 33})
}

func gatherCases(g *gen) (cases []Case) {
	for i, n := range sizes {
		cases = append(cases, of(kernels.Gather{}, g.index(1<<30, n), g.index(n, sizes[(i*5+11)%len(sizes)])))
	}
	tables(func(n, b int, table, _ []int) {
		x := g.normal(1, table...)
		cases = append(cases, of(kernels.Gather{}, x, g.index(n, b)), of(kernels.Gather{}, x, ints(slices.Repeat([]int32{-1}, b)...)),
			of(kernels.Gather{}, with(x, nan, 0), g.index(n, b)), of(kernels.Gather{}, g.uniform(1e-44, 1e-38, table...), g.index(n, b)))
	})
	return cases
}

func scatterAddCases(g *gen) (cases []Case) {
	tables(func(n, b int, table, rows []int) {
		same, none := slices.Repeat([]int32{int32(n - 1)}, b), slices.Repeat([]int32{-1}, b)
		for _, id := range [][]int32{g.index(n, b).I, g.index(min(n, 3), b).I, same, none} {
			for i := range 4 {
				k := kernels.ScatterAdd{Rows: n, Onto: i&1 != 0, Sorted: i&2 != 0}
				in := []kernels.Tensor64{g.normal(1, rows...), ints(id...)}
				if id[0] < 0 {
					in[0] = with(in[0], nan, 0) // a skipped row
				}
				if k.Sorted {
					r, s, p := inverse(id)
					in = append(in, r, s, p)
				}
				c := of(k, in...)
				if k.Onto {
					c = of(k, append([]kernels.Tensor64{g.normal(1, table...)}, in...)...)
					c.InPlace = [][]int{{0}}
				}
				cases = append(cases, c)
			}
		}
	})
	return cases
}

func segmentSumCases(g *gen) (cases []Case) {
	tables(func(n, b int, _, rows []int) {
		if len(rows) != 2 {
			return
		}
		for _, id := range [][]int32{g.index(n, b).I, g.index(min(n, 2), b).I, slices.Repeat([]int32{-1}, b), slices.Repeat([]int32{0}, b)} {
			_, seg, perm := inverse(id)
			cases = append(cases, of(kernels.SegmentSum{}, g.normal(1, rows...), seg, perm))
		}
	})
	return cases
}

func putCases(g *gen) (cases []Case) {
	tables(func(n, b int, table, rows []int) {
		id := g.distinct(n, b)
		gaps := slices.Clone(id)
		gaps[b/2] = -1
		for _, v := range [][]int32{id, gaps, slices.Repeat([]int32{-1}, b)} {
			c := of(kernels.Put{}, with(g.normal(1, table...), nan, 0), g.normal(1, rows...), ints(v...))
			c.InPlace = [][]int{{0}}
			cases = append(cases, c)
		}
		if b <= n { // the ring: (t·B + i) mod N, across the end
			ring := make([]int32, b)
			for i := range ring {
				ring[i] = int32((n - b/2 + i) % n)
			}
			cases = append(cases, of(kernels.Put{}, g.normal(1, table...), g.normal(1, rows...), ints(ring...)))
		}
	})
	return cases
}

// matrices are the shapes of the kernels that work on rows.
func matrices() (shapes [][]int) {
	for i, d := range sizes {
		shapes = append(shapes, []int{d}, []int{sizes[(i*7+3)%len(sizes)], d}, []int{3, d})
	}
	return append(shapes, []int{2, 3, 5}, []int{2, 3, 4, 33}, []int{500, 33}, []int{2, 3_001})
}

func rowDotCases(g *gen) (cases []Case) {
	for _, s := range matrices() {
		x := g.normal(1, s...)
		cases = append(cases, of(kernels.RowDot{}, x, g.normal(1, s...)), of(kernels.RowDot{}, x, x), of(kernels.RowDot{}, with(x, nan, 0), g.normal(1, s...)),
			of(kernels.RowDot{}, g.uniform(.99, 1.01, s...), g.uniform(.99, 1.01, s...)), of(kernels.RowDot{}, g.uniform(1e15, 1e16, s...), x))
	}
	return cases
}

func normaliseRowsCases(g *gen) (cases []Case) {
	for _, s := range matrices() {
		x := g.normal(1, s...)
		last := x.Desc.Rows() - 1
		for _, k := range []kernels.NormaliseRows{{Eps: 1e-12}, {Eps: .5}} {
			cases = append(cases, of(k, x), of(k, withRow(x, last, 0)), of(k, withRow(x, 0, nan)), of(k, g.normal(1e-4, s...)), of(k, g.normal(1e-25, s...)),
				of(k, g.normal(1e14, s...)), of(k, tensor(func() float64 { return 0 }, s...)))
		}
	}
	return cases
}

func normaliseRowsGradCases(g *gen) (cases []Case) {
	for _, s := range matrices() {
		for _, x := range []kernels.Tensor64{g.normal(1, s...), g.normal(1e-3, s...), withRow(g.normal(1, s...), 0, 0)} {
			k := kernels.NormaliseRows{Eps: 1e-12}
			out, _ := k.Infer(descs([]kernels.Tensor64{x}))
			y := reference(k, out, []kernels.Tensor64{x})
			cases = append(cases, of(kernels.NormaliseRowsGrad{}, y[0], y[1], g.normal(1, s...)), of(kernels.NormaliseRowsGrad{}, y[0], y[1], y[0]),
				of(kernels.NormaliseRowsGrad{}, y[0], y[1], with(x, nan, 0)))
		}
	}
	return cases
}
