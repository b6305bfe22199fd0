package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// mapOp is an operation of kernels.Map, by its number there. The code may form the result in an operand. NaN goes where Go's operators let it go.
type mapOp struct {
	number, arity int
	code          func(a, b, c, imm VecVirtual) VecVirtual
}

// What VCMPPS asks of its third operand and its second; no comparison holds for NaN, but for unequalOrNaN.
const (
	equal        = 0x00
	unequal      = 0x0c
	unequalOrNaN = 0x04
	greater      = 0x1e
	notNumbers   = 0x03
)

func mapTile() {
	table := GLOBL("mapConstants", RODATA|NOPTR)
	for i := range 16 {
		bits := math.Float32bits(1)
		if i >= 8 {
			bits = 1 << 31
		}
		DATA(4*i, U32(bits))
	}
	one, signBit := table, table.Offset(32)
	zero := func() VecVirtual {
		r := YMM()
		VXORPS(r, r, r)
		return r
	}
	// compared is 1 where a and b compare so, else 0.
	compared := func(how uint8, a, b VecVirtual) VecVirtual {
		VCMPPS(U8(how), b, a, a)
		VANDPS(one, a, a)
		return a
	}
	// extreme is the maximum or minimum, which the processor gives as b where there is a NaN.
	extreme := func(instruction func(...Op), a, b VecVirtual) VecVirtual {
		r, mask := YMM(), YMM()
		instruction(b, a, r)
		VCMPPS(U8(notNumbers), a, a, mask)
		VBLENDVPS(mask, a, r, r)
		return r
	}
	into := func(instruction func(...Op), operands ...Op) VecVirtual {
		r := YMM()
		instruction(append(operands, r)...)
		return r
	}
	type v = VecVirtual
	ops := []mapOp{
		{2, 1, func(a, _, _, _ v) v { return into(VXORPS, signBit, a) }}, // Neg
		{3, 1, func(a, _, _, _ v) v { // Sign, which keeps 0 and NaN
			r, mask := YMM(), YMM()
			VANDPS(signBit, a, r)
			VORPS(one, r, r)
			VCMPPS(U8(unequal), zero(), a, mask)
			VBLENDVPS(mask, r, a, r)
			return r
		}},
		{6, 1, func(a, _, _, _ v) v { return into(VSQRTPS, a) }}, // Sqrt
		{7, 1, func(a, _, _, _ v) v { // Recip
			r := YMM()
			VMOVUPS(one, r)
			VDIVPS(a, r, r)
			return r
		}},
		{10, 1, func(a, _, _, _ v) v { return into(VMAXPS, a, zero()) }},      // ReLU
		{12, 1, func(a, _, _, _ v) v { return into(VMULPS, a, a) }},           // Square
		{13, 1, func(a, _, _, _ v) v { return compared(greater, a, zero()) }}, // Positive
		{14, 1, func(a, _, _, imm v) v { return into(VMULPS, imm, a) }},       // Scale
		{15, 1, func(a, _, _, imm v) v { return into(VADDPS, imm, a) }},       // AddImm
		{16, 1, func(a, _, _, imm v) v { return extreme(VMAXPS, a, imm) }},    // MaxImm
		{17, 2, func(a, b, _, _ v) v { return into(VADDPS, b, a) }},           // Add
		{18, 2, func(a, b, _, _ v) v { return into(VSUBPS, b, a) }},           // Sub
		{19, 2, func(a, b, _, _ v) v { return into(VMULPS, b, a) }},           // Mul
		{20, 2, func(a, b, _, _ v) v { return into(VDIVPS, b, a) }},           // Div
		{21, 2, func(a, b, _, _ v) v { return extreme(VMAXPS, a, b) }},        // Max
		{22, 2, func(a, b, _, _ v) v { return extreme(VMINPS, a, b) }},        // Min
		{23, 2, func(a, b, _, _ v) v { return compared(equal, a, b) }},        // Equal
		{24, 2, func(a, b, _, _ v) v { return compared(greater, a, b) }},      // Greater
		{25, 3, func(a, b, c, _ v) v { // Where
			VCMPPS(U8(unequalOrNaN), zero(), a, a)
			VBLENDVPS(a, b, c, c)
			return c
		}},
	}

	TEXT("mapTile", NOSPLIT, "func(op int, d, a, b, c *float32, n int, imm float32)")
	Pragma("noescape")
	Doc("mapTile sets d[i] = op(a[i], b[i], c[i]) for n elements, where op is the number of a kernels.MapOp in mapTileOps; d may be an operand.")
	p := loads("op", "d", "a", "b", "c", "n")
	imm := broadcast("imm")
	for _, o := range ops {
		CMPQ(p[0], U8(o.number))
		JE(LabelRef(fmt.Sprintf("op%d", o.number)))
	}
	RET()
	for _, o := range ops {
		name := fmt.Sprintf("op%d", o.number)
		Label(name)
		elementwise(name, p[5], func(l lane) {
			var v [3]VecVirtual
			for i := range o.arity {
				v[i] = l.load(p[2+i])
			}
			l.store(o.code(v[0], v[1], v[2], imm), p[1])
		})
	}
}
