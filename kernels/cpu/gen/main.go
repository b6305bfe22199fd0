// Command gen writes the assembly of package cpu. From kernels/cpu: go generate
//
// It is a module of its own, so that nobody who builds the engine needs avo. golang.org/x/tools is pinned at a version that
// compiles with the current Go.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

func main() {
	ConstraintExpr("amd64,!noasm")
	gemm(avx2, 1, 8)
	gemm(avx2, 6, 2)
	gemm(avx512, 6, 4)
	expSum()
	expTile(avx2, 6)
	expTile(avx512, 12)
	for _, half := range []bool{false, true} {
		for _, cols := range []int{64, 32, 16, 8} {
			spmm("AVX2", cols, YMM, half)
		}
		for _, cols := range []int{128, 64} {
			spmm("AVX512", cols, ZMM, half)
		}
	}
	topFinite()
	halve()
	search(6, YMM)
	search(12, ZMM)
	streams()
	Generate()
}

// vectors are registers of so many float32 lanes.
type vectors struct {
	lanes int
	one   func() VecVirtual
}

var avx2, avx512 = vectors{8, YMM}, vectors{16, ZMM}

func (v vectors) bytes() int { return 4 * v.lanes }

func (v vectors) some(n int) []VecVirtual {
	r := make([]VecVirtual, n)
	for i := range r {
		r[i] = v.one()
	}
	return r
}

func (v vectors) zero(r VecVirtual) {
	if v.lanes == 16 {
		VPXORD(r, r, r)
	} else {
		VXORPS(r, r, r)
	}
}

func ymms(n int) []VecVirtual { return avx2.some(n) }

// broadcast repeats a float32 parameter over a register.
func broadcast(param string) VecVirtual {
	p, err := Param(param).Resolve()
	if err != nil {
		panic(err)
	}
	r := YMM()
	VBROADCASTSS(p.Addr, r)
	return r
}

// across brings the eight lanes of r to one, in its lowest, by an operation on vectors that the last two lanes need as one on scalars.
func across(r VecVirtual, packed, scalar func(...Op)) Register {
	low, high := r.AsX(), XMM()
	VEXTRACTF128(U8(1), r, high)
	packed(high, low, low)
	VMOVHLPS(low, low, high)
	packed(high, low, low)
	VMOVSHDUP(low, high)
	scalar(high, low, low)
	return low
}
