// Command gen writes the assembly of package cpu. From kernels/cpu: go generate
//
// It is a module of its own, so that nobody who builds the engine needs avo. golang.org/x/tools is pinned at a version that
// compiles with the current Go.
package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

func main() {
	ConstraintExpr("amd64")
	gemm6x16()
	expSum()
	for _, cols := range []int{64, 32, 16, 8} {
		spmmRow(cols)
	}
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

// six gives the addresses of six rows that are stride bytes apart.
func six(base, stride Register, disp int) [6]Mem {
	base3 := GP64()
	LEAQ(Mem{Base: stride, Index: stride, Scale: 2}, base3)
	ADDQ(base, base3)
	var rows [6]Mem
	for i := range rows {
		rows[i] = Mem{Base: base, Disp: disp}
		if i >= 3 {
			rows[i].Base = base3
		}
		if i%3 > 0 {
			rows[i].Index, rows[i].Scale = stride, uint8(i%3)
		}
	}
	return rows
}

// gemm6x16 keeps a tile of C in 12 registers: 2 loads and 6 broadcasts feed 12 FMAs, which is what two FMA units can take.
func gemm6x16() {
	TEXT("gemm6x16", NOSPLIT, "func(k int, a *float32, aRow, aCol int, b *float32, bRow int, c *float32, cRow int)")
	Pragma("noescape")
	Doc("gemm6x16 adds A·B to C[6 x 16], A[6 x k], B[k x 16]; k > 0. Strides are in bytes; B and C are contiguous within a row.")
	k := Load(Param("k"), GP64())
	a, aRow, aCol := Load(Param("a"), GP64()), Load(Param("aRow"), GP64()), Load(Param("aCol"), GP64())
	b, bRow := Load(Param("b"), GP64()), Load(Param("bRow"), GP64())
	aAt := six(a, aRow, 0)
	acc, bv, av := ymms(12), ymms(2), ymms(2)
	for _, r := range acc {
		VXORPS(r, r, r)
	}
	Label("loop")
	for v, r := range bv {
		VMOVUPS(Mem{Base: b, Disp: 32 * v}, r)
	}
	for i, m := range aAt {
		VBROADCASTSS(m, av[i%2])
		for v, r := range bv {
			VFMADD231PS(av[i%2], r, acc[2*i+v])
		}
	}
	ADDQ(aCol, a)
	ADDQ(aCol, aAt[3].Base)
	ADDQ(bRow, b)
	DECQ(k)
	JNE(LabelRef("loop"))
	c, cRow := Load(Param("c"), GP64()), Load(Param("cRow"), GP64())
	for i, m := range six(c, cRow, 0) {
		for v := range bv {
			m.Disp = 32 * v
			VADDPS(m, acc[2*i+v], acc[2*i+v])
			VMOVUPS(acc[2*i+v], m)
		}
	}
	VZEROUPPER()
	RET()
}

// expConstants are repeated to the width of a register; the polynomial is that of exp32.
var expConstants = []float64{
	math.Log2E, 0.693359375, math.Ln2 - 0.693359375,
	0.001381461275741458, 0.008368710055947304, 0.04166838899254799, 0.1666652113199234, 0.4999999403953552, 1,
	-126 * math.Ln2, 128 * math.Ln2, math.Inf(1),
}

// expSum is exp32 on eight elements at once. Comparisons are such that NaN stays.
func expSum() {
	table := GLOBL("expTable", RODATA|NOPTR)
	for i, v := range expConstants {
		for j := range 8 {
			DATA(4*(8*i+j), U32(math.Float32bits(float32(v))))
		}
	}
	at := func(i int) Mem { return table.Offset(32 * i) }

	TEXT("expSum", NOSPLIT, "func(x *float32, n int, bias *float32, biasStep int, scale, shift float32) float32")
	Pragma("noescape")
	Doc("expSum replaces x by e^(x·scale + bias - shift) and returns the sum. n > 0 is a multiple of 8; bias moves on by biasStep bytes for each 8",
		"elements: 32, or 0 to repeat the first 8. The error is that of exp32.")
	x, n := Load(Param("x"), GP64()), Load(Param("n"), GP64())
	bias, biasStep := Load(Param("bias"), GP64()), Load(Param("biasStep"), GP64())
	scale, shift, sum := broadcast("scale"), broadcast("shift"), YMM()
	VXORPS(sum, sum, sum)
	Label("loop")
	v, e, f, q, f2 := YMM(), YMM(), YMM(), YMM(), YMM()
	VMOVUPS(Mem{Base: x}, v)
	VFMADD213PS(Mem{Base: bias}, scale, v)
	VSUBPS(shift, v, v)
	ADDQ(biasStep, bias)
	VMULPS(at(0), v, e)
	VROUNDPS(U8(8), e, e) // to nearest
	VMOVAPS(v, f)
	VFNMADD231PS(at(1), e, f)
	VFNMADD231PS(at(2), e, f)
	VMOVUPS(at(3), q)
	for i := 4; i <= 7; i++ {
		VFMADD213PS(at(i), f, q)
	}
	VMULPS(f, f, f2)
	VFMADD213PS(f, f2, q)
	VADDPS(at(8), q, q)
	VCVTPS2DQ(e, e)
	VPSLLD(U8(23), e, e)
	VPADDD(e, q, q)
	VCMPPS(U8(5), at(9), v, f) // not less than the smallest: 0 otherwise
	VANDPS(f, q, q)
	VCMPPS(U8(0x1d), at(10), v, f) // too large
	VMOVUPS(at(11), f2)
	VBLENDVPS(f, f2, q, q)
	VMOVUPS(q, Mem{Base: x})
	VADDPS(q, sum, sum)
	ADDQ(U8(32), x)
	SUBQ(U8(8), n)
	JNE(LabelRef("loop"))
	low, high := sum.AsX(), XMM()
	VEXTRACTF128(U8(1), sum, high)
	VADDPS(high, low, low)
	VMOVHLPS(low, low, high)
	VADDPS(high, low, low)
	VMOVSHDUP(low, high)
	VADDSS(high, low, low)
	Store(low, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// spmmRow keeps the row's sum in registers and asks for the row of x that is 64 edges ahead: about as far as memory is away.
func spmmRow(cols int) {
	const ahead = 64
	TEXT(fmt.Sprintf("spmmRow%d", cols), NOSPLIT, "func(y, x *float32, xRow int, col *int32, edges, cols int, val *float32, valMask int, colScale *float32, colMask int, scale float32)")
	Pragma("noescape")
	Doc(fmt.Sprintf("spmmRow%d sets y[%d] to scale·Σ_e val[e & valMask]·colScale[col[e] & colMask]·x[col[e]·xRow ..]. The mask of an array that", cols, cols),
		"every edge reads is -1; a mask of 0 reads its first element for all. cols >= edges is the number of columns that may be looked at.")
	x, xRow, col := Load(Param("x"), GP64()), Load(Param("xRow"), GP64()), Load(Param("col"), GP64())
	edges, limit := Load(Param("edges"), GP64()), Load(Param("cols"), GP64())
	val, valMask := Load(Param("val"), GP64()), Load(Param("valMask"), GP64())
	colScale, colMask := Load(Param("colScale"), GP64()), Load(Param("colMask"), GP64())
	acc := ymms(cols / 8)
	for _, r := range acc {
		VXORPS(r, r, r)
	}
	e, c, t := GP64(), GP64(), GP64()
	v, vx := YMM(), XMM()
	XORQ(e, e)
	TESTQ(edges, edges)
	JE(LabelRef("store"))
	Label("loop")
	// The row to come.
	LEAQ(Mem{Base: e, Disp: ahead}, t)
	CMPQ(t, limit)
	CMOVQGE(e, t)
	MOVLQSX(Mem{Base: col, Index: t, Scale: 4}, t)
	IMULQ(xRow, t)
	for i := 0; i < 4*cols; i += 64 {
		PREFETCHT1(Mem{Base: x, Index: t, Scale: 1, Disp: i})
	}
	// Its weight.
	MOVLQSX(Mem{Base: col, Index: e, Scale: 4}, c)
	MOVQ(e, t)
	ANDQ(valMask, t)
	VMOVSS(Mem{Base: val, Index: t, Scale: 4}, vx)
	MOVQ(c, t)
	ANDQ(colMask, t)
	VMULSS(Mem{Base: colScale, Index: t, Scale: 4}, vx, vx)
	VBROADCASTSS(vx, v)
	IMULQ(xRow, c)
	for i, r := range acc {
		VFMADD231PS(Mem{Base: x, Index: c, Scale: 1, Disp: 32 * i}, v, r)
	}
	INCQ(e)
	CMPQ(e, edges)
	JL(LabelRef("loop"))
	Label("store")
	y := Load(Param("y"), GP64())
	scale := broadcast("scale")
	for i, r := range acc {
		VMULPS(scale, r, r)
		VMOVUPS(r, Mem{Base: y, Disp: 32 * i})
	}
	VZEROUPPER()
	RET()
}
