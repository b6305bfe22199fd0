package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// addresses gives those of one row, or of six that are stride bytes apart, and the registers that move them all on.
func addresses(rows int, base, stride Register) (at []Mem, bases []Register) {
	bases = []Register{base}
	if rows > 3 {
		base3 := GP64()
		LEAQ(Mem{Base: stride, Index: stride, Scale: 2}, base3)
		ADDQ(base, base3)
		bases = append(bases, base3)
	}
	for i := range rows {
		m := Mem{Base: bases[i/3]}
		if i%3 > 0 {
			m.Index, m.Scale = stride, uint8(i%3)
		}
		at = append(at, m)
	}
	return at, bases
}

// gemm keeps a tile of C in registers, rows of so many vectors. Six of 2 in AVX2 are 12 registers: 2 loads and 6 broadcasts feed 12 FMAs, which is
// what two FMA units can take. Six of 4 in AVX-512 are 24: fewer loads for an FMA, and for 64 columns A is read once. One of 8 is as many sums as
// it takes to wait for none.
func gemm(v vectors, rows, wide int) {
	cols := wide * v.lanes
	name := fmt.Sprintf("gemm%dx%d", rows, cols)
	TEXT(name, NOSPLIT, "func(k int, a *float32, aRow, aCol int, b *float32, bRow int, c *float32, cRow int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s adds A·B to C[%d x %d], A[%d x k], B[k x %d]; k > 0. Strides are in bytes; B and C are contiguous within a row.", name, rows, cols, rows, cols))
	k := Load(Param("k"), GP64())
	a, aRow, aCol := Load(Param("a"), GP64()), Load(Param("aRow"), GP64()), Load(Param("aCol"), GP64())
	b, bRow := Load(Param("b"), GP64()), Load(Param("bRow"), GP64())
	aAt, aBases := addresses(rows, a, aRow)
	c, cRow := Load(Param("c"), GP64()), Load(Param("cRow"), GP64())
	cAt, _ := addresses(rows, c, cRow)
	for _, m := range cAt { // by the time they are added to, they are here
		for m.Disp = 0; m.Disp < 4*cols; m.Disp += 64 {
			PREFETCHT0(m)
		}
	}
	acc, bv, av := v.some(rows*wide), v.some(wide), v.some(2)
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
	for _, r := range aBases {
		ADDQ(aCol, r)
	}
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
