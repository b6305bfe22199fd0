package kerneltest

import (
	"math"
	"slices"

	"nearfar/kernels"
	"nearfar/kernels/philox"
)

// gen makes operands. Equal names give equal operands on every machine.
type gen struct{ words philox.Sequence }

func newGen(name string) *gen { return &gen{philox.New(1, "kerneltest/"+name).Sequence(0, 0)} }

func (g *gen) below(n int) int { return g.words.Below(n) }

func (g *gen) one(n int) bool { return g.below(n) == 0 }

// tensor fills a tensor from a function.
func tensor(f func() float64, dims ...int) kernels.Tensor64 {
	t := kernels.NewTensor64(kernels.Of(kernels.Float64, dims...))
	for i := range t.F {
		t.F[i] = f()
	}
	return t
}

func (g *gen) normal(sigma float64, dims ...int) kernels.Tensor64 {
	return tensor(func() float64 { return sigma * philox.Normal(g.words.Word(), g.words.Word()) }, dims...)
}

func (g *gen) uniform(lo, hi float64, dims ...int) kernels.Tensor64 {
	return tensor(func() float64 { return lo + (hi-lo)*philox.Uniform(g.words.Word()) }, dims...)
}

// steps draws from the n integers about 0, so that ties and zeros are common.
func (g *gen) steps(n int, dims ...int) kernels.Tensor64 {
	return tensor(func() float64 { return float64(g.below(n) - n/2) }, dims...)
}

func vector(v ...float64) kernels.Tensor64 {
	return kernels.Tensor64{Desc: kernels.Of(kernels.Float64, len(v)), F: v}
}

func scalar(v float64) kernels.Tensor64 {
	return kernels.Tensor64{Desc: kernels.Of(kernels.Float64), F: []float64{v}}
}

func ints(v ...int32) kernels.Tensor64 {
	return kernels.Tensor64{Desc: kernels.Of(kernels.Int32, len(v)), I: v}
}

// index draws b rows of n, with duplicates and, one time in eight, -1.
func (g *gen) index(n, b int) kernels.Tensor64 {
	id := make([]int32, b)
	for i := range id {
		id[i] = int32(g.below(n))
		if g.one(8) {
			id[i] = -1
		}
	}
	return ints(id...)
}

// distinct draws up to b different rows of n in random order, and -1 for the rest.
func (g *gen) distinct(n, b int) []int32 {
	all := make([]int32, n)
	for i := range all {
		j := g.below(i + 1)
		all[i] = all[j]
		all[j] = int32(i)
	}
	id := slices.Repeat([]int32{-1}, b)
	copy(id, all[:min(n, b)])
	return id
}

// inverse sorts ids: the distinct ones in increasing order with -1 behind, and where each stands, as ScatterAdd has it.
func inverse(id []int32) (rows, seg, perm kernels.Tensor64) {
	b := len(id)
	r, s, p := slices.Repeat([]int32{-1}, b), make([]int32, b+1), make([]int32, 0, b)
	kept := slices.DeleteFunc(slices.Clone(id), func(v int32) bool { return v < 0 })
	slices.Sort(kept)
	kept = slices.Compact(kept)
	copy(r, kept)
	for k, row := range kept {
		for i, v := range id {
			if v == row {
				p = append(p, int32(i))
			}
		}
		s[k+1] = int32(len(p))
	}
	for k := len(kept); k < b; k++ {
		s[k+1] = int32(len(p))
	}
	return ints(r...), ints(s...), ints(append(p, make([]int32, b-len(p))...)...)
}

// with returns a copy of t with some elements replaced.
func with(t kernels.Tensor64, v float64, at ...int) kernels.Tensor64 {
	t.F = slices.Clone(t.F)
	for _, i := range at {
		t.F[i] = v
	}
	return t
}

// withRow returns a copy of t with one row (of Cols elements) replaced by v.
func withRow(t kernels.Tensor64, row int, v float64) kernels.Tensor64 {
	t.F = slices.Clone(t.F)
	c := t.Desc.Cols()
	for i := range t.F[row*c : row*c+c] {
		t.F[row*c+i] = v
	}
	return t
}

// unit scales the rows to length 1.
func unit(t kernels.Tensor64) kernels.Tensor64 {
	t.F = slices.Clone(t.F)
	c := t.Desc.Cols()
	for i := 0; i < len(t.F); i += c {
		s := 0.0
		for _, v := range t.F[i : i+c] {
			s += v * v
		}
		for j := range t.F[i : i+c] {
			t.F[i+j] /= math.Sqrt(s)
		}
	}
	return t
}

// sizes are the lengths at which vector loops, tails and chunks begin and end.
var sizes = []int{1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 100, 127, 130, 257}

// some are the sizes for the inner dimensions.
var some = []int{1, 2, 3, 7, 8, 17, 33, 65}

var (
	nan = math.NaN()
	inf = math.Inf(1)
)
