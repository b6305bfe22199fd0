package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// exp2Constants are those of 2^f for |f| <= 1/2, within 3e-9 of it (a minimax fit, its coefficients float32, exact at 0), the exponent of the
// smallest normal number, and that of infinity; each is repeated to the width of a register. One degree less is off by 9e-8, always the same way at one f, which sums show.
var exp2Constants = []float32{1, 0.693147182, 0.240226477, 0.0555035993, 0.00961850584, 0.00133908063, 0.000153264627, -126, 128}

// expTile is the score, its exponential and the row's sum of one tile, of which nothing leaves the registers before it is e^s. At an inner size of 64
// the six FMAs of the polynomial alone are 9% of the product's.
func expTile(v vectors, rows int) {
	const wide = 2
	cols := wide * v.lanes
	name := fmt.Sprintf("expTile%dx%d", rows, cols)
	table := GLOBL(fmt.Sprintf("exp2Table%d", v.lanes), RODATA|NOPTR)
	for i, c := range exp2Constants {
		for j := range v.lanes {
			DATA(v.bytes()*i+4*j, U32(math.Float32bits(c)))
		}
	}
	at := func(i int) Mem { return table.Offset(v.bytes() * i) }

	TEXT(name, NOSPLIT, "func(k int, a, b *float32, panels int, e *float32, eRow int, sums *float32)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s sets E[%d x %d·panels] to 2^(A·B) and the first %d sums to the sums of its rows, for A[k][%d] and B[panels][k][%d]; k, panels > 0.", name, rows, cols, rows, rows, cols),
		fmt.Sprintf("The rows of E are eRow bytes apart; sums has room for %d numbers. Under -126 the power is 0 or subnormal, from 128 on infinite; NaN stays.", rows*v.lanes))
	k := Load(Param("k"), GP64())
	a, b := Load(Param("a"), GP64()), Load(Param("b"), GP64())
	panels, e, eRow, sums := Load(Param("panels"), GP64()), Load(Param("e"), GP64()), Load(Param("eRow"), GP64()), Load(Param("sums"), GP64())
	acc, bv, av := v.some(rows*wide), v.some(wide), v.some(2)
	sum := func(r int) Mem { return Mem{Base: sums, Disp: v.bytes() * r} }
	v.zero(av[0])
	for r := range rows {
		VMOVUPS(av[0], sum(r))
	}
	Label("panel")
	for _, r := range acc {
		v.zero(r)
	}
	ak, n, to := GP64(), GP64(), GP64()
	MOVQ(a, ak)
	MOVQ(k, n)
	MOVQ(e, to)
	for range rows { // by the time it is written, it is here
		for at := 0; at < 4*cols; at += 64 {
			PREFETCHT0(Mem{Base: to, Disp: at})
		}
		ADDQ(eRow, to)
	}
	Label("loop")
	for j, r := range bv {
		VMOVUPS(Mem{Base: b, Disp: v.bytes() * j}, r)
	}
	for r := range rows {
		VBROADCASTSS(Mem{Base: ak, Disp: 4 * r}, av[r%2])
		for j, x := range bv {
			VFMADD231PS(av[r%2], x, acc[wide*r+j])
		}
	}
	ADDQ(U8(4*rows), ak)
	ADDQ(U32(4*cols), b)
	DECQ(n)
	JNE(LabelRef("loop"))
	MOVQ(e, to)
	for r := range rows {
		for j := range wide {
			x := acc[wide*r+j]
			v.exp2(x, at)
			VMOVUPS(x, Mem{Base: to, Disp: v.bytes() * j})
		}
		s := v.one()
		VADDPS(acc[wide*r], acc[wide*r+1], s)
		VADDPS(sum(r), s, s)
		VMOVUPS(s, sum(r))
		ADDQ(eRow, to)
	}
	ADDQ(U32(4*cols), e)
	DECQ(panels)
	JNE(LabelRef("panel"))
	for r := range rows { // what row r writes lies among the lanes of row 0, or its own
		s := v.one()
		VMOVUPS(sum(r), s)
		VMOVSS(v.total(s), Mem{Base: sums, Disp: 4 * r})
	}
	VZEROUPPER()
	RET()
}

// exp2 replaces x by 2^x = 2^n·2^f; NaN stays.
func (v vectors) exp2(x VecVirtual, at func(int) Mem) {
	const degree = 6
	n, p, normal := v.one(), v.one(), v.one()
	if v.lanes == 16 {
		VRNDSCALEPS(U8(0), x, n)
		VREDUCEPS(U8(0), x, x) // of -Inf it is 0, and the power then 0
	} else {
		VMOVUPS(at(degree+2), p)
		VMINPS(x, p, x)                        // of NaN and a number it is the second source: NaN
		VCMPPS(U8(5), at(degree+1), x, normal) // not less than
		VROUNDPS(U8(8), x, n)
		VSUBPS(n, x, x)
	}
	VMOVUPS(at(degree), p)
	for i := degree - 1; i >= 0; i-- {
		VFMADD213PS(at(i), x, p)
	}
	if v.lanes == 16 {
		VSCALEFPS(n, p, x)
		return
	}
	VCVTPS2DQ(n, n)
	VPSLLD(U8(23), n, n)
	VPADDD(n, p, x)
	VANDPS(normal, x, x)
}

// total adds the lanes of s.
func (v vectors) total(s VecVirtual) VecVirtual {
	if v.lanes == 16 {
		high := YMM()
		VEXTRACTF64X4(U8(1), s, high)
		VADDPS(high, s.AsY(), high)
		s = high
	}
	low, high := s.AsX(), XMM()
	VEXTRACTF128(U8(1), s.AsY(), high)
	VADDPS(high, low, high)
	t := XMM()
	VMOVHLPS(high, high, t)
	VADDPS(t, high, high)
	VMOVSHDUP(high, t)
	VADDSS(t, high, high)
	return high
}
