package cpu

import (
	"math"
	"slices"
	"unsafe"

	"nearfar/kernels"
)

// SpMM: y_i = rowScale_i · Σ_{e = beg_i .. end_i-1} val_e · colScale_{col_e} · x_{col_e}, x_n [d].
//
// Bytes: nnz·(4d + 8) + M·4d in float32, nearly all of them from the last-level cache and memory; 2·nnz·d FLOPs. The cache is the limit: out of
// L1 the assembly takes 5 ms for yelp2018's 2.5 M edges at d 64, and on the real graph 11.9, 56 GB/s, in quiet moments, where reading a buffer of X's size from end to
// end gives 61-81 (Zen 4, one thread, 2026-11-25). A call makes many rows, and asks for the row of X that is some edges ahead, across the
// rows of Y: little where columns are sorted within a row, as a graph's are, and a third of the time where they are in no order.
//
// With ZeroRows the rows of X that are not zeros are marked, and columns without a mark left out before they get to the loops: a pass over X and one over the
// columns instead of most of the reading of X.

// spmmChunks bounds the number of chunks. Rows differ widely in length (popular items), so there are many.
const spmmChunks = 512

// sparse is a bound SpMM. Slices that the kernel has not are nil.
type sparse[T float] struct {
	x, y               []T
	d                  int
	beg, end, col      []int32
	rowScale, colScale []T
	val                []T
	half               []uint16 // X in its place, in binary16
	marked             []uint8  // 0 for a row of X that is zeros; nil: nobody has looked
	level              level
}

func (c *call[T]) spmm(k kernels.SpMM) Work {
	in := c.in
	s := &sparse[T]{x: in[0].F, y: c.out[0].F, d: in[0].Cols(), beg: in[1].I, end: in[2].I, col: in[3].I, level: c.set.level}
	if k.Scaled {
		s.rowScale, s.colScale = in[4].F, in[5].F
	}
	if k.Valued {
		s.val = in[len(in)-1].F
	}
	m, nnz := in[1].Elems(), in[3].Elems()
	rows := cut(m, s.d*(1+nnz/max(1, m)))
	rows.part = max(rows.part, (m+spmmChunks-1)/spmmChunks)
	assembly := c.set.level >= avx2 && unsafe.Sizeof(T(0)) == 4 && s.d%8 == 0 && nnz > 0 && in[0].Elems() > 0
	var work Work
	if k.Half {
		work = s.halve(c, assembly)
	}
	if k.ZeroRows {
		s.marked = take[uint8](c.arena, in[0].Rows())
		work = append(work, cut(in[0].Rows(), s.d).phase(s.mark))
	}
	switch s32, _ := any(s).(*sparse[float32]); {
	case k.ZeroRows:
		return append(work, rows.phase(func(lo, hi int) { s.rowsOfMarked(lo, hi, assembly) }))
	case assembly:
		return append(work, rows.phase(s32.rowsAssembly))
	}
	return append(work, rows.phase(s.rows))
}

// mark finds rows of X that are not zeros.
func (s *sparse[T]) mark(lo, hi int) {
	for i := lo; i < hi; i++ {
		s.marked[i] = 0
		if !zeros(row(s.x, i, s.d)) {
			s.marked[i] = 1
		}
	}
}

// zeros tells whether all elements are +0, by their bits.
func zeros[T float](x []T) bool {
	size, at := len(x)*int(unsafe.Sizeof(T(0))), unsafe.Pointer(unsafe.SliceData(x))
	if size%8 == 0 && uintptr(at)%8 == 0 {
		return zeroWords(unsafe.Slice((*uint64)(at), size/8))
	}
	return zeroWords(unsafe.Slice((*uint32)(at), size/4))
}

func zeroWords[W uint32 | uint64](x []W) bool {
	var a, b, c, d W
	for ; len(x) >= 4; x = x[4:] {
		a |= x[0]
		b |= x[1]
		c |= x[2]
		d |= x[3]
	}
	for _, v := range x {
		a |= v
	}
	return a|b|c|d == 0
}

// What a call of rowsOfMarked has room for on its stack.
const (
	markedEdges = 2048
	markedRows  = 128
)

// rowsOfMarked is rows, or rowsAssembly, without the edges to rows of X that have no mark, some rows at a time.
func (s *sparse[T]) rowsOfMarked(lo, hi int, assembly bool) {
	var col [markedEdges]int32
	var val [markedEdges]T
	var beg, end [markedRows]int32
	part := *s
	// choose puts those of the edges that are to stay behind n others.
	choose := func(n int, from, to int32) int {
		if s.val != nil {
			n = chooseValued(col[:], val[:], n, s.col[from:to], s.val[from:to], s.marked)
			part.val = val[:n]
		} else {
			n = chooseColumns(col[:], n, s.col[from:to], s.marked)
		}
		part.col = col[:n]
		return n
	}
	for lo < hi {
		part.y, part.col, part.val = s.y[lo*s.d:], nil, nil
		if s.rowScale != nil {
			part.rowScale = s.rowScale[lo:]
		}
		n, rows := 0, 0
		for ; rows < markedRows && lo+rows < hi; rows++ {
			from, to := s.beg[lo+rows], s.end[lo+rows]
			if from < to && n+int(to-from) > markedEdges {
				break
			}
			beg[rows] = int32(n)
			if from < to {
				n = choose(n, from, to)
			}
			end[rows] = int32(n)
		}
		if rows > 0 {
			part.beg, part.end = beg[:rows], end[:rows]
			part.multiplyRows(0, rows, assembly)
			lo += rows
			continue
		}
		// A row with more edges than there is room for, in pieces: each goes on where the one before has stopped.
		for from, to := s.beg[lo], s.end[lo]; from < to; from += markedEdges {
			next := min(from+markedEdges, to)
			n := choose(0, from, next)
			part.piece(n, from > s.beg[lo], next == to, assembly)
		}
		lo++
	}
}

