package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// columns is a row of d elements as a loop over eight of them.
type columns struct {
	i, whole, left Register // the offset, that of the last elements, and how many these are
	mask           VecVirtual
}

// newColumns uses d up.
func newColumns(d Register) columns {
	c := columns{GP64(), GP64(), GP64(), YMM()}
	table := GP64()
	MOVQ(d, c.left)
	ANDQ(U8(7), c.left)
	SUBQ(c.left, d)
	MOVQ(d, c.whole)
	SHLQ(U8(2), c.whole)
	LEAQ(masks, table)
	MOVQ(U32(8), d)
	SUBQ(c.left, d)
	VMOVUPS(Mem{Base: table, Index: d, Scale: 4}, c.mask)
	return c
}

// each is the loop; its labels begin with name.
func (c columns) each(name string, body func(l lane)) {
	XORQ(c.i, c.i)
	TESTQ(c.whole, c.whole)
	JE(LabelRef(name + "Last"))
	Label(name + "Loop")
	body(lane{at: c.i})
	ADDQ(U8(32), c.i)
	CMPQ(c.i, c.whole)
	JL(LabelRef(name + "Loop"))
	Label(name + "Last")
	TESTQ(c.left, c.left)
	JE(LabelRef(name + "Done"))
	body(lane{c.i, c.mask})
	Label(name + "Done")
}

// doubles loads eight elements and widens them to float64.
func (l lane) doubles(from Register) (r [2]VecVirtual) {
	r[0], r[1] = YMM(), YMM()
	if l.mask == nil {
		VCVTPS2PD(Mem{Base: from, Index: l.at, Scale: 1}, r[0])
		VCVTPS2PD(Mem{Base: from, Index: l.at, Scale: 1, Disp: 16}, r[1])
		return r
	}
	v, high := l.load(from), XMM()
	VEXTRACTF128(U8(1), v, high)
	VCVTPS2PD(v.AsX(), r[0])
	VCVTPS2PD(high, r[1])
	return r
}

// exactDot is the inner product of two rows, in float64, in the lowest lane.
func (c columns) exactDot(x, y Register) VecVirtual {
	sum := ymms(2)
	for _, s := range sum {
		VXORPD(s, s, s)
	}
	c.each("dot", func(l lane) {
		a := l.doubles(x)
		b := a
		if y != x {
			b = l.doubles(y)
		}
		for k, s := range sum {
			VFMADD231PD(a[k], b[k], s)
		}
	})
	return folded(sum)
}

// folded is the sum of all lanes, in the lowest one.
func folded(sum []VecVirtual) VecVirtual {
	VADDPD(sum[1], sum[0], sum[0])
	low, high := sum[0].AsX(), XMM()
	VEXTRACTF128(U8(1), sum[0], high)
	VADDPD(high, low, low)
	VPERMILPD(U8(1), low, high)
	VADDSD(high, low, low)
	return sum[0]
}

// eachRow moves pointers to rows of d elements, and one by so many bytes, down n > 0 rows, and ends the function.
func eachRow(rows []Register, other Register, bytes uint8, n, d Register, body func(c columns)) {
	stride := GP64()
	MOVQ(d, stride)
	SHLQ(U8(2), stride)
	c := newColumns(d)
	Label("row")
	body(c)
	for _, r := range rows {
		ADDQ(stride, r)
	}
	ADDQ(U8(bytes), other)
	DECQ(n)
	JNE(LabelRef("row"))
	VZEROUPPER()
	RET()
}

func rowDots() {
	TEXT("rowDotAVX2", NOSPLIT, "func(out, x, y *float32, n, d int)")
	Pragma("noescape")
	Doc("rowDotAVX2 sets out[i] to the inner product of the rows i of x and y [n x d], formed in float64; n > 0.")
	p := loads("out", "x", "y", "n", "d")
	eachRow(p[1:3], p[0], 4, p[3], p[4], func(c columns) {
		s := c.exactDot(p[1], p[2]).AsX()
		VCVTSD2SS(s, s, s)
		VMOVSS(s, Mem{Base: p[0]})
	})
}

func normaliseRows() {
	TEXT("normaliseRowsAVX2", NOSPLIT, "func(y, inv, x *float32, n, d int, eps float64)")
	Pragma("noescape")
	Doc("normaliseRowsAVX2 sets inv[i] to 1/max(|x[i]|, eps) and y[i] to x[i] times that for n > 0 rows of d elements; both are rounded once.")
	p := loads("y", "inv", "x", "n", "d")
	inverse := inverseNorms()
	eachRow([]Register{p[0], p[2]}, p[1], 4, p[3], p[4], func(c columns) {
		inv := inverse(c, p[2])
		VMOVSS(inv.high.AsX(), Mem{Base: p[1]})
		c.each("scale", func(l lane) { l.store(inv.times(l.load(p[2])), p[0]) })
	})
}

// number is a float64 in two float32 in every lane, of which the product with a float32 is rounded once: the product with the second part is too small for
// its own rounding to matter.
type number struct{ high, low VecVirtual }

func (n number) times(x VecVirtual) VecVirtual {
	r := YMM()
	VMULPS(n.low, x, r)
	VFMADD231PS(n.high, x, r)
	return r
}

