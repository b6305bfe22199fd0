// Command gen writes the assembly of package cpu. From kernels/cpu: go generate
//
// It is a module of its own, so that nobody who builds the engine needs avo. golang.org/x/tools is pinned at a version that
// compiles with the current Go.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/reg"
)

func main() {
	ConstraintExpr("amd64,!noasm")
	gemm6x16()
	expSum()
	for _, cols := range []int{64, 32, 16, 8} {
		spmm("AVX2", cols, YMM)
	}
	for _, cols := range []int{128, 64} {
		spmm("AVX512", cols, ZMM)
	}
	search(6, YMM)
	search(12, ZMM)
	streams()
	Generate()
}

func ymms(n int) []VecVirtual {
	r := make([]VecVirtual, n)
	for i := range r {
		r[i] = YMM()
	}
	return r
}

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
