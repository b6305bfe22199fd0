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

// eachRow moves pointers to rows of d elements, and one to single elements, down n > 0 rows, and ends the function.
func eachRow(rows []Register, single, n, d Register, body func(c columns)) {
	stride := GP64()
	MOVQ(d, stride)
	SHLQ(U8(2), stride)
	c := newColumns(d)
	Label("row")
	body(c)
	for _, r := range rows {
		ADDQ(stride, r)
	}
	ADDQ(U8(4), single)
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
	eachRow(p[1:3], p[0], p[3], p[4], func(c columns) {
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
	eps, one, bits := Load(Param("eps"), XMM()), XMM(), GP64()
	MOVQ(U64(0x3ff00000_00000000), bits)
	VMOVQ(bits, one)
	eachRow([]Register{p[0], p[2]}, p[1], p[3], p[4], func(c columns) {
		v := c.exactDot(p[2], p[2])
		s, single := v.AsX(), XMM()
		VSQRTSD(s, s, s)
		VMAXSD(s, eps, s) // NaN stays
		VDIVSD(s, one, s)
		VCVTSD2SS(s, s, single)
		VMOVSS(single, Mem{Base: p[1]})
		// s in two parts, of which the product with x is rounded once, and x with the second part is too small for its rounding to matter.
		high, low := YMM(), YMM()
		VBROADCASTSS(single, high)
		VCVTSS2SD(single, single, single)
		VSUBSD(single, s, s)
		VCVTSD2SS(s, s, s)
		VBROADCASTSS(s, low)
		c.each("scale", func(l lane) {
			x, r := l.load(p[2]), YMM()
			VMULPS(low, x, r)
			VFMADD231PS(high, x, r)
			l.store(r, p[0])
		})
	})
}

func normaliseRowsGrad() {
	TEXT("normaliseRowsGradAVX2", NOSPLIT, "func(dx, y, inv, grad *float32, n, d int)")
	Pragma("noescape")
	Doc("normaliseRowsGradAVX2 sets dx[i] to inv[i]·(grad[i] - y[i]·(y[i]·grad[i])) for n > 0 rows of d elements.")
	p := loads("dx", "y", "inv", "grad", "n", "d")
	eachRow([]Register{p[0], p[1], p[3]}, p[2], p[4], p[5], func(c columns) {
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
