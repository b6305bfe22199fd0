//go:build !noasm

package cpu

import "unsafe"

// Kernels that wait for memory, for float32 by AVX2: the functions below are reached where vectors says so.

// vectors tells whether the set has assembly for T.
func vectors[T float](s Set) bool { return s.level >= avx2 && unsafe.Sizeof(T(0)) == 4 }

// at is where x begins; T is float32.
func at[T float](x []T) *float32 { return (*float32)(unsafe.Pointer(unsafe.SliceData(x))) }

// adamAll is the loop of adamStep.
func adamAll[T float](out, in [3][]T, g []T, c *[10]float32) {
	n := len(g)
	for k := range out {
		_, _ = out[k][:n], in[k][:n]
	}
	adamAVX2(at(out[0]), at(out[1]), at(out[2]), at(in[0]), at(in[1]), at(in[2]), at(g), n, c)
}