// inverseNorms gives the code of 1/max(|row|, eps).
func inverseNorms() func(c columns, row Register) number {
	eps, one, bits := Load(Param("eps"), XMM()), XMM(), GP64()
	MOVQ(U64(0x3ff00000_00000000), bits)
	VMOVQ(bits, one)
	return func(c columns, row Register) number {
		s, single := c.exactDot(row, row).AsX(), XMM()
		n := number{YMM(), YMM()}
		VSQRTSD(s, s, s)
		VMAXSD(s, eps, s) // NaN stays
		VDIVSD(s, one, s)
		VCVTSD2SS(s, s, single)
		VBROADCASTSS(single, n.high)
		VCVTSS2SD(single, single, single)
		VSUBSD(single, s, s)
		VCVTSD2SS(s, s, s)
		VBROADCASTSS(s, n.low)
		return n
	}
}

// inverses and signedNoise are two passes: the way from a row's sum to its inverse norm takes as long as a hundred operations, which the processor has
// from the rows that follow only where those are short.
func inverses() {
	TEXT("inverseNormsAVX2", NOSPLIT, "func(inv *[2]float32, x *float32, n, d int, eps float64)")
	Pragma("noescape")
	Doc("inverseNormsAVX2 sets inv[i] to 1/max(|x[i]|, eps) as a sum, for n > 0 rows of d elements.")
	p := loads("inv", "x", "n", "d")
	inverse := inverseNorms()
	eachRow(p[1:2], p[0], 8, p[2], p[3], func(c columns) {
		inv := inverse(c, p[1])
		VMOVSS(inv.high.AsX(), Mem{Base: p[0]})
		VMOVSS(inv.low.AsX(), Mem{Base: p[0], Disp: 4})
	})
}

// noiseTile is that of package cpu, in elements: about where the next call will read x.
const noiseTile = 1024

func signedNoise() {
	TEXT("signedNoiseAVX2", NOSPLIT, "func(y, x, u *float32, inv *[2]float32, n, d int, scale float32)")
	Pragma("noescape")
	Doc("signedNoiseAVX2 sets y[i] to x[i] + scale·sign(x[i])⊙u[i]·inv[i], as inverseNormsAVX2 gives it, for n > 0 rows of d elements. y may be x.")
	p := loads("y", "x", "u", "inv", "n", "d")
	scale := broadcast("scale")
	zero, signs, bits := YMM(), YMM(), GP64()
	VXORPS(zero, zero, zero)
	MOVQ(U64(0x80000000), bits)
	VMOVQ(bits, signs.AsX())
	VBROADCASTSS(signs.AsX(), signs)
	eachRow(p[:3], p[3], 8, p[4], p[5], func(c columns) {
		inv := number{YMM(), YMM()}
		VBROADCASTSS(Mem{Base: p[3]}, inv.high)
		VBROADCASTSS(Mem{Base: p[3], Disp: 4}, inv.low)
		c.each("move", func(l lane) {
			PREFETCHT0(Mem{Base: p[1], Index: l.at, Scale: 1, Disp: 4 * noiseTile})
			x, sign := l.load(p[1]), YMM()
			r := inv.times(l.load(p[2]))
			VCMPPS(U8(unequal), zero, x, sign) // false for NaN, which the sum below brings back
			VANDPS(sign, r, r)
			VANDPS(signs, x, sign)
			VXORPS(sign, r, r)
			VMULPS(scale, r, r)
			VADDPS(x, r, r)
			l.store(r, p[0])
		})
	})
}

func normaliseRowsGrad() {
	TEXT("normaliseRowsGradAVX2", NOSPLIT, "func(dx, y, inv, grad *float32, n, d int)")
	Pragma("noescape")
	Doc("normaliseRowsGradAVX2 sets dx[i] to inv[i]·(grad[i] - y[i]·(y[i]·grad[i])) for n > 0 rows of d elements.")
	p := loads("dx", "y", "inv", "grad", "n", "d")
	eachRow([]Register{p[0], p[1], p[3]}, p[2], 4, p[4], p[5], func(c columns) {
		s, inv := c.exactDot(p[1], p[3]), YMM()
		VCVTSD2SS(s.AsX(), s.AsX(), s.AsX())
		VBROADCASTSS(s.AsX(), s)
		VBROADCASTSS(Mem{Base: p[2]}, inv)
		c.each("project", func(l lane) {
			y, g := l.load(p[1]), l.load(p[3])
			VFNMADD231PS(y, s, g)
			VMULPS(inv, g, g)
			l.store(g, p[0])
		})
	})
}

// total adds a term for each element to one of eight sums.
func total(name, doc string, term func(x, sum VecVirtual)) {
	TEXT(name, NOSPLIT, "func(x *float32, n int) float64")
	Pragma("noescape")
	Doc(name + " is " + doc + " over n elements, in float64.")
	p := loads("x", "n")
	sum := ymms(2)
	for _, s := range sum {
		VXORPD(s, s, s)
	}
	newColumns(p[1]).each("total", func(l lane) {
		for k, x := range l.doubles(p[0]) {
			term(x, sum[k])
		}
	})
	Store(folded(sum).AsX(), ReturnIndex(0))
	VZEROUPPER()
	RET()
}

func totals() {
	total("sumAVX2", "Σ x", func(x, sum VecVirtual) { VADDPD(x, sum, sum) })
	total("sumSquaresAVX2", "Σ x²", func(x, sum VecVirtual) { VFMADD231PD(x, x, sum) })
	total("sumDifferencesAVX2", "Σ (x - x), which is 0 or NaN,", func(x, sum VecVirtual) {
		VSUBPD(x, x, x)
		VADDPD(x, sum, sum)
	})
}
