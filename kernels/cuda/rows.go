package cuda

import "nearfar/kernels"

// gather moves four bytes an element, be they a number or an index.
func (c *call) gather() {
	x, id, out := c.in[0], c.in[1], c.out[0]
	c.elements("gather", id.Desc.Elems(), width(x.Desc), x.At, id.At, out.At)
}

func (c *call) scatterAdd(k kernels.ScatterAdd) {
	in, out := c.in, c.out[0]
	if k.Onto {
		c.copy(out.At, in[0].At, out.Desc.Bytes())
		in = in[1:]
	} else {
		c.clear(out.At, out.Desc.Bytes())
	}
	g, id, d := in[0], in[1], width(out.Desc)
	if k.Sorted {
		c.elements("scatter_sorted", id.Desc.Elems(), d, g.At, in[2].At, in[3].At, in[4].At, out.At)
		return
	}
	const columns = 128
	c.launch("scatter_unsorted", over(int64(d), columns), columns, id.Desc.Elems(), d, g.At, id.At, out.At)
}

func (c *call) segmentSum() {
	g, out := c.in[0], c.out[0]
	c.elements("segment_sum", g.Desc.Rows(), width(g.Desc), g.At, c.in[1].At, c.in[2].At, out.At)
}

func (c *call) put() {
	t, x, id, out := c.in[0], c.in[1], c.in[2], c.out[0]
	c.copy(out.At, t.At, out.Desc.Bytes())
	c.elements("put", id.Desc.Elems(), width(t.Desc), x.At, id.At, out.At)
}

func (c *call) rowDot() {
	x := c.in[0]
	c.warps("row_dot", x.Desc.Rows(), x.Desc.Cols(), x.At, c.in[1].At, c.out[0].At)
}
