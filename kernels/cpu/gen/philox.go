package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Philox4x32-10, eight blocks at a time, each word in 64 bits of a register: VPMULUDQ reads the low half and leaves the product, whose low half is a
// word of the next round where it stands, and whose high half is one after a shift. What is in high halves besides is never read.

// philoxConstants are each repeated over 64 bytes. The order of the columns is the one after which unpacking leaves neighbouring blocks side by side.
var philoxConstants struct{ columns8, columns4, eight, four, one, unit, multiplier0, multiplier1 Mem }

func philoxTable() {
	table := GLOBL("philoxTable", RODATA|NOPTR)
	at := 0
	add := func(to *Mem, period ...uint64) {
		*to = table.Offset(at)
		for i := range 8 {
			DATA(at, U64(period[i%len(period)]))
			at += 8
		}
	}
	c := &philoxConstants
	add(&c.columns8, 0, 4, 1, 5, 2, 6, 3, 7)
	add(&c.columns4, 0, 2, 1, 3)
	add(&c.eight, 8)
	add(&c.four, 4)
	add(&c.one, 1)
	add(&c.unit, 0x33800000_33800000) // 2^-24, twice
	add(&c.multiplier0, 0xD2511F53)
	add(&c.multiplier1, 0xCD9E8D57)
}

// philox holds eight blocks in one chain of registers or, of half their width, in two. It gives uniform numbers, or the words of which they are made.
func philox(set string, register func() VecVirtual, chains int, raw bool) {
	name, element, what := "philox"+set, "float32", "uniform random numbers"
	if raw {
		name, element, what = "philoxWords"+set, "uint32", "random words"
	}
	TEXT(name, NOSPLIT, "func(y *"+element+", rows, groups, rowBytes int, keys *[20]uint32, counter *[4]uint32)")
	Pragma("noescape")
	Doc(name+" sets the first groups·32 numbers of each row of y, which are rowBytes apart, to "+what+"; rows, groups > 0. keys are",
		"two for each round, counter that of the first block: word 0 counts blocks along a row, word 1 rows.")
	p := loads("y", "rows", "groups", "rowBytes", "keys", "counter")
	y, rows, groups, rowBytes, keys, counter := p[0], p[1], p[2], p[3], p[4], p[5]
	broadcast := func(base Register, i int) VecVirtual {
		r := register()
		VPBROADCASTD(Mem{Base: base, Disp: 4 * i}, r)
		return r
	}
	c := philoxConstants
	columns := c.columns8
	if chains == 2 {
		columns = c.columns4
	}
	m0, m1 := register(), register()
	VMOVUPS(c.multiplier0, m0)
	VMOVUPS(c.multiplier1, m1)
	row := broadcast(counter, 1)
	to, left := GP64(), GP64()
	Label("row")
	MOVQ(y, to)
	MOVQ(groups, left)
	column := broadcast(counter, 0)
	VPADDD(columns, column, column)
	Label("group")
	var words [2][4]VecVirtual
	for k := range chains {
		w := &words[k]
		w[0], w[1], w[2], w[3] = register(), register(), broadcast(counter, 2), broadcast(counter, 3)
		if k == 0 {
			VMOVAPS(column, w[0])
		} else {
			VPADDD(c.four, column, w[0])
		}
		VMOVAPS(row, w[1])
	}
	VPADDD(c.eight, column, column)
	for round := range 10 {
		k0, k1 := broadcast(keys, 2*round), broadcast(keys, 2*round+1)
		for k := range chains {
			w := &words[k]
			p0, p1 := register(), register()
			VPMULUDQ(m0, w[0], p0)
			VPMULUDQ(m1, w[2], p1)
			VPSRLQ(U8(32), p1, w[0])
			VPSRLQ(U8(32), p0, w[2])
			if chains == 1 {
				const xor = 0x96 // of three
				VPTERNLOGD(U8(xor), k0, w[1], w[0])
				VPTERNLOGD(U8(xor), k1, w[3], w[2])
			} else {
				VPXOR(k0, w[1], w[1])
				VPXOR(k1, w[3], w[3])
				VPXOR(w[1], w[0], w[0])
				VPXOR(w[3], w[2], w[2])
			}
			w[1], w[3] = p1, p0
		}
	}
	for k := range chains {
		w := &words[k]
		for i := 0; i < 4; i += 2 { // two words side by side
			VPSLLQ(U8(32), w[i+1], w[i+1])
			if chains == 1 {
				odd, bits := K(), GP32()
				MOVL(U32(0xaaaa), bits)
				KMOVW(bits, odd)
				VPBLENDMD(w[i+1], w[i], odd, w[i])
			} else {
				VPBLENDD(U8(0xaa), w[i+1], w[i], w[i])
			}
		}
		VPUNPCKLQDQ(w[2], w[0], w[1])
		VPUNPCKHQDQ(w[2], w[0], w[3])
		for i, r := range []VecVirtual{w[1], w[3]} {
			if !raw {
				VPSRLD(U8(8), r, r)
				VCVTDQ2PS(r, r)
				VMULPS(c.unit, r, r)
			}
			VMOVUPS(r, Mem{Base: to, Disp: 64*k + 128/2/chains*i})
		}
	}
	SUBQ(I8(-128), to)
	DECQ(left)
	JNE(LabelRef("group"))
	VPADDD(c.one, row, row)
	ADDQ(rowBytes, y)
	DECQ(rows)
	JNE(LabelRef("row"))
	VZEROUPPER()
	RET()
}
