package kerneltest

import (
	"fmt"
	"math"
	"slices"

	"nearfar/kernels"
)

// The tolerance, for each output, in the maximum norm relative to the largest finite element of the reference:
//
//	float32: the largest of
//	  - twice the error of the plain float32 implementation (plain.go: the loop of the doc comment, sequential sums, every
//	    operation rounded), measured on the same inputs and on some that differ from them by an ulp here and there, which takes
//	    the luck of one rounding out of the measure;
//	  - 4 ulp (2^-23 each); 8 ulp where exp, log, tanh or cos are involved: the plain loop calls correctly rounded ones, and on
//	    small tensors it is sometimes right by luck;
//	  - the change of the reference when every input is wrong by one ulp: luck again, where sums cancel.
//	float64: the larger of 4e-12 and 2^-22 times that change.
//
// Moments in bfloat16 are rounded by the same bits: compareRounded.
//
// Kernels that move or compare numbers, and those whose case says Exact, get no tolerance: Ref's value, rounded once. NaN and
// infinities stand exactly where Ref, rounded, has them. Results below the smallest normal number may be flushed to zero. Where
// the plain float32 loop overflows and float64 does not, nothing is asked.
const (
	ulp32   = 1.0 / (1 << 23)
	floor64 = 4e-12
)

// limit is what one output may differ by.
type limit struct {
	exact bool
	abs   float64 // largest absolute difference
	free  []bool  // elements of which nothing is asked; nil: none
}

func limits(c Case, p problem) []limit {
	ls := make([]limit, len(p.ref))
	if c.Exact || exact(p.k) {
		for i := range ls {
			ls[i].exact = true
		}
		return ls
	}
	single := p.ref[0].Desc.Type == kernels.Float32
	y := measure(p, single)
	for i, r := range p.ref {
		norm := largest(r.F)
		if r.Desc.Type == kernels.BFloat16 {
			ls[i].abs = ulps(p.k) * ulp32 * norm
		} else if single {
			ls[i] = limit{abs: max(ulps(p.k)*ulp32*norm, y.moved[i], 2*y.plain[i]), free: y.free[i]}
		} else {
			ls[i].abs = max(floor64*norm, y.moved[i]/(1<<22))
		}
	}
	return ls
}

// compare holds a result to the reference.
func (l limit) compare(got Tensor, ref kernels.Tensor64) error {
	if ref.Desc.Type == kernels.BFloat16 {
		return l.compareRounded(got, ref)
	}
	for i, v := range ref.I {
		if got.I32[i] != v {
			return fmt.Errorf("[%d] is %d, want %d", i, got.I32[i], v)
		}
	}
	single := ref.Desc.Type == kernels.Float32
	tiny := 0x1p-1022
	if single {
		tiny = 0x1p-126
	}
	for i, v := range ref.F {
		g, want := got.at(i), v
		if single {
			want = float64(float32(v))
		}
		switch {
		case l.free != nil && l.free[i]:
		case math.IsNaN(want) && math.IsNaN(g) || g == want:
		case l.exact:
			return fmt.Errorf("[%d] is %v, want exactly %v", i, g, want)
		case !finite(want) || !finite(g):
			return fmt.Errorf("[%d] is %v, want %v", i, g, want)
		case math.Abs(g-v) > l.abs+tiny:
			return fmt.Errorf("[%d] is %v, want %v: off by %.3g, %.3g allowed (largest element %.3g)", i, g, v, math.Abs(g-v), l.abs,
				largest(ref.F))
		}
	}
	return nil
}

// compareRounded holds numbers that are rounded by chance to the reference. Of a number that is computed in float32 the last bits may differ, and then
// one in some thousands is rounded to the other neighbour; or, where terms cancel, is another.
func (l limit) compareRounded(got Tensor, ref kernels.Tensor64) error {
	others, most := 0, 1+len(ref.F)/200
	if l.exact {
		most = 0
	}
	for i, v := range ref.F {
		g, want := got.B16[i], kernels.ToBFloat16(float32(v))
		if g == want {
			continue
		}
		if others++; others > most || g != want+1 && g != want-1 && !(math.Abs(got.at(i)-v) <= l.abs) {
			return fmt.Errorf("[%d] is %v, want %v: the %d. that differs, %d of %d may, by one unit or %.3g", i, got.at(i), v, others, most, len(ref.F), l.abs)
		}
	}
	return nil
}

