package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// spmm keeps a row's sum in registers and asks for the row of x that is 32 edges ahead, whichever row of y that is for. Everything
// that does not change from edge to edge is in a register: the loop takes half as long as the cache that feeds it.
func spmm(set string, cols int, vector func() VecVirtual, half bool) {
	const ahead = 32
	name, size := fmt.Sprintf("spmm%d%s", cols, set), 4 // of an element of x
	if half {
		name, size = name+"Half", 2
	}
	TEXT(name, NOSPLIT, "func(call *int) int")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s computes y[i, 0..%d] for the rows of a spmmCall, of which it gets the first field. It returns how many rows it has done:", name, cols-1),
		"all, or those before one with a column that is no row of x.", map[bool]string{true: "x is of binary16.", false: "x is of float32."}[half])
	call := Load(Param("call"), GP64())
	field := func(name string) Mem { return Mem{Base: call, Disp: spmmCall[name]} }
	load := func(name string) Register {
		r := GP64()
		MOVQ(field(name), r)
		return r
	}
	x, y, col, stride := load("x"), load("y"), load("col"), load("xStride")
	val, valMask := orOne("val", load("val"))
	colScale, colMask := orOne("colScale", load("colScale"))

	v := vector()
	bytes := int(v.Size())
	acc := make([]VecVirtual, 4*cols/bytes)
	for i := range acc {
		acc[i] = vector()
	}
	row, e, end, c, t, next := GP64(), GP64(), GP64(), GP64(), GP64(), GP64()
	XORQ(row, row)
	Label("row")
	CMPQ(row, field("rows"))
	JGE(LabelRef("done"))
	CMPQ(field("add"), Imm(0))
	JNE(LabelRef("add"))
	for _, r := range acc {
		VXORPS(r.AsX(), r.AsX(), r.AsX())
	}
	JMP(LabelRef("begin"))
	Label("add")
	for i, r := range acc {
		VMOVUPS(Mem{Base: y, Disp: bytes * i}, r)
	}
	Label("begin")
	MOVQ(field("beg"), t)
	MOVLQSX(Mem{Base: t, Index: row, Scale: 4}, e)
	MOVQ(field("end"), t)
	MOVLQSX(Mem{Base: t, Index: row, Scale: 4}, end)
	// Columns to come; there are none behind the last edge.
	LEAQ(Mem{Base: col, Disp: 4 * ahead}, next)
	LEAQ(Mem{Base: end, Disp: ahead}, t)
	CMPQ(t, field("edges"))
	CMOVQGT(col, next)
	CMPQ(e, end)
	JGE(LabelRef("scale"))

	Instruction(&ir.Instruction{Opcode: "PCALIGN", Operands: []Op{U8(64)}}) // where the loop lies moves its time by a tenth
	Label("edge")
	MOVLQSX(Mem{Base: next, Index: e, Scale: 4}, t)
	IMULQ(stride, t)
	for i := 0; i < size*cols; i += 64 {
		PREFETCHT1(Mem{Base: x, Index: t, Scale: 1, Disp: i})
	}
	MOVL(Mem{Base: col, Index: e, Scale: 4}, c.As32()) // a negative one is large
	CMPQ(c, field("xRows"))
	JAE(LabelRef("done"))
	MOVQ(e, t)
	ANDQ(valMask, t)
	VMOVSS(Mem{Base: val, Index: t, Scale: 4}, v.AsX())
	MOVQ(c, t)
	ANDQ(colMask, t)
	VMULSS(Mem{Base: colScale, Index: t, Scale: 4}, v.AsX(), v.AsX())
	VBROADCASTSS(v.AsX(), v)
	IMULQ(stride, c)
	read := bytes / 4 * size
	for _, i := range outOfOrder(len(acc), 64/read) {
		from := Mem{Base: x, Index: c, Scale: 1, Disp: read * i}
		if !half {
			VFMADD231PS(from, v, acc[i])
			continue
		}
		wide := vector()
		VCVTPH2PS(from, wide)
		VFMADD231PS(wide, v, acc[i])
	}
	INCQ(e)
	CMPQ(e, end)
	JL(LabelRef("edge"))

	Label("scale")
	MOVQ(field("rowScale"), t)
	TESTQ(t, t)
	JE(LabelRef("store"))
	VBROADCASTSS(Mem{Base: t, Index: row, Scale: 4}, v)
	for _, r := range acc {
		VMULPS(v, r, r)
	}
	Label("store")
	for i, r := range acc {
		VMOVUPS(r, Mem{Base: y, Disp: bytes * i})
	}
	ADDQ(field("stride"), y)
	INCQ(row)
	JMP(LabelRef("row"))
	Label("done")
	Store(row, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// outOfOrder is an order for n vectors, so many to a cache line, in which four lines are not read one after the other: the hardware would take
// that for a stream and fetch what lies behind the row. A twentieth of the time, on Zen 4.
func outOfOrder(n, perLine int) (order []int) {
	lines := []int{0, 3, 1, 2}
	if perLine > 1 {
		lines = []int{1, 0, 3, 2}
	}
	for i := range n {
		line := i / perLine
		if n >= 4*perLine {
			line = line/4*4 + lines[line%4]
		}
		order = append(order, line*perLine+i%perLine)
	}
	return order
}

// spmmCall has the offsets of the struct's fields.
var spmmCall = func() map[string]int {
	at := map[string]int{}
	for i, name := range []string{"rows", "edges", "xRows", "stride", "xStride", "add", "x", "y", "beg", "end", "col", "val", "colScale", "rowScale"} {
		at[name] = 8 * i
	}
	return at
}()

// one is a float32 that the assembly of the package can point to.
var one = ConstData("one", F32(1))

// orOne makes an array that is not there, nil, a single 1. An index into it is to be masked with mask.
func orOne(name string, array Register) (Register, Register) {
	at, mask := GP64(), GP64()
	MOVQ(I32(-1), mask)
	TESTQ(array, array)
	JNE(LabelRef(name))
	LEAQ(one, at)
	MOVQ(at, array)
	XORQ(mask, mask)
	Label(name)
	return array, mask
}

// topFinite is what a binary16 copy of x is scaled by; halve makes it.
func topFinite() {
	TEXT("topFinite", NOSPLIT, "func(x *float32, n int) float32")
	Pragma("noescape")
	Doc("topFinite is the largest |x| that is finite, 0 without one. n > 0 is a multiple of 8.")
	x, n := Load(Param("x"), GP64()), Load(Param("n"), GP64())
	top, infinity, sign := YMM(), YMM(), YMM()
	VXORPS(top, top, top)
	VPCMPEQD(sign, sign, sign)
	VPSRLD(U8(24), sign, infinity)
	VPSLLD(U8(23), infinity, infinity)
	VPSRLD(U8(1), sign, sign) // all bits but the sign
	Label("loop")
	v, finite := YMM(), YMM()
	VANDPS(Mem{Base: x}, sign, v)
	VCMPPS(U8(1), infinity, v, finite) // less than: NaN is not
	VANDPS(finite, v, v)
	VMAXPS(v, top, top)
	ADDQ(U8(32), x)
	SUBQ(U8(8), n)
	JNE(LabelRef("loop"))
	Store(across(top, VMAXPS, VMAXSS), ReturnIndex(0))
	VZEROUPPER()
	RET()
}

func halve() {
	TEXT("halve", NOSPLIT, "func(x *float32, n int, scale float32, half *uint16)")
	Pragma("noescape")
	Doc("halve rounds x·scale to binary16. n > 0 is a multiple of 8.")
	x, n, half := Load(Param("x"), GP64()), Load(Param("n"), GP64()), Load(Param("half"), GP64())
	scale, v := broadcast("scale"), YMM()
	Label("loop")
	VMULPS(Mem{Base: x}, scale, v)
	VCVTPS2PH(U8(0), v, Mem{Base: half}) // to nearest, ties to even
	ADDQ(U8(32), x)
	ADDQ(U8(16), half)
	SUBQ(U8(8), n)
	JNE(LabelRef("loop"))
	VZEROUPPER()
	RET()
}