// piece is the first row of y by n edges; it goes on with a sum, or begins one, and the last one scales it.
func (s *sparse[T]) piece(n int, goesOn, last, assembly bool) {
	if assembly {
		any(s).(*sparse[float32]).pieceAssembly(n, goesOn, last)
		return
	}
	y := s.y[:s.d]
	if !goesOn {
		clear(y)
	}
	s.addEdges(y, 0, n)
	if last {
		s.scaleRow(y, 0)
	}
}

func (s *sparse[T]) multiplyRows(lo, hi int, assembly bool) {
	if assembly {
		any(s).(*sparse[float32]).rowsAssembly(lo, hi)
	} else {
		s.rows(lo, hi)
	}
}

// chooseColumns appends the edges whose column has a mark to col [:n]. It writes each, and goes on behind it where it is to stay: a branch that falls
// one way as often as the other takes longer.
func chooseColumns(col []int32, n int, edges []int32, marked []uint8) int {
	for _, c := range edges {
		col[n] = c
		n += int(marked[c])
	}
	return n
}

func chooseValued[T float](col []int32, val []T, n int, edges []int32, values []T, marked []uint8) int {
	for i, c := range edges {
		col[n], val[n] = c, values[i]
		n += int(marked[c])
	}
	return n
}

// halve is the phases that round X to binary16. The assembly multiplies that, at half the size, and the rows' scales take its scale back; plain Go
// multiplies numbers that are rounded and no smaller.
func (s *sparse[T]) halve(c *call[T], assembly bool) Work {
	x, elements := s.x, cut(c.in[0].Elems(), 1)
	tops := take[T](c.arena, elements.chunks())
	scale := func() T { return T(kernels.HalfScale(float64(slices.Max(tops)))) }
	if assembly {
		s.half = take[uint16](c.arena, c.in[0].Elems())
		scaled, given := take[T](c.arena, c.in[1].Elems()), s.rowScale
		s.rowScale = scaled
		return Work{
			{elements.chunks(), func(chunk int) {
				lo, hi := elements.at(chunk)
				tops[chunk] = T(topAssembly(as32(x)[lo:hi]))
			}},
			elements.phase(func(lo, hi int) { roundAssembly(s.half[lo:hi], as32(x)[lo:hi], float32(scale())) }),
			cut(len(scaled), 1).phase(func(lo, hi int) {
				back := 1 / scale() // a power of 2
				for i := lo; i < hi; i++ {
					if scaled[i] = back; given != nil {
						scaled[i] *= given[i]
					}
				}
			}),
		}
	}
	s.x = take[T](c.arena, c.in[0].Elems())
	return Work{
		{elements.chunks(), func(chunk int) {
			lo, hi := elements.at(chunk)
			tops[chunk] = 0
			for _, x := range x[lo:hi] {
				if x = max(x, -x); x <= math.MaxFloat32 && x > tops[chunk] {
					tops[chunk] = x
				}
			}
		}},
		elements.phase(func(lo, hi int) {
			scale := scale()
			for i := lo; i < hi; i++ {
				s.x[i] = T(kernels.FromHalf(kernels.ToHalf(float32(x[i]*scale)))) / scale
			}
		}),
	}
}

// xRows is how many rows X has.
func (s *sparse[T]) xRows() int { return len(s.x) / s.d }

func (s *sparse[T]) rows(lo, hi int) {
	for i := lo; i < hi; i++ {
		y := row(s.y, i, s.d)
		clear(y)
		s.addEdges(y, int(s.beg[i]), int(s.end[i]))
		s.scaleRow(y, i)
	}
}

func (s *sparse[T]) addEdges(y []T, e, end int) {
	for ; e+4 <= end; e += 4 { // four rows at once: y is read and written a quarter as often
		x := [4][]T{s.edge(e), s.edge(e + 1), s.edge(e + 2), s.edge(e + 3)}
		addRows(y, x[0], x[1], x[2], x[3], s.weight(e), s.weight(e+1), s.weight(e+2), s.weight(e+3))
	}
	for ; e < end; e++ {
		v := s.weight(e)
		for k, x := range s.edge(e) {
			y[k] += v * x
		}
	}
}

func (s *sparse[T]) scaleRow(y []T, i int) {
	if s.rowScale != nil {
		r := s.rowScale[i]
		for k := range y {
			y[k] *= r
		}
	}
}

// edge is the row of x at the far end of edge e.
func (s *sparse[T]) edge(e int) []T { return row(s.x, int(s.col[e]), s.d) }

// weight is what multiplies it, the row's scale apart.
func (s *sparse[T]) weight(e int) T {
	v := T(1)
	if s.val != nil {
		v = s.val[e]
	}
	if s.colScale != nil {
		v *= s.colScale[s.col[e]]
	}
	return v
}

func addRows[T float](y, a, b, c, d []T, va, vb, vc, vd T) {
	a, b, c, d = a[:len(y)], b[:len(y)], c[:len(y)], d[:len(y)]
	for k := range y {
		y[k] += (va*a[k] + vb*b[k]) + (vc*c[k] + vd*d[k])
	}
}
