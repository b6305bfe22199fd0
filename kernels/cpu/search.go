package cpu

import (
	"math"
	"math/bits"
	"sync"
)

// Panels are the rows of Y [n, d] as Search reads them: some rows at a time, by columns.
type Panels struct {
	set        Set
	n, d       int
	rows, cols int // of a tile of products
	y          []float32
}

// panelMemory is what released panels had: memory that is new to the process costs more to get than to fill.
var panelMemory sync.Pool // *[]float32

// Release gives up the memory of panels for the next that are packed. They cannot be searched any more.
func (p *Panels) Release() {
	y := p.y
	p.y = nil
	panelMemory.Put(&y)
}

// Pack makes panels of Y [n, d], d > 0: a copy of it.
func (s Set) Pack(y []float32, n, d int) *Panels {
	p := &Panels{set: s, n: n, d: d, rows: 6, cols: 16}
	if s.level >= avx512 {
		p.rows, p.cols = 12, 32
	}
	size := roundUp(n, p.cols) * d
	if y, _ := panelMemory.Get().(*[]float32); y != nil && cap(*y) >= size {
		p.y = (*y)[:size]
		clear(p.y[n/p.cols*p.cols*d:]) // large products with what was there would be looked at, and are nobody's
	} else {
		p.y = make([]float32, size)
	}
	j := 0
	for ; j+4 <= n; j += 4 { // none of the four is in another panel
		to := p.y[j/p.cols*p.cols*d+j%p.cols:]
		y0, y1, y2, y3 := row(y, j, d), row(y, j+1, d)[:d], row(y, j+2, d)[:d], row(y, j+3, d)[:d]
		for k, v := range y0[:d] {
			q := to[k*p.cols:][:4:4]
			q[0], q[1], q[2], q[3] = v, y1[k], y2[k], y3[k]
		}
	}
	for ; j < n; j++ {
		to := p.y[j/p.cols*p.cols*d+j%p.cols:]
		for k, v := range row(y, j, d) {
			to[k*p.cols] = v
		}
	}
	return p
}

// searchBytes is the part of Y that stays in the L2 cache while all rows of X are multiplied with it: 31 us a call of assembly.
const searchBytes = 512 << 10

// Search forms the products s = x_i · y_j, X [m, d], and calls found for each that is not below the threshold of its i, in the order of j for each i:
//
//	if !(s < threshold[i]) { threshold[i] = found(i, j, s) }
//
// A threshold begins at -Inf; NaN is always found. 2·m·n·d FLOPs, and no product is stored: the largest k of each row need few calls, and
// nearly all tiles of products are compared in registers and forgotten: the 20 largest of 512 x 40,000 at d 64 take 31 ms, 86 GF/s (Zen 4, one thread,
// 2026-11-25), by AVX2 and AVX-512 alike.
func (p *Panels) Search(x []float32, m int, found func(i, j int, s float32) float32) {
	if m == 0 || p.n == 0 {
		return
	}
	if p.y == nil {
		panic("cpu: a search of panels that were released")
	}
	tiles := (m + p.rows - 1) / p.rows
	byColumn, threshold := make([]float32, tiles*p.rows*p.d), make([]float32, tiles*p.rows)
	for i := range threshold {
		threshold[i] = float32(math.Inf(1)) // of the rows that fill the last tile
	}
	for i := range m {
		threshold[i] = float32(math.Inf(-1))
		to := byColumn[i/p.rows*p.rows*p.d+i%p.rows:]
		for k, v := range row(x, i, p.d) {
			to[k*p.rows] = v
		}
	}
	s, which := make([]float32, p.rows*p.cols), make([]uint32, p.rows)
	size := p.cols * p.d
	panels := span{len(p.y) / size, max(1, searchBytes/4/size)}
	for chunk := range panels.chunks() {
		lo, hi := panels.at(chunk)
		for t := range tiles {
			first := t * p.rows
			for at := lo; at < hi; at++ {
				at += p.next(byColumn[first*p.d:], p.y[at*size:], hi-at, threshold[first:], s, which)
				if at == hi {
					break
				}
				for r := range min(p.rows, m-first) {
					for mask := which[r]; mask != 0; mask &= mask - 1 {
						c := bits.TrailingZeros32(mask)
						i, j, v := first+r, at*p.cols+c, s[r*p.cols+c]
						if j < p.n && !(v < threshold[i]) {
							threshold[i] = found(i, j, v)
						}
					}
				}
			}
		}
	}
}

// nextPlain is the first of the panels with a product that is found.
func (p *Panels) nextPlain(x, y []float32, panels int, threshold, s []float32, which []uint32) int {
	for at := range panels {
		clear(s)
		multiply(Generic(), s, p.cols, x, 1, p.rows, y[at*p.cols*p.d:], p.cols, p.rows, p.cols, p.d)
		any := uint32(0)
		for r := range which {
			which[r] = 0
			for c, v := range s[r*p.cols:][:p.cols] {
				if !(v < threshold[r]) {
					which[r] |= 1 << c
				}
			}
			any |= which[r]
		}
		if any != 0 {
			return at
		}
	}
	return panels
}
