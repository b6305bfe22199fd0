package cuda

import (
	"math/bits"

	"nearfar/kernels"
)

// fours is the kernel for rows of d elements, and their length in its vectors: the one whose name ends with 4 where d allows it.
func fours(kernel string, d int) (string, int) {
	if d%4 == 0 {
		return kernel + "4", d / 4
	}
	return kernel, d
}

// logLanes is the binary logarithm of the number of a warp's lanes that share a row of so many vectors.
func logLanes(vectors int) int { return min(bits.Len(uint(vectors-1)), 5) }

func (c *call) normaliseRows(k kernels.NormaliseRows) {
	x := c.in[0]
	c.short("normalise_rows", x.Desc, k.Eps, x.At, c.out[0].At, c.out[1].At)
}

func (c *call) normaliseRowsGrad() {
	c.short("normalise_rows_grad", c.in[0].Desc, c.in[0].At, c.in[1].At, c.in[2].At, c.out[0].At)
}

// short launches a kernel that gives a row as many lanes as it can use.
func (c *call) short(kernel string, x kernels.Desc, args ...any) {
	kernel, d := fours(kernel, x.Cols())
	rows, log := int64(x.Rows()), logLanes(d)
	c.launch(kernel, over(rows, threads>>log), threads, append([]any{rows, d, log}, args...)...)
}
