// Command ceiling writes the assembly of package ceiling: loops that do nothing but multiply, or nothing but read and write, each in AVX2 and in
// AVX-512. From kernels/cpu/ceiling: go generate
package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

func main() {
	ConstraintExpr("amd64,!noasm")
	for _, w := range []width{{"AVX2", 32}, {"AVX512", 64}} {
		multiply(w)
		read(w)
		update(w)
	}
	Generate()
}

// width is that of a register.
type width struct {
	name  string
	bytes int
}

func (w width) vector() VecVirtual {
	if w.bytes == 64 {
		return ZMM()
	}
	return YMM()
}

func (w width) zeros(n int) []VecVirtual {
	r := make([]VecVirtual, n)
	for i := range r {
		r[i] = w.vector()
		if w.bytes == 64 {
			VPXORQ(r[i], r[i], r[i])
		} else {
			VXORPS(r[i], r[i], r[i])
		}
	}
	return r
}

// multiply has twelve sums under way: an FMA takes 4 cycles, and there are two units.
func multiply(w width) {
	TEXT("fma"+w.name, NOSPLIT, "func(n int)")
	Doc(fmt.Sprintf("fma%s does 24·n multiplications and additions of %d numbers each. n > 0.", w.name, w.bytes/4))
	n := Load(Param("n"), GP64())
	acc := w.zeros(12)
	factor := w.zeros(1)[0]
	Label("loop")
	for i := range 24 {
		VFMADD231PS(factor, factor, acc[i%12])
	}
	DECQ(n)
	JNE(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// blockBytes is what one turn of a loop reads.
const blockBytes = 512

func read(w width) {
	TEXT("read"+w.name, NOSPLIT, "func(p *byte, blocks int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("read%s reads blocks of %d bytes. blocks > 0.", w.name, blockBytes))
	p, n := Load(Param("p"), GP64()), Load(Param("blocks"), GP64())
	acc := w.zeros(8)
	Label("loop")
	for i := range blockBytes / w.bytes {
		a := acc[i%8]
		VADDPS(Mem{Base: p, Disp: i * w.bytes}, a, a)
	}
	ADDQ(U32(blockBytes), p)
	DECQ(n)
	JNE(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

func update(w width) {
	TEXT("update"+w.name, NOSPLIT, "func(p *byte, blocks int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("update%s reads blocks of %d bytes and writes them back. blocks > 0.", w.name, blockBytes))
	p, n := Load(Param("p"), GP64()), Load(Param("blocks"), GP64())
	zero := w.zeros(1)[0]
	v := make([]VecVirtual, 8)
	for i := range v {
		v[i] = w.vector()
	}
	Label("loop")
	for i := range blockBytes / w.bytes {
		m := Mem{Base: p, Disp: i * w.bytes}
		VADDPS(m, zero, v[i%8])
		VMOVUPS(v[i%8], m)
	}
	ADDQ(U32(blockBytes), p)
	DECQ(n)
	JNE(LabelRef("loop"))
	VZEROUPPER()
	RET()
}
