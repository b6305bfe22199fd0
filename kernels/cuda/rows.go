package cuda

import "nearfar/kernels"

// threads is the block of the kernels that give a thread an element or a warp a row.
const threads = 256

// vectors launches the kernel that moves n rows of d elements, a thread a vector: by fours, and the kernel whose name ends with 4, where d
// allows it.
func (c *call) vectors(kernel string, n, d int, args ...any) {
	if d%4 == 0 {
		kernel, d = kernel+"4", d/4
	}
	elements := int64(n) * int64(d)
	c.launch(kernel, over(elements, threads), threads, append([]any{elements, d}, args...)...)
}

// width is the length of a row of a table [N, d] or [N].
func width(d kernels.Desc) int {
	if d.Rank == 1 {
		return 1
	}
	return d.Dim[1]
}

func (c *call) gather() {
	x, id, out := c.in[0], c.in[1], c.out[0]
	c.vectors("gather", id.Desc.Elems(), width(x.Desc), x.At, id.At, out.At)
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
		c.vectors("scatter_sorted", id.Desc.Elems(), d, g.At, in[2].At, in[3].At, in[4].At, out.At)
		return
	}
	const columns = 128
	c.launch("scatter_unsorted", over(int64(d), columns), columns, id.Desc.Elems(), d, g.At, id.At, out.At)
}

func (c *call) segmentSum() {
	g, out := c.in[0], c.out[0]
	c.vectors("segment_sum", g.Desc.Rows(), width(g.Desc), g.At, c.in[1].At, c.in[2].At, out.At)
}

func (c *call) put() {
	t, x, id, out := c.in[0], c.in[1], c.in[2], c.out[0]
	c.copy(out.At, t.At, out.Desc.Bytes())
	c.vectors("put", id.Desc.Elems(), width(t.Desc), x.At, id.At, out.At)
}

// warps launches a kernel that gives a warp a row.
func (c *call) warps(kernel string, rows, d int, args ...any) {
	c.launch(kernel, over(int64(rows), threads/32), threads, append([]any{int64(rows), d}, args...)...)
}

func (c *call) rowDot() {
	x := c.in[0]
	c.warps("row_dot", x.Desc.Rows(), x.Desc.Cols(), x.At, c.in[1].At, c.out[0].At)
}
