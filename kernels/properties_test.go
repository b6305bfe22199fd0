package kernels_test

import (
	"math"
	"slices"
	"testing"

	"nearfar/kernels"
	"nearfar/kernels/philox"
)

// draw fills a tensor with normal numbers of a named stream.
func draw(name string, dims ...int) kernels.Tensor64 {
	t := kernels.NewTensor64(kernels.Of(kernels.Float64, dims...))
	s := philox.New(1, name)
	for i := range t.F {
		b := s.At(0, uint32(i), 0)
		t.F[i] = philox.Normal(b[0], b[1])
	}
	return t
}

// slope is the derivative of f by central differences, element by element of x.
func slope(x kernels.Tensor64, f func() float64) []float64 {
	const h = 1e-5
	d := make([]float64, len(x.F))
	for i, v := range x.F {
		x.F[i] = v + h
		up := f()
		x.F[i] = v - h
		d[i] = (up - f()) / (2 * h)
		x.F[i] = v
	}
	return d
}

func weighted(g, y []float64) (s float64) {
	for i, v := range y {
		if g[i] != 0 {
			s += g[i] * v
		}
	}
	return s
}

func TestLogSumExpGradIsTheDerivative(t *testing.T) {
	const B, N, d = 4, 6, 3
	x, y, g := draw("x", B, d), draw("y", N, d), draw("g", B)
	g.F[3] = 0
	bias := draw("bias", N)
	bias.F[2] = -inf
	weight := numbers(sums{1, 0, .5, 1})
	rows, cols := index(0, 0, 2, -1), index(1, 5, 0, -1)
	for flags := range 8 {
		s := kernels.Similarity{Scale: 1.7, Biased: flags&1 != 0, Weighted: flags&2 != 0, Excludes: flags&4 != 0}
		var shared []kernels.Tensor64
		if s.Biased {
			shared = append(shared, bias)
		}
		if s.Weighted {
			shared = append(shared, weight)
		}
		if s.Excludes {
			shared = append(shared, rows, cols)
		}
		in := func(own ...kernels.Tensor64) []kernels.Tensor64 {
			return slices.Concat([]kernels.Tensor64{x, y}, own, shared)
		}
		loss := func() float64 { return weighted(g.F, apply(t, kernels.LogSumExp{Similarity: s}, in()...)[0].F) }
		lse := apply(t, kernels.LogSumExp{Similarity: s}, in()...)[0]
		grad := apply(t, kernels.LogSumExpGrad{Similarity: s}, in(lse, g)...)
		for i, operand := range []kernels.Tensor64{x, y, bias}[:len(grad)] {
			if want := slope(operand, loss); !near(grad[i].F, zeroNaN(want), 1e-7) {
				t.Errorf("%+v: gradient %d is %v, differences give %v", s, i, grad[i].F, want)
			}
		}
		both := apply(t, kernels.LogSumExpWithGrad{Similarity: s}, in(g)...)
		for i, want := range append([]kernels.Tensor64{lse}, grad...) {
			if !near(both[i].F, want.F, 0) {
				t.Errorf("%+v: output %d of one pass differs from two", s, i)
			}
		}
	}
}

// zeroNaN reads the derivative by an absent column's bias, -Inf - -Inf, as what it is: 0.
func zeroNaN(v []float64) []float64 {
	v = slices.Clone(v)
	for i := range v {
		if math.IsNaN(v[i]) {
			v[i] = 0
		}
	}
	return v
}

func TestLogSumExpIsMatMulAndReduce(t *testing.T) {
	x, y := draw("x", 5, 3), draw("y", 7, 3)
	z := apply(t, kernels.MatMul{TransB: true}, x, y)[0]
	z = apply(t, kernels.WithImm(kernels.Scale, 3), z)[0]
	want := apply(t, kernels.Reduce{Op: kernels.LogSumExps, Axes: kernels.Axis(1)}, z)[0]
	for _, bound := range []float64{0, 100} {
		if got := apply(t, kernels.LogSumExp{Similarity: kernels.Similarity{Scale: 3, Bound: bound}}, x, y)[0]; !near(got.F, want.F, 1e-12) {
			t.Errorf("bound %v: %v, want %v", bound, got.F, want.F)
		}
	}
}

func TestNormaliseRowsGradIsTheDerivative(t *testing.T) {
	x, g := draw("x", 3, 5), draw("g", 3, 5)
	k := kernels.NormaliseRows{Eps: 1e-12}
	out := apply(t, k, x)
	got := apply(t, kernels.NormaliseRowsGrad{}, out[0], out[1], g)[0]
	want := slope(x, func() float64 { return weighted(g.F, apply(t, k, x)[0].F) })
	if !near(got.F, want, 1e-8) {
		t.Errorf("gradient %v, differences give %v", got.F, want)
	}
}

