package kerneltest

import (
	"math"
	"slices"
	"testing"
	"unsafe"

	"nearfar/kernels"
)

// TestPlantedBugsAreFound breaks the honest set in one way at a time; the suite must notice.
func TestPlantedBugsAreFound(t *testing.T) {
	calls := 0
	for _, bug := range []struct {
		name, family string
		set          refSet
	}{
		{"tail not written", "RowDot", refSet{after: func(_ kernels.Kernel, out, _ []Tensor, _ int) {
			if n := out[0].Desc.Elems(); n%8 != 0 {
				poison(Tensor{F32: tail(out[0].F32), F64: tail(out[0].F64)})
			}
		}}},
		{"tail off by one", "NormaliseRows", refSet{before: func(_ kernels.Kernel, in []kernels.Tensor64) {
			if c := in[0].Desc.Cols(); c%8 == 7 {
				in[0].F[c-1] = 0
			}
		}}},
		{"depends on threads", "Reduce", refSet{after: func(_ kernels.Kernel, out, _ []Tensor, threads int) {
			if threads == 7 {
				nudge(out[0])
			}
		}}},
		{"depends on the run", "MatMul", refSet{after: func(_ kernels.Kernel, out, _ []Tensor, threads int) {
			if calls++; calls%2 == 0 {
				nudge(out[0])
			}
		}}},
		{"writes behind the end", "Gather", refSet{after: func(_ kernels.Kernel, out, _ []Tensor, _ int) {
			if o := out[0].F32; o != nil {
				*(*float32)(unsafe.Add(unsafe.Pointer(&o[0]), 4*len(o))) = 0
			}
		}}},
		{"writes before the start", "SpMM", refSet{after: func(_ kernels.Kernel, out, _ []Tensor, _ int) {
			if o := out[0].F64; o != nil {
				*(*float64)(unsafe.Add(unsafe.Pointer(&o[0]), -8)) = 0
			}
		}}},
		{"changes an input", "Softmax", refSet{after: func(_ kernels.Kernel, _, in []Tensor, _ int) { nudge(in[0]) }}},
		{"changes indices", "SegmentSum", refSet{after: func(_ kernels.Kernel, _, in []Tensor, _ int) { in[1].I32[0]++ }}},
		{"-1 read as row 0", "Gather", refSet{before: func(_ kernels.Kernel, in []kernels.Tensor64) { clamp(in[1]) }}},
		{"-1 added to row 0", "ScatterAdd", refSet{before: func(k kernels.Kernel, in []kernels.Tensor64) {
			if !k.(kernels.ScatterAdd).Onto {
				clamp(in[1])
			}
		}}},
		{"-1 put on row 0", "Put", refSet{before: func(_ kernels.Kernel, in []kernels.Tensor64) { clamp(in[2]) }}},
		{"-1 trained as row 0", "RowAdam", refSet{before: func(_ kernels.Kernel, in []kernels.Tensor64) { clamp(in[4]) }}},
		{"rows without a gradient stay", "RowAdam", refSet{ref: func(k kernels.Kernel, out, in []kernels.Tensor64, _ bool) bool {
			kernels.RowAdam{Adam: k.(kernels.RowAdam).Adam}.Ref(out, in)
			return true
		}}},
		{"moments to the nearest", "Adam", refSet{ref: func(k kernels.Kernel, out, in []kernels.Tensor64, _ bool) bool {
			a := k.(kernels.Adam)
			if !a.Moments16 {
				return false
			}
			a.Moments16 = false
			a.Ref(out, slices.Delete(slices.Clone(in), 4, 5))
			return true // and write rounds
		}}},
		{"moments by other words", "RowAdam", refSet{before: func(k kernels.Kernel, in []kernels.Tensor64) {
			if k.(kernels.RowAdam).Moments16 {
				in[5].I[2]++
			}
		}}},
		{"ties by the higher index", "TopK", refSet{ref: func(k kernels.Kernel, out, in []kernels.Tensor64, _ bool) bool {
			n := in[0].Desc.Cols()
			turned := kernels.NewTensor64(in[0].Desc)
			for i := range in[0].F {
				turned.F[i] = in[0].F[i/n*n+n-1-i%n]
			}
			k.Ref(out, []kernels.Tensor64{turned})
			for i := range out[1].I {
				out[1].I[i] = int32(n-1) - out[1].I[i]
			}
			return true
		}}},
		{"gate ignored", "Adagrad", refSet{before: func(_ kernels.Kernel, in []kernels.Tensor64) { in[5].F[0] = 1 }}},
		{"mask ignored", "Softmax", refSet{before: func(k kernels.Kernel, in []kernels.Tensor64) {
			for i := range in[len(in)-1].F {
				if k.(kernels.Softmax).Masked {
					in[1].F[i] = 1
				}
			}
		}}},
		{"NaN swallowed", "Reduce", refSet{before: func(_ kernels.Kernel, in []kernels.Tensor64) {
			for i, v := range in[0].F {
				if math.IsNaN(v) {
					in[0].F[i] = 0
				}
			}
		}}},
		{"fixed shift that underflows", "LogSumExp", refSet{ref: fixedShift}},
		{"weights ignored", "LogSumExpWithGrad", refSet{before: func(k kernels.Kernel, in []kernels.Tensor64) {
			if _, w, _, _ := k.(kernels.LogSumExpWithGrad).Places(1); w >= 0 {
				for i := range in[w].F {
					in[w].F[i] = 1
				}
			}
		}}},
		{"pairs not excluded", "LogSumExpGrad", refSet{before: func(k kernels.Kernel, in []kernels.Tensor64) {
			if _, _, row, _ := k.(kernels.LogSumExpGrad).Places(2); row >= 0 {
				for i := range in[row].I {
					in[row].I[i] = -1
				}
			}
		}}},
		{"half precision", "MatMul", refSet{before: func(_ kernels.Kernel, in []kernels.Tensor64) {
			for i, v := range in[0].F {
				in[0].F[i] = float64(math.Float32frombits(math.Float32bits(float32(v)) &^ 0xffff))
			}
		}}},
		{"float32 inside float64", "LogSumExpGrad", refSet{before: func(_ kernels.Kernel, in []kernels.Tensor64) {
			for i, v := range in[0].F {
				in[0].F[i] = float64(float32(v))
			}
		}}},
		{"1 - float32(B2)", "Adam", refSet{ref: func(k kernels.Kernel, out, in []kernels.Tensor64, single bool) bool {
			a := k.(kernels.Adam)
			if single {
				a.B2 = float64(float32(a.B2))
			}
			a.Ref(out, in)
			return true
		}}},
		{"in place reads what it wrote", "SGD", refSet{after: func(_ kernels.Kernel, out, in []Tensor, _ int) {
			if o := out[0].F64; o != nil && &o[0] == &in[0].F64[0] {
				nudge(out[0])
			}
		}}},
		{"reads its operands while binding", "Adam", refSet{bind: func(in []Tensor) {
			if in[4].F32 != nil && in[4].F32[0] == 0 {
				panic("reads rates while binding")
			}
		}}},
		{"transposed twice", "Permute", refSet{ref: func(k kernels.Kernel, out, in []kernels.Tensor64, _ bool) bool {
			copy(out[0].F, in[0].F)
			return true
		}}},
		{"other random words", "Random", refSet{before: func(_ kernels.Kernel, in []kernels.Tensor64) { in[0].I[3]++ }}},
		{"noise of other words", "SignedNoise", refSet{before: func(_ kernels.Kernel, in []kernels.Tensor64) { in[1].I[3]++ }}},
		{"noise without the sign", "SignedNoise", refSet{ref: func(k kernels.Kernel, out, in []kernels.Tensor64, _ bool) bool {
			k.Ref(out, in)
			for i, x := range in[0].F {
				if x < 0 {
					out[0].F[i] = 2*x - out[0].F[i]
				}
			}
			return true
		}}},
		{"noise on row -1", "SignedNoise", refSet{before: func(k kernels.Kernel, in []kernels.Tensor64) {
			if k.(kernels.SignedNoise).Rows {
				clamp(in[2])
			}
		}}},
		{"fast exponential", "Map", refSet{ref: func(k kernels.Kernel, out, in []kernels.Tensor64, single bool) bool {
			if m := k.(kernels.Map); m.Len() != 1 || m.Code[0].Op != kernels.Exp || !single {
				return false
			}
			for i, v := range in[0].F {
				out[0].F[i] = math.Exp(v) * (1 + 2e-6)
			}
			return true
		}}},
	} {
		t.Run(bug.name, func(t *testing.T) {
			r := &recorder{}
			if Check(r, bug.set, bug.family) == 0 {
				t.Fatal("no case was offered")
			}
			if len(r.failures) == 0 {
				t.Errorf("the suite passes a %s with the bug %q", bug.family, bug.name)
			}
		})
	}
}

