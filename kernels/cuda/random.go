package cuda

import (
	"math"

	"nearfar/kernels"
)

func (c *call) random(k kernels.Random) {
	out, clock := c.out[0], c.in[0]
	var id Ptr
	if k.Rows {
		id = c.in[1].At
	}
	rows, cols := k.Shape.Rows(), k.Shape.Cols()
	const uniformWidth, normalWidth = 4, 2 // elements of a block of words
	if k.Distribution == kernels.Normal {
		perRow := over(int64(cols), normalWidth)
		blocks := int64(rows) * int64(perRow)
		c.launch("random_normal", over(blocks, threads), threads, blocks, perRow, cols, cols%normalWidth == 0, clock.At, id,
			int64(k.Stream), out.At)
		return
	}
	perRow, below := over(int64(cols), uniformWidth), -1
	if k.Distribution == kernels.Bernoulli {
		below = threshold(k.P)
	}
	blocks := int64(rows) * int64(perRow)
	c.launch("random_uniform", over(blocks, threads), threads, blocks, perRow, cols, cols%uniformWidth == 0, clock.At, id,
		int64(k.Stream), below, out.At)
}

// threshold is the number of m in 0 .. 2^24-1 with m 2^-24 < p: the products are exact.
func threshold(p float64) int {
	const steps = 1 << 24
	switch {
	case p >= 1:
		return steps
	case p > 0:
		return int(math.Ceil(p * steps))
	}
	return 0 // and for NaN
}
