package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

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
