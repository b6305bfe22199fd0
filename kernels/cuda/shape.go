package cuda

import (
	"math"

	"nearfar/kernels"
)

func (c *call) fill(k kernels.Fill) {
	out := c.out[0]
	if math.Float32bits(float32(k.Value)) == 0 {
		c.clear(out.At, out.Desc.Bytes())
		return
	}
	n := int64(out.Desc.Elems())
	c.launch("fill", over(n, 4*threads), threads, n, k.Value, out.At)
}

// inVectors tells whether runs can be moved by fours: their addresses, and all their lengths and distances.
func inVectors(a, b Ptr, lengths ...int64) bool {
	for _, n := range lengths {
		if n%4 != 0 {
			return false
		}
	}
	return a%16 == 0 && b%16 == 0
}

// runs copies n runs: to[i stepTo + k] = from[i stepFrom + k] for k < run.
func (c *call) runs(n, run int64, from Ptr, stepFrom int64, to Ptr, stepTo int64) {
	kernel := "runs"
	if inVectors(from, to, run, stepFrom, stepTo) {
		kernel, run, stepFrom, stepTo = "runs4", run/4, stepFrom/4, stepTo/4
	}
	c.launch(kernel, over(n*run, threads), threads, n*run, run, stepFrom, stepTo, from, to)
}

// around is kernels.Around, for a launch: [outer, row of an outer index], and the elements of an index along the axis.
func around(d kernels.Desc, axis int) (outer, row, inner int64) {
	o, a, i := kernels.Around(d, axis)
	return int64(o), int64(a) * int64(i), int64(i)
}

func (c *call) concat(k kernels.Concat) {
	out := c.out[0]
	outer, row, _ := around(out.Desc, k.Axis)
	at := out.At
	for _, x := range c.in {
		_, run, _ := around(x.Desc, k.Axis)
		c.runs(outer, run, x.At, run, at, row)
		at += Ptr(run * float)
	}
}

func (c *call) slice(k kernels.Slice) {
	x, out := c.in[0], c.out[0]
	outer, row, inner := around(x.Desc, k.Axis)
	run := int64(k.End-k.Beg) * inner
	c.runs(outer, run, x.At+Ptr(int64(k.Beg)*inner*float), row, out.At, run)
}

func (c *call) pad(k kernels.Pad) {
	x, out := c.in[0], c.out[0]
	outer, row, inner := around(out.Desc, k.Axis)
	_, run, _ := around(x.Desc, k.Axis)
	before, kernel := int64(k.Before)*inner, "pad"
	if inVectors(x.At, out.At, row, before, run) {
		kernel, row, before, run = "pad4", row/4, before/4, run/4
	}
	c.launch(kernel, over(outer*row, threads), threads, outer*row, row, before, run, x.At, out.At)
}

// shortest is the size of a dimension from which on a transposition goes through tiles.
const shortest = 16

func (c *call) permute(k kernels.Permute) {
	x, out := c.in[0], c.out[0]
	dim, in := permutation(k, x.Desc)
	n := int64(out.Desc.Elems())
	if max(dim[0], dim[1], dim[2], dim[3]) > math.MaxInt32 {
		c.decline()
		return
	}
	last := kernels.MaxRank - 1 // of in: the dimension of out that has stride 1
	for i, s := range in {
		if s == 1 && dim[i] > 1 {
			last = i
		}
	}
	if last != kernels.MaxRank-1 && min(dim[last], dim[3]) >= shortest {
		c.transpose(dim, in, last)
		return
	}
	kernel := "permute"
	if in[3] == 1 && inVectors(x.At, out.At, in[0], in[1], in[2], int64(dim[3])) {
		kernel, n, in[0], in[1], in[2], dim[3] = "permute4", n/4, in[0]/4, in[1]/4, in[2]/4, dim[3]/4
	}
	c.launch(kernel, over(n, threads), threads, n, dim[1], dim[2], dim[3], in[0], in[1], in[2], in[3], x.At, out.At)
}

// transpose exchanges two dimensions: out's last, and that which is in's last.
func (c *call) transpose(dim [kernels.MaxRank]int, in [kernels.MaxRank]int64, last int) {
	step := [kernels.MaxRank]int64{} // of out
	for i, n := kernels.MaxRank-1, int64(1); i >= 0; i-- {
		step[i] = n
		n *= int64(dim[i])
	}
	var moved []int
	for i := range 3 {
		if i != last {
			moved = append(moved, i)
		}
	}
	a, b := moved[0], moved[1]
	tiles := over(int64(dim[3]), 32) * over(int64(dim[last]), 32)
	c.launch("transpose", dim[a]*dim[b]*tiles, threads, dim[3], dim[last], in[3], step[last], dim[b], in[a], in[b], step[a], step[b], c.in[0].At,
		c.out[0].At)
}

// permutation is out's dimensions and the strides of in along them, right-aligned; dimensions of size 1 are gone, and those that stay beside each
// other are one.
func permutation(k kernels.Permute, in kernels.Desc) (dim [kernels.MaxRank]int, stride [kernels.MaxRank]int64) {
	var step [kernels.MaxRank]int64
	for i, n := in.Rank-1, int64(1); i >= 0; i-- {
		step[i] = n
		n *= int64(in.Dim[i])
	}
	for i := range dim {
		dim[i] = 1
	}
	at := kernels.MaxRank - 1
	stride[at] = 1
	for i := in.Rank - 1; i >= 0; i-- {
		d, s := in.Dim[k.Order[i]], step[k.Order[i]]
		switch {
		case d == 1:
			continue
		case dim[at] == 1:
			stride[at] = s
		case s == stride[at]*int64(dim[at]):
			d *= dim[at]
		default:
			at--
			stride[at] = s
		}
		dim[at] = d
	}
	return dim, stride
}