// yardstick is what a problem's outputs allow.
type yardstick struct {
	moved []float64 // largest change of the reference when real inputs are wrong by one float32 ulp
	plain []float64 // largest error of plain32
	free  [][]bool  // where plain32 leaves the range of float32 and the reference does not
}

// measure runs the problem and some neighbours of it: each real input up or down by an ulp of float32.
func measure(p problem, single bool) yardstick {
	n := len(p.ref)
	y := yardstick{make([]float64, n), make([]float64, n), make([][]bool, n)}
	if single {
		y.compare(p, true)
	}
	trials := 1
	switch p.k.(type) {
	case kernels.Map: // comparisons would flip; plain32 puts errors behind each instruction instead
		return y
	case kernels.LogSumExp, kernels.LogSumExpGrad, kernels.LogSumExpWithGrad: // one large p may make the whole error
		if single {
			trials = 8
		}
	default:
		if single {
			trials = 2
		}
	}
	g := newGen("neighbours")
	for range trials {
		near := p
		near.in = slices.Clone(p.in)
		for i, t := range p.in {
			near.in[i].F = slices.Clone(t.F)
			for j, v := range t.F {
				if finite(v) {
					near.in[i].F[j] = float64(math.Nextafter32(float32(v), float32(v)*float32(2*g.below(2))))
				}
			}
		}
		near.ref = reference(p.k, descs(p.ref), near.in)
		for i, r := range near.ref {
			for j, v := range r.F {
				if d := math.Abs(v - p.ref[i].F[j]); finite(d) {
					y.moved[i] = max(y.moved[i], d)
				}
			}
		}
		if single {
			y.compare(near, false)
		}
	}
	return y
}

// compare takes the error of plain32 on one problem into the measure.
func (y yardstick) compare(p problem, itself bool) {
	plain := plain32(p)
	for i, r := range p.ref {
		if plain == nil || !r.Desc.Type.IsFloat() {
			continue
		}
		if itself {
			y.free[i] = make([]bool, len(r.F))
		}
		for j, v := range r.F {
			got := float64(plain[i].F32[j])
			switch {
			case !finite(v) || !finite(float64(float32(v))):
			case finite(got):
				y.plain[i] = max(y.plain[i], math.Abs(got-v))
			case itself:
				y.free[i][j] = true
			}
		}
	}
}

func largest(f []float64) (norm float64) {
	for _, v := range f {
		if finite(v) {
			norm = max(norm, math.Abs(v))
		}
	}
	return norm
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// exact tells the kernels that round nothing, or only store.
func exact(k kernels.Kernel) bool {
	switch k := k.(type) {
	case kernels.Gather, kernels.Put, kernels.Reshape, kernels.Concat, kernels.Slice, kernels.Pad, kernels.Permute, kernels.Fill, kernels.TopK:
		return true
	case kernels.Random:
		return k.Distribution != kernels.Normal
	case kernels.Reduce:
		return k.Op == kernels.Largest || k.Op == kernels.AllFinite
	case kernels.Map:
		for _, c := range k.Code[:k.Len()] {
			if !exactOps[c.Op] {
				return false
			}
		}
		return true
	}
	return false
}

var exactOps = map[kernels.MapOp]bool{kernels.Copy: true, kernels.Neg: true, kernels.Sign: true, kernels.ReLU: true, kernels.Positive: true,
	kernels.MaxImm: true, kernels.Max: true, kernels.Min: true, kernels.Equal: true, kernels.Greater: true, kernels.Where: true}

var transcendentalOps = map[kernels.MapOp]bool{kernels.Exp: true, kernels.Log: true, kernels.Sigmoid: true, kernels.Tanh: true,
	kernels.Softplus: true}

// ulps is the floor of the float32 tolerance.
func ulps(k kernels.Kernel) float64 {
	switch k := k.(type) {
	case kernels.Random, kernels.Softmax, kernels.LogSumExp, kernels.LogSumExpGrad, kernels.LogSumExpWithGrad:
		return 8
	case kernels.Reduce:
		if k.Op == kernels.LogSumExps {
			return 8
		}
	}
	return 4
}
