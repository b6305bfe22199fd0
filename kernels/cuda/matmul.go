package cuda

import (
	"math"

	"nearfar/kernels"
)

// MatMul: out[g, i, j] = sum over k of A[g, i, k] B[g, k, j], by cuBLAS. 2 G M N K FLOPs; A, B and out move once, but for what cuBLAS reads again.
func (c *call) matMul(k kernels.MatMul) {
	a, b, out := c.in[0], c.in[1], c.out[0]
	batch, rows, cols, inner := k.Sizes(a.Desc, b.Desc)
	if max(rows, cols, inner) > math.MaxInt32 {
		c.decline()
		return
	}
	p := Product{M: rows, N: cols, K: inner, Alpha: 1,
		A: matrix(a.At, rows, inner, k.TransA), B: matrix(b.At, inner, cols, k.TransB), C: matrix(out.At, rows, cols, false)}
	if batch == 1 {
		c.multiply(p, c.scratch.take(p.parts()))
		return
	}
	const most = 65535 // matrices of a batch stand along a grid's z
	for ; batch > 0; batch -= most {
		p.Batches = min(batch, most)
		c.multiply(p, 0)
		for _, m := range []*Matrix{&p.A, &p.B, &p.C} {
			m.At += Ptr(most * m.Batch * float)
		}
	}
}

// matrix is a whole tensor, or one after another, as a matrix of such a shape.
func matrix(at Ptr, rows, cols int, transposed bool) Matrix {
	m := Matrix{At: at, Stride: cols, Transposed: transposed, Batch: int64(rows) * int64(cols)}
	if transposed {
		m.Stride = rows
	}
	return m
}

// A product whose C is small has too few tiles for a GPU, however long its sum is: dX [128, 64] = P [128, 40000] Y is a single one. Such a sum is cut
// into parts that are products of one batch, and a kernel adds the parts in their order. The cut depends on the shape only.
const (
	tileRows, tileCols = 128, 64 // what a block of cuBLAS's float32 kernels computes, or more
	enoughTiles        = 256     // for two on each multiprocessor of an H100
	shortestPart       = 256     // terms: the part's product then costs several times what it takes to write it and to add it
	fewestParts        = 4       // with fewer, the pass over the parts is not worth it
)

// split is the number of parts of a product and the terms of each; what is left over is a part of its own. (1, K) leaves it whole.
func (p *Product) split() (parts, terms int) {
	tiles := over(int64(p.M), tileRows) * over(int64(p.N), tileCols)
	if p.Batches > 0 || tiles == 0 {
		return 1, p.K
	}
	want := min(enoughTiles/tiles, p.K/shortestPart)
	if want < fewestParts {
		return 1, p.K
	}
	for n := want; n >= max(fewestParts, want/2); n-- {
		if p.K%(4*n) == 0 { // nothing left over, and every part begins at 16 bytes
			return n, p.K / n
		}
	}
	terms = roundUp((p.K+want-1)/want, 32)
	return p.K / terms, terms
}

// parts is the number of elements of scratch that multiply takes for p.
func (p *Product) parts() int64 {
	n, terms := p.split()
	if n == 1 {
		return 0
	}
	return int64(over(int64(p.K), int64(terms))) * int64(p.M) * int64(p.N)
}

// multiply adds a product, whose C is contiguous where the product is split; scratch has p.parts() elements.
func (c *call) multiply(p Product, scratch Ptr) {
	if p.M == 0 || p.N == 0 {
		return
	}
	if p.K == 0 {
		if p.Beta == 0 {
			c.clear(p.C.At, int64(max(1, p.Batches))*int64(p.M)*int64(p.C.Stride)*float)
		}
		return
	}
	parts, terms := p.split()
	if parts == 1 {
		c.work.Steps = append(c.work.Steps, &p)
		return
	}
	size := int64(p.M) * int64(p.N)
	part := p
	part.K, part.Batches, part.Beta = terms, parts, 0
	part.A.Batch, part.B.Batch = p.A.along(terms, false), p.B.along(terms, true)
	part.C = Matrix{At: scratch, Stride: p.N, Batch: size}
	c.work.Steps = append(c.work.Steps, &part)
	if left := p.K - parts*terms; left > 0 {
		rest := part
		rest.K, rest.Batches = left, 0
		rest.A.At += Ptr(int64(parts) * part.A.Batch * float)
		rest.B.At += Ptr(int64(parts) * part.B.Batch * float)
		rest.C.At += Ptr(int64(parts) * size * float)
		c.work.Steps = append(c.work.Steps, &rest)
		parts++
	}
	c.sumParts(size, parts, p.Beta != 0, scratch, p.C.At)
}

// along is the distance of n terms of a product's sum: columns of A, rows of B.
func (m Matrix) along(n int, rows bool) int64 {
	if rows != m.Transposed {
		return int64(n) * int64(m.Stride)
	}
	return int64(n)
}

// sumParts adds parts [n, elements] to out, or writes their sum.
func (c *call) sumParts(elements int64, n int, onto bool, parts, out Ptr) {
	kernel, elements := fours("sum_parts", elements)
	c.launch(kernel, over(elements, 32), 32*min(n, 8), elements, n, onto, parts, out)
}

func roundUp(n, unit int) int { return (n + unit - 1) / unit * unit }
