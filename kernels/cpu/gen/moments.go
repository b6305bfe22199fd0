package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Moments in bfloat16, eight at a time.

func widen() {
	TEXT("widenAVX2", NOSPLIT, "func(y *float32, b *uint16, n int)")
	Pragma("noescape")
	Doc("widenAVX2 sets y to the n bfloat16 of b; n is a multiple of 8 above 0.")
	p := loads("y", "b", "n")
	y, b, n := p[0], p[1], p[2]
	i := GP64()
	XORQ(i, i)
	Label("loop")
	r := YMM()
	VPMOVZXWD(Mem{Base: b, Index: i, Scale: 2}, r)
	VPSLLD(U8(16), r, r)
	VMOVUPS(r, Mem{Base: y, Index: i, Scale: 4})
	ADDQ(U8(8), i)
	CMPQ(i, n)
	JL(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

func roundMoments() {
	constants := GLOBL("roundMomentsConstants", RODATA|NOPTR)
	for i := range 16 {
		bits := uint32(0xffff)
		if i >= 8 {
			bits = 0x7fc00000 // NaN
		}
		DATA(4*i, U32(bits))
	}
	TEXT("roundMomentsAVX2", NOSPLIT, "func(m16, v16 *uint16, m, v *float32, words *uint32, n int)")
	Pragma("noescape")
	Doc("roundMomentsAVX2 rounds n elements of m and v to bfloat16, by the lower and the upper half of their words; n is a multiple of 8 above 0.")
	p := loads("m16", "v16", "m", "v", "words", "n")
	m16, v16, m, v, words, n := p[0], p[1], p[2], p[3], p[4], p[5]
	lower, nan := YMM(), YMM()
	VMOVUPS(constants, lower)
	VMOVUPS(constants.Offset(32), nan)
	i := GP64()
	XORQ(i, i)
	Label("loop")
	random, randomV := YMM(), YMM()
	VMOVUPS(Mem{Base: words, Index: i, Scale: 4}, random)
	VPSRLD(U8(16), random, randomV)
	VPAND(lower, random, random)
	// rounded leaves the upper half of the sum in the lower one.
	rounded := func(from Register, random VecVirtual) VecVirtual {
		x, unordered := YMM(), YMM()
		VMOVUPS(Mem{Base: from, Index: i, Scale: 4}, x)
		VCMPPS(U8(notNumbers), x, x, unordered)
		VPADDD(random, x, x)
		VBLENDVPS(unordered, nan, x, x)
		VPSRLD(U8(16), x, x)
		return x
	}
	x, y := rounded(m, random), rounded(v, randomV)
	VPACKUSDW(y, x, x)
	VPERMQ(U8(0xd8), x, x)
	VMOVDQU(x.AsX(), Mem{Base: m16, Index: i, Scale: 2})
	VEXTRACTI128(U8(1), x, Mem{Base: v16, Index: i, Scale: 2})
	ADDQ(U8(8), i)
	CMPQ(i, n)
	JL(LabelRef("loop"))
	VZEROUPPER()
	RET()
}
