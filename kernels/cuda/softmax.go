package cuda

import "nearfar/kernels"

// softmax gives short rows lanes of a warp and long ones a block.
func (c *call) softmax(k kernels.Softmax) {
	z, p := c.in[0], c.out[0]
	var mask Ptr
	if k.Masked {
		mask = c.in[1].At
	}
	rows, d := z.Desc.Rows(), z.Desc.Cols()
	if d <= reduceRow {
		c.lanes("softmax_rows", int64(rows), d, z.At, mask, p.At)
		return
	}
	kernel, d := fours("softmax_blocks", d)
	c.launch(kernel, rows, threads, d, z.At, mask, p.At)
}
