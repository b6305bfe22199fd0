package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// six gives the addresses of six rows that are stride bytes apart.
func six(base, stride Register, disp int) [6]Mem {
	base3 := GP64()
	LEAQ(Mem{Base: stride, Index: stride, Scale: 2}, base3)
	ADDQ(base, base3)
	var rows [6]Mem
	for i := range rows {
		rows[i] = Mem{Base: base, Disp: disp}
		if i >= 3 {
			rows[i].Base = base3
		}
		if i%3 > 0 {
			rows[i].Index, rows[i].Scale = stride, uint8(i%3)
		}
	}
	return rows
}

// gemm6x16 keeps a tile of C in 12 registers: 2 loads and 6 broadcasts feed 12 FMAs, which is what two FMA units can take.
func gemm6x16() {
	TEXT("gemm6x16", NOSPLIT, "func(k int, a *float32, aRow, aCol int, b *float32, bRow int, c *float32, cRow int)")
	Pragma("noescape")
	Doc("gemm6x16 adds A·B to C[6 x 16], A[6 x k], B[k x 16]; k > 0. Strides are in bytes; B and C are contiguous within a row.")
	k := Load(Param("k"), GP64())
	a, aRow, aCol := Load(Param("a"), GP64()), Load(Param("aRow"), GP64()), Load(Param("aCol"), GP64())
	b, bRow := Load(Param("b"), GP64()), Load(Param("bRow"), GP64())
	aAt := six(a, aRow, 0)
	acc, bv, av := ymms(12), ymms(2), ymms(2)
	for _, r := range acc {
		VXORPS(r, r, r)
	}
	Label("loop")
	for v, r := range bv {
		VMOVUPS(Mem{Base: b, Disp: 32 * v}, r)
	}
	for i, m := range aAt {
		VBROADCASTSS(m, av[i%2])
		for v, r := range bv {
			VFMADD231PS(av[i%2], r, acc[2*i+v])
		}
	}
	ADDQ(aCol, a)
	ADDQ(aCol, aAt[3].Base)
	ADDQ(bRow, b)
	DECQ(k)
	JNE(LabelRef("loop"))
	c, cRow := Load(Param("c"), GP64()), Load(Param("cRow"), GP64())
	for i, m := range six(c, cRow, 0) {
		for v := range bv {
			m.Disp = 32 * v
			VADDPS(m, acc[2*i+v], acc[2*i+v])
			VMOVUPS(acc[2*i+v], m)
		}
	}
	VZEROUPPER()
	RET()
}
