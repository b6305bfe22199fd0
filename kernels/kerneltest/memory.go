package kerneltest

import (
	"math"
	"slices"

	"nearfar/kernels"
)

// The poison of unwritten outputs and of guard bands: NaNs of a payload that no arithmetic makes, and an index outside every tensor.
const (
	poison64  = 0x7ff80000deadbeef
	poison32  = 0x7fc0beef
	poisonInt = 0x5eadbeef
	poison16  = 0x7fef // a NaN
)

// guarded is a tensor with a guard band on both sides.
type guarded struct{ whole, view Tensor }

// guard allocates a poisoned tensor. The band's length varies with shift, so that the data is not always aligned to vectors.
func guard(d kernels.Desc, shift int) guarded {
	n, band := d.Elems(), 32+shift%5
	w := kernels.Of(d.Type, band+n+band)
	g := guarded{whole: Tensor{Desc: w}, view: Tensor{Desc: d}}
	switch d.Type {
	case kernels.Float32:
		g.whole.F32 = make([]float32, w.Elems())
		g.view.F32 = g.whole.F32[band : band+n : band+n]
	case kernels.Float64:
		g.whole.F64 = make([]float64, w.Elems())
		g.view.F64 = g.whole.F64[band : band+n : band+n]
	case kernels.BFloat16:
		g.whole.B16 = make([]uint16, w.Elems())
		g.view.B16 = g.whole.B16[band : band+n : band+n]
	default:
		g.whole.I32 = make([]int32, w.Elems())
		g.view.I32 = g.whole.I32[band : band+n : band+n]
	}
	poison(g.whole)
	return g
}

func poison(t Tensor) {
	for i := range t.F32 {
		t.F32[i] = math.Float32frombits(poison32)
	}
	for i := range t.F64 {
		t.F64[i] = math.Float64frombits(poison64)
	}
	for i := range t.I32 {
		t.I32[i] = poisonInt
	}
	for i := range t.B16 {
		t.B16[i] = poison16
	}
}

func zero(t Tensor) { clear(t.F32); clear(t.F64); clear(t.I32); clear(t.B16) }

// write stores the values of a reference tensor, rounded to t's type.
func write(t Tensor, v kernels.Tensor64) {
	for i := range t.F32 {
		t.F32[i] = float32(v.F[i])
	}
	for i := range t.B16 {
		t.B16[i] = kernels.ToBFloat16(float32(v.F[i]))
	}
	copy(t.F64, v.F)
	copy(t.I32, v.I)
}

// at reads a real element in float64.
func (t Tensor) at(i int) float64 {
	switch {
	case t.F64 != nil:
		return t.F64[i]
	case t.B16 != nil:
		return float64(kernels.FromBFloat16(t.B16[i]))
	}
	return float64(t.F32[i])
}

// bit is an element as it lies in memory.
func (t Tensor) bit(i int) uint64 {
	switch {
	case t.F32 != nil:
		return uint64(math.Float32bits(t.F32[i]))
	case t.F64 != nil:
		return math.Float64bits(t.F64[i])
	case t.B16 != nil:
		return uint64(t.B16[i])
	}
	return uint64(uint32(t.I32[i]))
}

func clone(t Tensor) Tensor {
	return Tensor{t.Desc, slices.Clone(t.F32), slices.Clone(t.F64), slices.Clone(t.I32), slices.Clone(t.B16)}
}

// poisoned tells whether the bits are those of an element that was never written.
func poisoned(t kernels.DType, b uint64) bool {
	switch t {
	case kernels.Float32:
		return b == poison32
	case kernels.Float64:
		return b == poison64
	case kernels.BFloat16:
		return b == poison16
	}
	return b == poisonInt
}

// differ is the first index at which two results differ, -1 if none does. All NaNs are one value: IEEE 754 leaves their payload open.
func differ(a, b Tensor) int {
	real := a.Desc.Type != kernels.Int32
	for i := range a.Desc.Elems() {
		if a.bit(i) != b.bit(i) && !(real && math.IsNaN(a.at(i)) && math.IsNaN(b.at(i))) {
			return i
		}
	}
	return -1
}

// touched tells whether any bit of t is not as in before.
func touched(t, before Tensor) bool {
	for i, v := range t.F32 {
		if math.Float32bits(v) != math.Float32bits(before.F32[i]) {
			return true
		}
	}
	for i, v := range t.F64 {
		if math.Float64bits(v) != math.Float64bits(before.F64[i]) {
			return true
		}
	}
	return !slices.Equal(t.I32, before.I32) || !slices.Equal(t.B16, before.B16)
}
