package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// roundedAdam is adam with moments in bfloat16, eight elements at a time, and none under a mask: AVX2 has no masks of 16 bits.
func roundedAdam() {
	constants := GLOBL("roundedAdamConstants", RODATA|NOPTR)
	for i := range 16 {
		bits := uint32(0xffff)
		if i >= 8 {
			bits = 0x7fc00000
		}
		DATA(4*i, U32(bits))
	}
	lower, nan := constants, constants.Offset(32)
	TEXT("roundedAdamAVX2", NOSPLIT, "func(p *float32, m, v *uint16, pIn *float32, mIn, vIn *uint16, grad *float32, words *uint32, n int, c *[10]float32)")
	Pragma("noescape")
	Doc("roundedAdamAVX2 is adamAVX2 for moments in bfloat16, which are rounded by the lower half of an element's word, and by the upper for v; n is a",
		"multiple of 8 above 0.")
	ptr := loads("p", "m", "v", "pIn", "mIn", "vIn", "grad", "words", "n", "c")
	c := broadcasts(ptr[9], 10) // scale, decay and shrink are read again in each round, for want of registers
	b1, a1, b2, a2, c2, eps, step := c[2], c[3], c[4], c[5], c[6], c[7], c[8]
	again := func(at int) VecVirtual {
		r := YMM()
		VBROADCASTSS(Mem{Base: ptr[9], Disp: 4 * at}, r)
		return r
	}
	i := GP64()
	XORQ(i, i)
	floats := func(base Register) Mem { return Mem{Base: base, Index: i, Scale: 4} }
	halves := func(base Register) Mem { return Mem{Base: base, Index: i, Scale: 2} }
	wide := func(base Register) VecVirtual {
		r := YMM()
		VPMOVZXWD(halves(base), r)
		VPSLLD(U8(16), r, r)
		return r
	}
	// rounded leaves a bfloat16 in the lower half of each lane.
	rounded := func(x, random VecVirtual) VecVirtual {
		unordered := YMM()
		VPADDD(x, random, random)
		VCMPPS(U8(notNumbers), x, x, unordered)
		VBLENDVPS(unordered, nan, random, random)
		VPSRLD(U8(16), random, random)
		return random
	}
	Label("loop")
	p, g := YMM(), YMM()
	VMOVUPS(floats(ptr[3]), p)
	VMULPS(floats(ptr[6]), again(0), g)
	VFMADD231PS(again(1), p, g)
	m := wide(ptr[4])
	VMULPS(b1, m, m)
	VFMADD231PS(g, a1, m)
	g2 := YMM()
	VMULPS(a2, g, g2)
	VMULPS(g, g2, g2)
	v := wide(ptr[5])
	VFMADD213PS(g2, b2, v)
	random, randomV := YMM(), YMM()
	VMOVUPS(floats(ptr[7]), random)
	VPSRLD(U8(16), random, randomV)
	VPAND(lower, random, random)
	both := rounded(m, random)
	VPACKUSDW(rounded(v, randomV), both, both)
	VPERMQ(U8(0xd8), both, both)
	VMOVDQU(both.AsX(), halves(ptr[1]))
	VEXTRACTI128(U8(1), both, halves(ptr[2]))
	VMULPS(c2, v, v)
	VSQRTPS(v, v)
	VADDPS(eps, v, v)
	VMULPS(step, m, m)
	VDIVPS(v, m, m)
	VFMSUB132PS(again(9), m, p)
	VMOVUPS(p, floats(ptr[0]))
	ADDQ(U8(8), i)
	CMPQ(i, ptr[8])
	JL(LabelRef("loop"))
	VZEROUPPER()
	RET()
}
