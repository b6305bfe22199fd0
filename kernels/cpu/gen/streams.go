package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Kernels that wait for memory. Eight lanes are enough to keep it busy, so that there is one version, for AVX2. They do whole arrays: the last
// elements are read and written under a mask, with the same arithmetic as the others.

func streams() {
	maskTable()
	adam()
	sgd()
	momentum("momentumAVX2", false)
	momentum("nesterovAVX2", true)
	adagrad()
	mapTile()
	rowDots()
	normaliseRows()
	normaliseRowsGrad()
	inverses()
	signedNoise()
	totals()
	philoxTable()
	for _, words := range []bool{false, true} {
		philox("AVX2", YMM, 2, words)
		philox("AVX512", ZMM, 1, words)
	}
	roundedAdam()
}

// lane is eight neighbouring elements, or under a mask the first few of them.
type lane struct {
	at   Register   // offset in bytes
	mask VecVirtual // nil for all eight
}

func (l lane) load(from Register) VecVirtual {
	r, m := YMM(), Mem{Base: from, Index: l.at, Scale: 1}
	if l.mask == nil {
		VMOVUPS(m, r)
	} else {
		VMASKMOVPS(m, l.mask, r)
	}
	return r
}

func (l lane) store(r VecVirtual, to Register) {
	m := Mem{Base: to, Index: l.at, Scale: 1}
	if l.mask == nil {
		VMOVUPS(r, m)
	} else {
		VMASKMOVPS(r, l.mask, m)
	}
}

// masks holds, from element 8-n on, the mask of n elements.
var masks Mem

func maskTable() {
	masks = GLOBL("masks", RODATA|NOPTR)
	for i := range 16 {
		bits := uint32(math.MaxUint32)
		if i >= 8 {
			bits = 0
		}
		DATA(4*i, U32(bits))
	}
}

// elementwise is a loop over n elements. It uses n up, and its labels begin with name.
func elementwise(name string, n Register, body func(l lane)) {
	i, table := GP64(), GP64()
	XORQ(i, i)
	SUBQ(U8(8), n)
	JL(LabelRef(name + "Last"))
	Label(name + "Loop")
	body(lane{at: i})
	ADDQ(U8(32), i)
	SUBQ(U8(8), n)
	JGE(LabelRef(name + "Loop"))
	Label(name + "Last")
	NEGQ(n) // 8 less what is left
	CMPQ(n, U8(8))
	JE(LabelRef(name + "Done"))
	LEAQ(masks, table)
	mask := YMM()
	VMOVUPS(Mem{Base: table, Index: n, Scale: 4}, mask)
	body(lane{i, mask})
	Label(name + "Done")
	VZEROUPPER()
	RET()
}

func loads(params ...string) []Register {
	r := make([]Register, len(params))
	for i, p := range params {
		r[i] = Load(Param(p), GP64())
	}
	return r
}

// broadcasts repeats each of n numbers in memory over a register.
func broadcasts(from Register, n int) []VecVirtual {
	r := ymms(n)
	for i := range r {
		VBROADCASTSS(Mem{Base: from, Disp: 4 * i}, r[i])
	}
	return r
}

func adam() {
	TEXT("adamAVX2", NOSPLIT, "func(p, m, v, pIn, mIn, vIn, grad *float32, n int, c *[10]float32)")
	Pragma("noescape")
	Doc("adamAVX2 is a step of Adam over n elements. c = scale, decay, b1, 1-b1, b2, 1-b2, c2, eps, lr·c1, shrink.")
	ptr := loads("p", "m", "v", "pIn", "mIn", "vIn", "grad", "n")
	c := broadcasts(Load(Param("c"), GP64()), 10)
	scale, decay, b1, a1, b2, a2, c2, eps, step, shrink := c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7], c[8], c[9]
	elementwise("adam", ptr[7], func(l lane) {
		p, g := l.load(ptr[3]), l.load(ptr[6])
		VMULPS(scale, g, g)
		VFMADD231PS(p, decay, g)
		m := l.load(ptr[4])
		VMULPS(b1, m, m)
		VFMADD231PS(g, a1, m)
		l.store(m, ptr[1])
		g2 := YMM()
		VMULPS(a2, g, g2)
		VMULPS(g, g2, g2)
		v := l.load(ptr[5])
		VFMADD213PS(g2, b2, v)
		l.store(v, ptr[2])
		VMULPS(c2, v, v)
		VSQRTPS(v, v)
		VADDPS(eps, v, v)
		VMULPS(step, m, m)
		VDIVPS(v, m, m)
		VFMSUB213PS(m, shrink, p)
		l.store(p, ptr[0])
	})
}

func sgd() {
	TEXT("sgdAVX2", NOSPLIT, "func(p, pIn, grad *float32, n int, c *[3]float32)")
	Pragma("noescape")
	Doc("sgdAVX2 is a step of SGD without momentum over n elements. c = scale, decay, lr.")
	ptr := loads("p", "pIn", "grad", "n")
	c := broadcasts(Load(Param("c"), GP64()), 3)
	elementwise("sgd", ptr[3], func(l lane) {
		p, g := l.load(ptr[1]), l.load(ptr[2])
		VMULPS(c[0], g, g)
		VFMADD231PS(p, c[1], g)
		VFNMADD231PS(g, c[2], p)
		l.store(p, ptr[0])
	})
}

func momentum(name string, nesterov bool) {
	TEXT(name, NOSPLIT, "func(p, b, pIn, bIn, grad *float32, n int, c *[4]float32)")
	Pragma("noescape")
	Doc(name + " is a step of SGD with a momentum over n elements. c = scale, decay, lr, momentum.")
	ptr := loads("p", "b", "pIn", "bIn", "grad", "n")
	c := broadcasts(Load(Param("c"), GP64()), 4)
	elementwise("sgd", ptr[5], func(l lane) {
		p, b, g := l.load(ptr[2]), l.load(ptr[3]), l.load(ptr[4])
		VMULPS(c[0], g, g)
		VFMADD231PS(p, c[1], g)
		VFMADD213PS(g, c[3], b)
		l.store(b, ptr[1])
		if nesterov {
			VFMADD213PS(g, c[3], b)
		}
		VFNMADD231PS(b, c[2], p)
		l.store(p, ptr[0])
	})
}

func adagrad() {
	TEXT("adagradAVX2", NOSPLIT, "func(p, s, pIn, sIn, grad *float32, n int, c *[4]float32)")
	Pragma("noescape")
	Doc("adagradAVX2 is a step of Adagrad over n elements. c = scale, decay, lr, eps.")
	ptr := loads("p", "s", "pIn", "sIn", "grad", "n")
	c := broadcasts(Load(Param("c"), GP64()), 4)
	elementwise("adagrad", ptr[5], func(l lane) {
		p, s, g := l.load(ptr[2]), l.load(ptr[3]), l.load(ptr[4])
		VMULPS(c[0], g, g)
		VFMADD231PS(p, c[1], g)
		VFMADD231PS(g, g, s)
		l.store(s, ptr[1])
		VSQRTPS(s, s)
		VADDPS(c[3], s, s)
		VMULPS(c[2], g, g)
		VDIVPS(s, g, g)
		VSUBPS(g, p, p)
		l.store(p, ptr[0])
	})
}
