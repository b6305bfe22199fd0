// Package spd inverts large symmetric positive definite matrices in place, in float32 or float64. gonum inverts them too, but in float64
// alone, whose products are several times slower than the float32 ones of package kernels/cpu; and its inversion cannot be interrupted.
package spd

import (
	"fmt"
	"unsafe"
)

// Float is the arithmetic of a matrix.
type Float interface{ float32 | float64 }

// tile is the edge of a block: three blocks of float32 (768 KiB) fit an L2 cache.
const tile = 256

// Matrix is symmetric, N x N. Its lower triangle is kept in blocks of tile x tile, so that it takes about half of N² elements.
type Matrix[T Float] struct {
	N     int
	block [][]T // block (i, j), j <= i, at i(i+1)/2 + j: rows of block i by columns of block j, row-major
}

// Bytes is the memory of a matrix of n rows together with what Invert needs beside it.
func Bytes[T Float](n int) int64 {
	var t T
	blocks := int64((n + tile - 1) / tile)
	return int64(unsafe.Sizeof(t)) * tile * tile * (blocks*(blocks+1)/2 + 2*blocks)
}

// New is a matrix of zeros.
func New[T Float](n int) *Matrix[T] {
	m := &Matrix[T]{N: n}
	for i := range m.blocks() {
		for j := range i + 1 {
			m.block = append(m.block, make([]T, m.size(i)*m.size(j)))
		}
	}
	return m
}

func (m *Matrix[T]) blocks() int { return (m.N + tile - 1) / tile }

// size is the number of rows of block row i.
func (m *Matrix[T]) size(i int) int { return min(tile, m.N-i*tile) }

func (m *Matrix[T]) at(i, j int) []T { return m.block[i*(i+1)/2+j] }

// slot is where element (r, c) with r >= c is.
func (m *Matrix[T]) slot(r, c int) *T {
	i, j := r/tile, c/tile
	return &m.at(i, j)[r%tile*m.size(j)+c%tile]
}

// At is element (r, c).
func (m *Matrix[T]) At(r, c int) T {
	if r < c {
		r, c = c, r
	}
	return *m.slot(r, c)
}

// Set sets the elements (r, c) and (c, r).
func (m *Matrix[T]) Set(r, c int, v T) {
	if r < c {
		r, c = c, r
	}
	*m.slot(r, c) = v
	if i := r / tile; i == c/tile { // a block on the diagonal is kept whole
		m.at(i, i)[c%tile*m.size(i)+r%tile] = v
	}
}

// Row copies row r to out [N].
func (m *Matrix[T]) Row(r int, out []T) {
	i, k := r/tile, r%tile
	for j := range i + 1 {
		copy(out[j*tile:], m.at(i, j)[k*m.size(j):][:m.size(j)])
	}
	width := m.size(i)
	for below := i + 1; below < m.blocks(); below++ {
		b, to := m.at(below, i), out[below*tile:]
		for p := range m.size(below) {
			to[p] = b[p*width+k]
		}
	}
}

// Multiply sets out [N] = M x [N], summed in float64.
func (m *Matrix[T]) Multiply(x, out []float64) {
	clear(out)
	for i := range m.blocks() {
		for j := range i + 1 {
			b, rows, cols := m.at(i, j), m.size(i), m.size(j)
			left, right := x[j*tile:][:cols], x[i*tile:][:rows]
			to, across := out[i*tile:][:rows], out[j*tile:][:cols]
			for p := range rows {
				row, sum := b[p*cols:][:cols], 0.0
				for q, v := range row {
					sum += float64(v) * left[q]
				}
				to[p] += sum
				if i == j {
					continue
				}
				for q, v := range row {
					across[q] += float64(v) * right[p]
				}
			}
		}
	}
}

// notDefinite is the error of a pivot that is not positive definite.
func notDefinite(row, n int) error {
	return fmt.Errorf("the matrix of %d rows is not positive definite in this precision: it fails in the rows from %d", n, row)
}
