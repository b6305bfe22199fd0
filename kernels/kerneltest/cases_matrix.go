package kerneltest

import (
	"slices"

	"nearfar/kernels"
)

func matMulCases(g *gen) (cases []Case) {
	add := func(batch []int, m, n, k int, operand func(dims ...int) kernels.Tensor64) {
		for i := range 4 {
			mm := kernels.MatMul{TransA: i&1 != 0, TransB: i&2 != 0}
			a, b := []int{m, k}, []int{k, n}
			if mm.TransA {
				a = []int{k, m}
			}
			if mm.TransB {
				b = []int{n, k}
			}
			dims := func(d []int) []int { return append(append([]int{}, batch...), d...) }
			cases = append(cases, of(mm, operand(dims(a)...), operand(dims(b)...)))
		}
	}
	normal := func(dims ...int) kernels.Tensor64 { return g.normal(1, dims...) }
	for i, m := range sizes {
		n, k := sizes[(i*7+3)%len(sizes)], sizes[(i*5+11)%len(sizes)]
		add(nil, m, n, k, normal)
		add(nil, m, 1, 7, normal)
		add(nil, 3, m, 2, normal)
		add(nil, 5, 9, m, normal)
	}
	for _, batch := range [][]int{{1}, {3}, {2, 3}, {9}} {
		add(batch, 5, 7, 3, normal)
		add(batch, 17, 8, 33, normal)
		add(batch, 1, 1, 1, normal)
	}
	add(nil, 100, 65, 33, func(dims ...int) kernels.Tensor64 { return g.uniform(.9, 1.1, dims...) })
	add(nil, 9, 17, 130, func(dims ...int) kernels.Tensor64 { return g.uniform(1e-18, 1e-17, dims...) })
	add(nil, 9, 17, 5, func(dims ...int) kernels.Tensor64 { return g.uniform(1e15, 1e16, dims...) })
	add(nil, 9, 17, 9, func(dims ...int) kernels.Tensor64 { return with(g.normal(1, dims...), nan, 0) })
	add(nil, 9, 17, 9, func(dims ...int) kernels.Tensor64 { t := g.normal(1, dims...); return with(t, inf, len(t.F)-1) })
	return cases
}

// csr draws the rows of a sparse [m x n] matrix: empty rows, a heavy one, views that use a part of their slot, columns more than once.
func (g *gen) csr(m, n, most int) (beg, end, col kernels.Tensor64) {
	b, e, c := make([]int32, m), make([]int32, m), []int32{}
	for i := range m {
		slot := g.below(most + 1)
		switch {
		case g.one(5):
			slot = 0
		case g.one(9):
			slot *= 5
		}
		b[i] = int32(len(c))
		e[i] = b[i] + int32(slot)
		if g.one(3) {
			e[i] -= int32(g.below(slot + 1))
		}
		for range slot {
			c = append(c, int32(g.below(n)))
		}
	}
	c = append(c, int32(n-1)) // capacity behind the last row
	return ints(b...), ints(e...), ints(c...)
}

func spmmCases(g *gen) (cases []Case) {
	made := 0
	add := func(n, d int, x, beg, end, col kernels.Tensor64) {
		m, nnz := beg.Desc.Dim[0], col.Desc.Dim[0]
		for i := range 8 {
			k := kernels.SpMM{Scaled: i&1 != 0, Valued: i&2 != 0, Half: i&4 != 0}
			in := []kernels.Tensor64{x, beg, end, col}
			if k.Scaled {
				in = append(in, g.uniform(0, 1, m), g.uniform(.05, 1, n))
			}
			if k.Valued {
				in = append(in, g.normal(1, nnz))
			}
			cases = append(cases, of(k, in...))
			made++
			if k.ZeroRows = made%5 == 0; k.ZeroRows { // of eight forms each in turn
				in[0] = kernels.Tensor64{Desc: x.Desc, F: slices.Clone(x.F)}
				for r := range n {
					if (r+m)%3 != 0 {
						clear(in[0].F[r*d : r*d+d])
					}
				}
				cases = append(cases, of(k, in...))
			}
		}
	}
	for i, d := range sizes {
		m, n := sizes[(i*7+3)%len(sizes)], sizes[(i*5+11)%len(sizes)]
		beg, end, col := g.csr(m, n, 6)
		add(n, d, g.normal(1, n, d), beg, end, col)
	}
	for _, m := range some {
		for _, d := range []int{1, 8, 64} {
			beg, end, col := g.csr(m, 9, 20)
			add(9, d, g.normal(1, 9, d), beg, end, col)
		}
	}
	beg, end, col := g.csr(300, 200, 30)
	beg.I[7], end.I[7] = 0, int32(len(col.I)) // one row with every edge: chunks by edges, not by rows
	add(200, 33, g.normal(1, 200, 33), beg, end, col)
	beg, end, col = g.csr(7, 5, 4)
	add(5, 3, withRow(g.normal(1, 5, 3), 2, nan), beg, end, col)
	for i := range end.I {
		end.I[i] = beg.I[i]
	}
	add(5, 65, g.normal(1, 5, 65), beg, end, col) // all empty
	return cases
}
