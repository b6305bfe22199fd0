package cpu

import (
	"math"

	"nearfar/kernels"
)

// Softmax: p_j = m_j e^(z_j) / Σ_k m_k e^(z_k) along the last dimension, about the maximum of what takes part.
//
// Reads and writes each element once (a row stays in cache over its three passes); about 12 FLOPs an element.
func (c *call[T]) softmax(k kernels.Softmax) Work {
	z, p, cols := c.in[0], c.out[0].F, c.in[0].Cols()
	return Work{cut(z.Rows(), 8*cols).phase(func(lo, hi int) {
		for r := lo; r < hi; r++ {
			at, end := r*cols, r*cols+cols
			var mask []T
			if k.Masked {
				mask = c.in[1].F[at:end]
			}
			softmaxRow(c.set, p[at:end], z.F[at:end], mask)
		}
	})}
}

func softmaxRow[T float](s Set, p, z, mask []T) {
	top := T(math.Inf(-1))
	for j, v := range z {
		if mask == nil || mask[j] != 0 {
			top = max(top, v)
		}
	}
	if math.IsInf(float64(top), -1) {
		clear(p)
		return
	}
	for j, v := range z {
		if p[j] = v; mask != nil && mask[j] == 0 {
			p[j] = T(math.Inf(-1))
		}
	}
	inv := T(1 / exponentials(s, p, nil, 1, top))
	for j := range p {
		if p[j] *= inv; mask != nil && mask[j] == 0 {
			p[j] = 0 // beside a NaN too
		}
	}
}

// TopK: the K largest of each row, in decreasing order, ties by the lower index; NaN stands behind -Inf.
//
// Reads each element once. A sorted list of K is kept by insertion: nearly every element fails the comparison with its last, so
// that the expected number of insertions is K ln(n/K) for a row in random order.
func (c *call[T]) topK(k kernels.TopK) Work {
	x, cols := c.in[0], c.in[0].Cols()
	value, index := c.out[0], c.out[1]
	return Work{cut(x.Rows(), cols).phase(func(lo, hi int) {
		for r := lo; r < hi; r++ {
			at := r * k.K
			topRow(value.F[at:at+k.K], index.I[at:at+k.K], x.F[r*cols:r*cols+cols])
		}
	})}
}

func topRow[T float](value []T, index []int32, x []T) {
	n := 0
	for j, v := range x {
		if n == len(value) && !above(v, value[n-1]) {
			continue
		}
		if n < len(value) {
			n++
		}
		i := n - 1
		for ; i > 0 && above(v, value[i-1]); i-- {
			value[i], index[i] = value[i-1], index[i-1]
		}
		value[i], index[i] = v, int32(j)
	}
}

// above is the order of TopK.
func above[T float](a, b T) bool { return a > b || b != b && a == a }
