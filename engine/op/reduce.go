package op

import "nearfar/kernels"

type reduceDef struct{ kernels.Reduce }

func (d reduceDef) Base() kernels.Kernel { return d.Reduce }
func (d reduceDef) Flow(int) Flow {
	switch d.Op {
	case kernels.AllFinite:
		return Stops
	case kernels.Largest:
		return Unwritten
	}
	return Flows
}

func (d reduceDef) Pull(c *Pull) []*Node {
	x := c.In(0)
	kept := d.Kept(Desc(x)).Shape()
	g := Reshape(c.Grad(), kept...)
	switch d.Op {
	case kernels.SumSquares:
		return c.first(Scale(Mul(x, g), 2))
	case kernels.LogSumExps:
		return c.first(Mul(Exp(Sub(x, Reshape(shifted(c.Out(0), nil), kept...))), g))
	}
	return c.first(BroadcastLike(g, x))
}

func reduce(op kernels.ReduceOp, x *Node, axes kernels.Axes, keep bool) *Node {
	return Apply(reduceDef{kernels.Reduce{Op: op, Axes: axes, Keep: keep}}, []*Node{x})
}

func axes(x *Node, dims []int) kernels.Axes {
	var a kernels.Axes
	for _, i := range dims {
		if i < 0 || i >= Desc(x).Rank {
			fail("a reduction of %v along dimension %d", Desc(x), i)
		}
		a |= kernels.Axis(i)
	}
	return a
}

// Sum adds all elements up, or those along the given dimensions, which are dropped.
func Sum(x *Node, along ...int) *Node {
	if len(along) == 0 {
		return reduce(kernels.Sum, x, kernels.AllAxes, false)
	}
	return reduce(kernels.Sum, x, axes(x, along), false)
}

// SumKeep is Sum with the dimensions kept as 1, so that the result broadcasts against x.
func SumKeep(x *Node, along ...int) *Node { return reduce(kernels.Sum, x, axes(x, along), true) }

// Mean is Sum over the number of elements that are added.
func Mean(x *Node, along ...int) *Node {
	s := Sum(x, along...)
	return Scale(s, float64(Desc(s).Elems())/float64(Desc(x).Elems()))
}

// SumSquares is Σ x².
func SumSquares(x *Node) *Node { return reduce(kernels.SumSquares, x, kernels.AllAxes, false) }

// Largest is the maximum along the given dimensions. It has no derivative yet.
func Largest(x *Node, along ...int) *Node { return reduce(kernels.Largest, x, axes(x, along), false) }

// LogSumExpAlong is ln Σ e^x along the given dimensions of a stored matrix. For batch x N similarities use LogSumExp, which never stores it.
func LogSumExpAlong(x *Node, along ...int) *Node {
	return reduce(kernels.LogSumExps, x, axes(x, along), false)
}

// AllFinite is 1 where no element is NaN or infinite.
func AllFinite(x *Node) *Node { return reduce(kernels.AllFinite, x, kernels.AllAxes, false) }

type softmaxDef struct{ kernels.Softmax }

func (d softmaxDef) Base() kernels.Kernel { return d.Softmax }
func (d softmaxDef) Flow(input int) Flow {
	if input == 1 {
		return Stops
	}
	return Flows
}

func (d softmaxDef) Pull(c *Pull) []*Node {
	p, g := c.Out(0), c.Grad()
	last := Desc(p).Rank - 1
	return c.first(Mul(p, Sub(g, SumKeep(Mul(g, p), last))))
}

// Softmax normalises along the last dimension; mask (1 or 0, same shape) may be nil. A row in which nothing takes part is zero.
func Softmax(z, mask *Node) *Node {
	if mask == nil {
		return Apply(softmaxDef{}, []*Node{z})
	}
	return Apply(softmaxDef{kernels.Softmax{Masked: true}}, []*Node{z, mask})
}

type topKDef struct{ kernels.TopK }

func (d topKDef) Base() kernels.Kernel { return d.TopK }
func (d topKDef) Flow(int) Flow        { return Unwritten }

func (d topKDef) Pull(*Pull) []*Node { panic("op: TopK has no derivative") }

// TopK gives the k largest of each row and their places. Choose by place and Gather for a gradient.
func TopK(x *Node, k int) (value, index *Node) {
	v := Apply(topKDef{kernels.TopK{K: k}}, []*Node{x})
	return v, Output(v, 1)
}

// ArgMax is the place of the largest of each row, [..] int32.
func ArgMax(x *Node) *Node {
	if Desc(x).Rank == 0 {
		fail("ArgMax: the place of the largest of a scalar")
	}
	_, at := TopK(x, 1)
	return Reshape(at, Desc(x).Shape()[:Desc(x).Rank-1]...)
}

// Detach is x without its derivative.
func Detach(x *Node) *Node { return Apply(detachDef{kernels.Reshape{Shape: Desc(x)}}, []*Node{x}) }

type detachDef struct{ kernels.Reshape }

func (d detachDef) Base() kernels.Kernel { return d.Reshape }
func (d detachDef) Flow(int) Flow        { return Stops }
func (d detachDef) Pull(*Pull) []*Node   { return nil }
