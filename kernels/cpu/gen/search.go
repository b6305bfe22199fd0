package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// search keeps a tile of products in registers and compares it there: most tiles hold nothing that is looked for and are never stored.
func search(rows int, vector func() VecVirtual) {
	b := []VecVirtual{vector(), vector()}
	bytes := int(b[0].Size())
	cols := bytes / 2
	name := fmt.Sprintf("search%dx%d", rows, cols)
	TEXT(name, NOSPLIT, "func(x *float32, d int, y *float32, panels int, threshold, s *float32, found *uint32) int")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s looks for a panel of y[panels x d x %d] with a product Σ_k x[k, i]·y[p, k, j], x[d x %d], that is not below threshold[i]. It stores the", name, cols, rows),
		fmt.Sprintf("panel's products to s[%d x %d], which of them these are to found[%d], bit by bit, and returns p; panels where there is none. d, panels > 0.", rows, cols, rows))
	y, panels := Load(Param("y"), GP64()), Load(Param("panels"), GP64())
	acc := make([]VecVirtual, 2*rows)
	for i := range acc {
		acc[i] = vector()
	}
	av := []VecVirtual{vector(), vector()}
	p, k, x, any := GP64(), GP64(), GP64(), GP32()
	XORQ(p, p)
	Label("panel")
	for _, r := range acc {
		VXORPS(r.AsX(), r.AsX(), r.AsX())
	}
	Load(Param("x"), x)
	Load(Param("d"), k)
	Label("loop")
	for v, r := range b {
		VMOVUPS(Mem{Base: y, Disp: bytes * v}, r)
	}
	for i := range rows {
		VBROADCASTSS(Mem{Base: x, Disp: 4 * i}, av[i%2])
		for v, r := range b {
			VFMADD231PS(av[i%2], r, acc[2*i+v])
		}
	}
	ADDQ(Imm(uint64(4*rows)), x)
	ADDQ(U32(uint32(2*bytes)), y)
	DECQ(k)
	JNE(LabelRef("loop"))

	threshold, found := Load(Param("threshold"), GP64()), Load(Param("found"), GP64())
	XORL(any, any)
	const notLess = 5 // true of NaN
	for i := range rows {
		lo, hi := GP32(), GP32()
		VBROADCASTSS(Mem{Base: threshold, Disp: 4 * i}, av[0])
		if bytes == 64 {
			k0, k1 := K(), K()
			VCMPPS(Imm(notLess), av[0], acc[2*i], k0)
			VCMPPS(Imm(notLess), av[0], acc[2*i+1], k1)
			KMOVW(k0, lo)
			KMOVW(k1, hi)
		} else {
			VCMPPS(Imm(notLess), av[0], acc[2*i], b[0])
			VCMPPS(Imm(notLess), av[0], acc[2*i+1], b[1])
			VMOVMSKPS(b[0], lo)
			VMOVMSKPS(b[1], hi)
		}
		SHLL(Imm(uint64(bytes/4)), hi)
		ORL(hi, lo)
		MOVL(lo, Mem{Base: found, Disp: 4 * i})
		ORL(lo, any)
	}
	JNE(LabelRef("store"))
	INCQ(p)
	CMPQ(p, panels)
	JL(LabelRef("panel"))
	JMP(LabelRef("done"))
	Label("store")
	s := Load(Param("s"), GP64())
	for i, r := range acc {
		VMOVUPS(r, Mem{Base: s, Disp: bytes * i})
	}
	Label("done")
	Store(p, ReturnIndex(0))
	VZEROUPPER()
	RET()
}