func TestSoftmaxRowsSumToOne(t *testing.T) {
	z := draw("z", 4, 9)
	z.F[3], z.F[12] = 1000, -inf
	lse := apply(t, kernels.Reduce{Op: kernels.LogSumExps, Axes: kernels.Axis(1)}, z)[0]
	for r, p := range slices.Collect(slices.Chunk(apply(t, kernels.Softmax{}, z)[0].F, 9)) {
		sum := 0.0
		for j, v := range p {
			sum += v
			if want := math.Exp(z.F[r*9+j] - lse.F[r]); math.Abs(v-want) > 1e-12 {
				t.Errorf("p[%d %d] = %v, e^(z-lse) = %v", r, j, v, want)
			}
		}
		if math.Abs(sum-1) > 1e-12 {
			t.Errorf("row %d sums to %v", r, sum)
		}
	}
}

func TestTopKIsASort(t *testing.T) {
	z := draw("z", 3, 40)
	for i := range z.F {
		z.F[i] = math.Round(2 * z.F[i]) // many ties
	}
	z.F[5] = nan
	const k = 25
	out := apply(t, kernels.TopK{K: k}, z)
	for r := range 3 {
		row := z.F[r*40 : r*40+40]
		order := make([]int32, 40)
		for i := range order {
			order[i] = int32(i)
		}
		slices.SortStableFunc(order, func(a, b int32) int {
			switch va, vb := row[a], row[b]; {
			case va > vb || math.IsNaN(vb) && !math.IsNaN(va):
				return -1
			case va < vb || math.IsNaN(va) && !math.IsNaN(vb):
				return 1
			}
			return 0
		})
		if got := out[1].I[r*k : r*k+k]; !slices.Equal(got, order[:k]) {
			t.Errorf("row %d: %v, sorted %v", r, got, order[:k])
		}
		for j, i := range out[1].I[r*k : r*k+k] {
			if v := out[0].F[r*k+j]; v != row[i] {
				t.Errorf("row %d: value %v beside index %d of %v", r, v, i, row[i])
			}
		}
	}
}

func TestSortedScatterAddIsScatterAdd(t *testing.T) {
	g := draw("g", 6, 2)
	id := index(3, -1, 0, 3, 1, 0)
	rows, seg, perm := index(0, 1, 3, -1, -1, -1), index(0, 2, 3, 5, 5, 5, 5), index(2, 5, 4, 0, 3, 0)
	want := apply(t, kernels.ScatterAdd{Rows: 4}, g, id)[0]
	got := apply(t, kernels.ScatterAdd{Rows: 4, Sorted: true}, g, id, rows, seg, perm)[0]
	distinct := apply(t, kernels.SegmentSum{}, g, seg, perm)[0]
	spread := apply(t, kernels.ScatterAdd{Rows: 4}, distinct, rows)[0]
	if !near(got.F, want.F, 0) || !near(spread.F, want.F, 1e-15) {
		t.Errorf("sorted %v, by segments %v, want %v", got.F, spread.F, want.F)
	}
}

func TestRandomMomentsAndClock(t *testing.T) {
	const n = 40_000
	clock := index(5, 0, 9, 0)
	shape := kernels.Of(kernels.Float64, 200, n/200)
	for _, c := range []struct {
		r              kernels.Random
		mean, variance float64
	}{
		{kernels.Random{Distribution: kernels.Uniform}, .5, 1. / 12},
		{kernels.Random{Distribution: kernels.Normal}, 0, 1},
		{kernels.Random{Distribution: kernels.Bernoulli, P: .3}, .3, .21},
	} {
		c.r.Stream, c.r.Shape = philox.Name("moments"), shape
		out := apply(t, c.r, clock)[0].F
		mean, square := 0.0, 0.0
		for _, v := range out {
			mean += v / n
			square += v * v / n
		}
		if bound := 5 * math.Sqrt(c.variance/n); math.Abs(mean-c.mean) > bound {
			t.Errorf("%s: mean %v, want %v within %v", c.r.Name(), mean, c.mean, bound)
		}
		if v := square - mean*mean; math.Abs(v-c.variance) > .05*c.variance {
			t.Errorf("%s: variance %v, want %v", c.r.Name(), v, c.variance)
		}
		for _, other := range []kernels.Tensor64{index(6, 0, 9, 0), index(5, 1, 9, 0), index(5, 0, 8, 0), index(5, 0, 9, 1)} {
			if near(apply(t, c.r, other)[0].F, out, 0) {
				t.Errorf("%s: clocks %v and %v give the same numbers", c.r.Name(), clock.I, other.I)
			}
		}
	}
}

func TestKernelsCompareByValue(t *testing.T) {
	a, b := kernels.Kernel(kernels.Binary(kernels.Add)), kernels.Kernel(kernels.Binary(kernels.Add))
	if a != b || a == kernels.Kernel(kernels.Binary(kernels.Sub)) {
		t.Error("kernels do not compare by value")
	}
}