func tail[T any](s []T) []T {
	if len(s) == 0 {
		return nil
	}
	return s[len(s)-1:]
}

// nudge changes the last bit of the first element.
func nudge(t Tensor) {
	switch {
	case t.F32 != nil:
		t.F32[0] = math.Float32frombits(math.Float32bits(t.F32[0]) ^ 1)
	case t.F64 != nil:
		t.F64[0] = math.Float64frombits(math.Float64bits(t.F64[0]) ^ 1)
	}
}

// clamp reads -1 as 0.
func clamp(id kernels.Tensor64) {
	for i, v := range id.I {
		id.I[i] = max(v, 0)
	}
}

// fixedShift is e^(s - Bound) in float32, also where 2·Bound is more than float32's exponents reach.
func fixedShift(k kernels.Kernel, out, in []kernels.Tensor64, single bool) bool {
	s := k.(kernels.LogSumExp).Similarity
	if s.Bound == 0 || !single || s.Biased || s.Weighted || s.Excludes {
		return false
	}
	d := in[0].Desc.Dim[1]
	for b := range out[0].F {
		sum := float32(0)
		for n := range in[1].Desc.Dim[0] {
			dot := 0.0
			for i := range d {
				dot += in[0].F[b*d+i] * in[1].F[n*d+i]
			}
			sum += float32(math.Exp(s.Scale*dot - s.Bound))
		}
		out[0].F[b] = s.Bound + math.Log(float64(sum))
	}
	return true
}
