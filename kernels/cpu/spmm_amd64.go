//go:build !noasm

package cpu

import "unsafe"

// spmmCall is the operands of one call of assembly, which multiplies the columns of x and y from x and y on. gen/spmm.go knows the order of the
// fields, which are 8 bytes each.
type spmmCall struct {
	rows, edges, xRows      int // of this call, of col, and of x
	stride, xStride         int // bytes from row to row of y, and of x
	add                     int // to what is in y? 0 or 1
	x                       unsafe.Pointer
	y                       *float32
	beg, end, col           *int32
	val, colScale, rowScale *float32 // nil: 1 for all
}

const (
	// spmmEdges bounds the edges, and the rows, of a call of assembly, which cannot be interrupted: 8192 rows of 128 columns are 4 MiB, 0.2 ms even
	// out of memory.
	spmmEdges = 8192
	// spmmNear is the bound where the columns are multiplied in several blocks: the next block finds the rows' pages in the TLB.
	spmmNear = 256
)

// rowsAssembly is rows by the spmm functions, as many rows a call as its edges allow; d is a multiple of 8.
func (s *sparse[T]) rowsAssembly(lo, hi int) {
	limit := spmmEdges
	if s.d > 128 || s.d > 64 && s.level < avx512 {
		limit = spmmNear
	}
	for lo < hi {
		next, size := lo, 0 // edges and rows
		for ; next < hi; next++ {
			n := 1
			if beg, end := s.beg[next], s.end[next]; beg < end {
				n += len(s.col[beg:end])
			}
			if size+n > limit && next > lo {
				break
			}
			size += n
		}
		if size > limit {
			s.longRow(lo, int32(limit))
		} else {
			s.multiply(lo, next-lo, s.beg[lo:], s.end[lo:], 0, s.rowScale)
		}
		lo = next
	}
}

// longRow is row i in calls of at most limit edges. Each goes on where the last one stopped, so that the sum is that of one call.
func (s *sparse[T]) longRow(i int, limit int32) {
	for beg, add := s.beg[i], 0; beg < s.end[i]; beg, add = beg+limit, 1 {
		scale, end := s.rowScale, s.end[i]
		if end-beg > limit {
			scale, end = nil, beg+limit
		}
		s.multiply(i, 1, []int32{beg}, []int32{end}, add, scale)
	}
}

// pieceAssembly is piece by the spmm functions; n is at most their limit.
func (s *sparse[T]) pieceAssembly(n int, goesOn, last bool) {
	add, scale := 0, s.rowScale
	if goesOn {
		add = 1
	}
	if !last {
		scale = nil
	}
	s.multiply(0, 1, []int32{0}, []int32{int32(n)}, add, scale)
}

// multiply sets, or adds to, rows of y from row i on, block by block of columns. The parts of the rows have been checked; columns are by the assembly.
func (s *sparse[T]) multiply(i, rows int, beg, end []int32, add int, rowScale []T) {
	c := spmmCall{rows: rows, edges: len(s.col), xRows: s.xRows(), stride: 4 * s.d, xStride: 4 * s.d, add: add,
		beg: &beg[0], end: &end[0], col: unsafe.SliceData(s.col),
		val: unsafe.SliceData(as32(s.val)), colScale: unsafe.SliceData(as32(s.colScale))}
	if rowScale != nil {
		c.rowScale = &as32(rowScale)[i]
	}
	if s.half != nil {
		c.xStride = 2 * s.d
	}
	for k, cols := 0, 0; k < s.d; k += cols {
		c.y = &as32(s.y)[i*s.d+k]
		var done int
		if s.half != nil {
			c.x = unsafe.Pointer(&s.half[k])
			done, cols = c.half(s.d-k, s.level)
		} else {
			c.x = unsafe.Pointer(&s.x[k])
			done, cols = c.full(s.d-k, s.level)
		}
		if done < rows {
			panic("cpu: SpMM: a column that is no row of X")
		}
	}
}

// full multiplies as many of the columns that are left as one call can.
func (c *spmmCall) full(left int, l level) (done, cols int) {
	switch {
	case left >= 128 && l >= avx512:
		return spmm128AVX512(&c.rows), 128
	case left >= 64 && l >= avx512:
		return spmm64AVX512(&c.rows), 64
	case left >= 64:
		return spmm64AVX2(&c.rows), 64
	case left >= 32:
		return spmm32AVX2(&c.rows), 32
	case left >= 16:
		return spmm16AVX2(&c.rows), 16
	}
	return spmm8AVX2(&c.rows), 8
}

// half is full for an x of binary16.
func (c *spmmCall) half(left int, l level) (done, cols int) {
	switch {
	case left >= 128 && l >= avx512:
		return spmm128AVX512Half(&c.rows), 128
	case left >= 64 && l >= avx512:
		return spmm64AVX512Half(&c.rows), 64
	case left >= 64:
		return spmm64AVX2Half(&c.rows), 64
	case left >= 32:
		return spmm32AVX2Half(&c.rows), 32
	case left >= 16:
		return spmm16AVX2Half(&c.rows), 16
	}
	return spmm8AVX2Half(&c.rows), 8
}

// topAssembly and roundAssembly are the loops of halve, whose chunks are multiples of 8.
func topAssembly(x []float32) float32 { return topFinite(&x[0], len(x)) }

func roundAssembly(half []uint16, x []float32, scale float32) { halve(&x[0], len(x), scale, &half[0]) }
