package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

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
	Store(across(sum, VADDPS, VADDSS), ReturnIndex(0))
	VZEROUPPER()
	RET()
}
