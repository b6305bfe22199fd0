package op

import "nearfar/kernels"

type fillDef struct{ kernels.Fill }

func (d fillDef) Base() kernels.Kernel { return d.Fill }
func (d fillDef) Flow(int) Flow        { return Stops }
func (d fillDef) Pull(*Pull) []*Node   { return nil }

// Fill is a constant tensor.
func Fill(g *Graph, v float64, d kernels.Desc) *Node {
	return ApplyIn(g, fillDef{kernels.Fill{Value: v, Shape: d}})
}

type reshapeDef struct{ kernels.Reshape }

func (d reshapeDef) Base() kernels.Kernel { return d.Reshape }
func (d reshapeDef) Flow(int) Flow        { return Flows }
func (d reshapeDef) Pull(c *Pull) []*Node {
	return c.first(Reshape(c.Grad(), Desc(c.In(0)).Shape()...))
}

// Reshape gives the same elements other dimensions; it moves nothing.
func Reshape(x *Node, dims ...int) *Node {
	if len(dims) > kernels.MaxRank {
		fail("Reshape: %v is above rank %d", dims, kernels.MaxRank)
	}
	d := kernels.Of(Desc(x).Type, dims...)
	if d == Desc(x) {
		return x
	}
	return Apply(reshapeDef{kernels.Reshape{Shape: d}}, []*Node{x})
}

type concatDef struct{ kernels.Concat }

func (d concatDef) Base() kernels.Kernel { return d.Concat }
func (d concatDef) Flow(int) Flow        { return Flows }

func (d concatDef) Pull(c *Pull) []*Node {
	r := make([]*Node, len(c.in))
	at := 0
	for i, n := range c.Inputs() {
		end := at + Desc(n).Dim[d.Axis]
		if c.Wants(i) {
			r[i] = Slice(c.Grad(), d.Axis, at, end)
		}
		at = end
	}
	return r
}

// Concat joins tensors along an axis.
func Concat(axis int, x ...*Node) *Node {
	return Apply(concatDef{kernels.Concat{Axis: axis}}, x)
}

type sliceDef struct{ kernels.Slice }

func (d sliceDef) Base() kernels.Kernel { return d.Slice }
func (d sliceDef) Flow(int) Flow        { return Flows }
func (d sliceDef) Pull(c *Pull) []*Node {
	return c.first(Apply(padDef{kernels.Pad{Axis: d.Axis, Before: d.Beg, After: Desc(c.In(0)).Dim[d.Axis] - d.End}}, []*Node{c.Grad()}))
}

// Slice is the part beg <= index < end along an axis.
func Slice(x *Node, axis, beg, end int) *Node {
	if d := Desc(x); axis >= 0 && axis < d.Rank && beg == 0 && end == d.Dim[axis] {
		return x
	}
	return Apply(sliceDef{kernels.Slice{Axis: axis, Beg: beg, End: end}}, []*Node{x})
}

type padDef struct{ kernels.Pad }

func (d padDef) Base() kernels.Kernel { return d.Pad }
func (d padDef) Flow(int) Flow        { return Flows }
func (d padDef) Pull(c *Pull) []*Node {
	return c.first(Slice(c.Grad(), d.Axis, d.Before, d.Before+Desc(c.In(0)).Dim[d.Axis]))
}

type permuteDef struct{ kernels.Permute }

func (d permuteDef) Base() kernels.Kernel { return d.Permute }
func (d permuteDef) Flow(int) Flow        { return Flows }
func (d permuteDef) Pull(c *Pull) []*Node {
	inverse := make([]int, Desc(c.In(0)).Rank)
	for i := range inverse {
		inverse[d.Order[i]] = i
	}
	return c.first(Permute(c.Grad(), inverse...))
}

// Permute reorders dimensions: the result's dimension i is x's dimension order[i].
func Permute(x *Node, order ...int) *Node {
	if len(order) != Desc(x).Rank {
		fail("Permute: an order of %d dimensions for %v", len(order), Desc(x))
	}
	var p kernels.Permute
	copy(p.Order[:], order)
	return Apply(permuteDef{p}, []*Node{x})
}

type randomDef struct{ kernels.Random }

func (d randomDef) Base() kernels.Kernel { return d.Random }
func (d randomDef) Flow(int) Flow        { return Stops }
func (d randomDef) Pull(*Pull) []*Node   { return nil }

// Random draws a tensor; the clock is int32 [4]. Models use engine.Builder's streams, which name them.
func Random(clock *Node, r kernels.Random) *Node { return Apply(randomDef{r}, []*Node{clock}) }
