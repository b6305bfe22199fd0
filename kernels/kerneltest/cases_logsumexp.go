package kerneltest

import (
	"slices"

	"nearfar/kernels"
)

// similarity is one draw of the operands that the contrastive kernels share.
type similarity struct {
	kernels.Similarity
	x, y   kernels.Tensor64
	shared []kernels.Tensor64 // bias, weight, excluded pairs: what stands behind a kernel's own inputs
}

// similarities draws every combination of flags, with a promised bound and without, over shapes and temperatures.
func similarities(g *gen, f func(similarity)) {
	shapes := [][3]int{{1, 1, 1}, {2, 3, 5}, {3, 2, 8}, {5, 7, 3}, {7, 16, 17}, {8, 8, 64}, {17, 33, 9}, {33, 65, 16}, {9, 130, 33}, {65, 5, 7}, {16, 100, 31}, {31, 97, 2}}
	for flags := range 16 {
		for i, s := range shapes {
			tau := []float64{.01, .07, .2, 1}[(i+flags)%4]
			f(g.similarity(s[0], s[1], s[2], flags, tau, i))
		}
	}
	for _, flags := range []int{0, 7, 8, 15} {
		f(g.similarity(130, 127, 17, flags, .2, 1))
		f(g.similarity(5, 2_000, 4, flags, .07, 2))
		f(g.similarity(100, 31, 8, flags, .01, 3))
	}
	// Dot products that nothing bounds: logits of some hundreds.
	for _, s := range shapes {
		large := g.similarity(s[0], s[1], s[2], 7, 1, 0)
		large.x, large.y = g.normal(6, s[0], s[2]), g.normal(6, s[1], s[2])
		f(large)
	}
	// A NaN in X reaches its own row, a NaN in Y every row that is not absent.
	for _, flags := range []int{0, 2, 8} {
		bad := g.similarity(5, 9, 3, flags, .2, 1)
		good := bad
		bad.x = with(bad.x, nan, 7)
		f(bad)
		good.y = with(good.y, nan, 7)
		f(good)
	}
}

// similarity draws unit rows, some equal and some opposite, so that cosines of 1 and -1 occur. The bits of flags: biased, weighted,
// excludes, bounded. kind makes some of the draws extreme.
func (g *gen) similarity(b, n, d, flags int, tau float64, kind int) similarity {
	s := similarity{Similarity: kernels.Similarity{Scale: 1 / tau, Biased: flags&1 != 0, Weighted: flags&2 != 0, Excludes: flags&4 != 0}}
	s.x, s.y = unit(g.normal(1, b, d)), unit(g.normal(1, n, d))
	for i := range b {
		if sign := float64(g.below(5) - 2); sign == 1 || sign == -1 {
			for k := range d {
				s.y.F[i%n*d+k] = sign * s.x.F[i*d+k]
			}
		}
	}
	if kind%6 == 5 { // every cosine is -1: the worst case of a fixed shift
		for i := range s.x.F {
			s.x.F[i] = s.x.F[i%d]
		}
		for i := range s.y.F {
			s.y.F[i] = -s.x.F[i%d]
		}
	}
	if flags&8 != 0 {
		s.Bound = s.Scale * (1 + 1e-6)
	}
	if s.Biased {
		bias := g.uniform(-20, 0, n) // -logQ of a rare item
		for i := range bias.F {
			if g.one(4) {
				bias.F[i] = -inf
			}
		}
		if kind%4 == 3 {
			bias = tensor(func() float64 { return -inf }, n)
		}
		s.shared = append(s.shared, bias)
		if s.Bound > 0 {
			s.Bound += 20
		}
	}
	if s.Weighted {
		weight := tensor(func() float64 { return float64(g.below(3)) }, b)
		if kind%5 == 4 {
			weight = tensor(func() float64 { return 0 }, b)
		}
		s.shared = append(s.shared, weight)
	}
	if s.Excludes {
		s.shared = append(s.shared, g.excluded(b, n)...)
	}
	return s
}

// excluded draws pairs sorted by row, padding behind; the first row loses all its columns now and then, and a pair may stand twice.
func (g *gen) excluded(b, n int) []kernels.Tensor64 {
	var rows, cols []int32
	for r := range b {
		for c := range n {
			if r == 0 && n%2 == 0 || g.one(7) {
				rows, cols = append(rows, int32(r)), append(cols, int32(c))
			}
		}
		if len(rows) > 0 && g.one(3) {
			rows, cols = append(rows, rows[len(rows)-1]), append(cols, cols[len(cols)-1])
		}
	}
	for range 3 {
		rows, cols = append(rows, -1), append(cols, -1)
	}
	return []kernels.Tensor64{ints(rows...), ints(cols...)}
}

func (s similarity) inputs(own ...kernels.Tensor64) []kernels.Tensor64 {
	return slices.Concat([]kernels.Tensor64{s.x, s.y}, own, s.shared)
}

func logSumExpCases(g *gen) (cases []Case) {
	similarities(g, func(s similarity) {
		cases = append(cases, of(kernels.LogSumExp{Similarity: s.Similarity}, s.inputs()...))
	})
	return cases
}

func logSumExpGradCases(g *gen) (cases []Case) {
	similarities(g, func(s similarity) {
		lse := kernels.NewTensor64(kernels.Of(kernels.Float64, s.x.Desc.Dim[0]))
		kernels.LogSumExp{Similarity: s.Similarity}.Ref([]kernels.Tensor64{lse}, s.inputs())
		cases = append(cases, of(kernels.LogSumExpGrad{Similarity: s.Similarity}, s.inputs(lse, g.gradient(s))...))
	})
	return cases
}

func logSumExpWithGradCases(g *gen) (cases []Case) {
	similarities(g, func(s similarity) {
		cases = append(cases, of(kernels.LogSumExpWithGrad{Similarity: s.Similarity}, s.inputs(g.gradient(s))...))
	})
	return cases
}

// gradient draws what comes from above: some rows get none.
func (g *gen) gradient(s similarity) kernels.Tensor64 {
	t := g.normal(1, s.x.Desc.Dim[0])
	for i := range t.F {
		if g.one(6) {
			t.F[i] = 0
		}
	}
	return t
}
