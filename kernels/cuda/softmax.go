package cuda

import "nearfar/kernels"

// softmax gives short rows lanes of a warp and long ones a block.
func (c *call) softmax(k kernels.Softmax) {
	z, p := c.in[0], c.out[0]
	var mask Ptr
	if k.Masked {
		mask = c.in[1].At
	}
	rows, d, vector := int64(z.Desc.Rows()), z.Desc.Cols(), ""
	long := d > reduceRow
	if d%4 == 0 {
		vector, d = "4", d/4
	}
	if long {
		c.launch("softmax_blocks"+vector, int(rows), threads, d, z.At, mask, p.At)
		return
	}
	lanes := lanesFor(d)
	c.launch("softmax_rows"+vector, over(rows*int64(lanes), threads), threads, rows, d, lanes, z.At, mask, p.At)
}
