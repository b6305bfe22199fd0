package main

import (
	"fmt"

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

// gemm keeps a tile of C in registers: six rows of some vectors. In AVX2 they are 2 wide, in 12 registers: 2 loads and 6 broadcasts feed 12 FMAs,
// which is what two FMA units can take. In AVX-512 they are 4 wide, in 24: fewer loads for an FMA, and for 64 columns A is read once.
func gemm(v vectors, wide int) {
	cols := wide * v.lanes
	name := fmt.Sprintf("gemm6x%d", cols)
	TEXT(name, NOSPLIT, "func(k int, a *float32, aRow, aCol int, b *float32, bRow int, c *float32, cRow int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s adds A·B to C[6 x %d], A[6 x k], B[k x %d]; k > 0. Strides are in bytes; B and C are contiguous within a row.", name, cols, cols))
	k := Load(Param("k"), GP64())
	a, aRow, aCol := Load(Param("a"), GP64()), Load(Param("aRow"), GP64()), Load(Param("aCol"), GP64())
	b, bRow := Load(Param("b"), GP64()), Load(Param("bRow"), GP64())
	aAt := six(a, aRow, 0)
	c, cRow := Load(Param("c"), GP64()), Load(Param("cRow"), GP64())
	cAt := six(c, cRow, 0)
	for _, m := range cAt { // by the time they are added to, they are here
		for m.Disp = 0; m.Disp < 4*cols; m.Disp += 64 {
			PREFETCHT0(m)
		}
	}
	acc, bv, av := v.some(6*wide), v.some(wide), v.some(2)
	for _, r := range acc {
		v.zero(r)
	}
	Label("loop")
	PREFETCHT0(Mem{Base: a, Disp: 64}) // of a transposed A: what the tile after the next reads
	for j, r := range bv {
		VMOVUPS(Mem{Base: b, Disp: v.bytes() * j}, r)
	}
	for i, m := range aAt {
		VBROADCASTSS(m, av[i%2])
		for j, r := range bv {
			VFMADD231PS(av[i%2], r, acc[wide*i+j])
		}
	}
	ADDQ(aCol, a)
	ADDQ(aCol, aAt[3].Base)
	ADDQ(bRow, b)
	DECQ(k)
	JNE(LabelRef("loop"))
	for i, m := range cAt {
		for j := range bv {
			m.Disp = v.bytes() * j
			VADDPS(m, acc[wide*i+j], acc[wide*i+j])
			VMOVUPS(acc[wide*i+j], m)
		}
	}
	VZEROUPPER()
	RET()
}
