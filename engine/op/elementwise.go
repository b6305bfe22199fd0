package op

import "nearfar/kernels"

// mapDef is an elementwise operator of one instruction (the plan fuses chains of them).
type mapDef struct{ kernels.Map }

func (d mapDef) instr() kernels.MapInstr { return d.Code[0] }

func (d mapDef) Base() kernels.Kernel { return d.Map }
func (d mapDef) Flow(input int) Flow {
	switch d.instr().Op {
	case kernels.Sign, kernels.Positive, kernels.Equal, kernels.Greater:
		return Stops
	case kernels.Where:
		if input == 0 {
			return Stops
		}
	case kernels.Copy:
		if input == 1 { // gives the shape only
			return Stops
		}
	}
	return Flows
}

func (d mapDef) Pull(c *Pull) []*Node {
	i, g := d.instr(), c.Grad()
	r := make([]*Node, len(c.in))
	a := c.In(0)
	var b *Node
	if len(c.in) > 1 {
		b = c.In(1)
	}
	give := func(k int, v func() *Node) {
		if c.Wants(k) {
			r[k] = sumTo(v(), Desc(c.In(k)))
		}
	}
	switch i.Op {
	case kernels.Copy, kernels.AddImm:
		give(0, func() *Node { return g })
	case kernels.Neg:
		give(0, func() *Node { return Neg(g) })
	case kernels.Exp:
		give(0, func() *Node { return Mul(g, c.Out(0)) })
	case kernels.Log:
		give(0, func() *Node { return Div(g, a) })
	case kernels.Sqrt:
		give(0, func() *Node { return Scale(Div(g, c.Out(0)), .5) })
	case kernels.Recip:
		give(0, func() *Node { return Neg(Mul(g, Square(c.Out(0)))) })
	case kernels.Sigmoid:
		give(0, func() *Node { y := c.Out(0); return Mul(g, Mul(y, AddConst(Neg(y), 1))) })
	case kernels.Tanh:
		give(0, func() *Node { return Mul(g, AddConst(Neg(Square(c.Out(0))), 1)) })
	case kernels.ReLU:
		give(0, func() *Node { return Mul(g, Positive(a)) })
	case kernels.Softplus:
		give(0, func() *Node { return Mul(g, Sigmoid(a)) })
	case kernels.Square:
		give(0, func() *Node { return Scale(Mul(g, a), 2) })
	case kernels.Scale:
		give(0, func() *Node { return Scale(g, i.Imm) })
	case kernels.MaxImm:
		give(0, func() *Node { return Mul(g, Positive(AddConst(a, -i.Imm))) })
	case kernels.Add:
		give(0, func() *Node { return g })
		give(1, func() *Node { return g })
	case kernels.Sub:
		give(0, func() *Node { return g })
		give(1, func() *Node { return Neg(g) })
	case kernels.Mul:
		give(0, func() *Node { return Mul(g, b) })
		give(1, func() *Node { return Mul(g, a) })
	case kernels.Div:
		give(0, func() *Node { return Div(g, b) })
		give(1, func() *Node { return Neg(Div(Mul(g, c.Out(0)), b)) })
	case kernels.Max: // a tie sends its gradient to b
		give(0, func() *Node { return Mul(g, Greater(a, b)) })
		give(1, func() *Node { return Mul(g, AddConst(Neg(Greater(a, b)), 1)) })
	case kernels.Min:
		give(0, func() *Node { return Mul(g, Greater(b, a)) })
		give(1, func() *Node { return Mul(g, AddConst(Neg(Greater(b, a)), 1)) })
	case kernels.Where:
		zero := Fill(g.Graph(), 0, kernels.Of(Desc(g).Type))
		give(1, func() *Node { return Where(a, g, zero) })
		give(2, func() *Node { return Where(a, zero, g) })
	}
	return r
}

func unary(op kernels.MapOp, a *Node) *Node { return Apply(mapDef{kernels.Unary(op)}, []*Node{a}) }
func binary(op kernels.MapOp, a, b *Node) *Node {
	return Apply(mapDef{kernels.Binary(op)}, []*Node{a, b})
}
func immediate(op kernels.MapOp, a *Node, v float64) *Node {
	return Apply(mapDef{kernels.WithImm(op, v)}, []*Node{a})
}

// Elementwise functions of one tensor; each name says the formula, kernels.MapOp has them spelled out.

func Neg(a *Node) *Node      { return unary(kernels.Neg, a) }
func Sign(a *Node) *Node     { return unary(kernels.Sign, a) }
func Exp(a *Node) *Node      { return unary(kernels.Exp, a) }
func Log(a *Node) *Node      { return unary(kernels.Log, a) }
func Sqrt(a *Node) *Node     { return unary(kernels.Sqrt, a) }
func Recip(a *Node) *Node    { return unary(kernels.Recip, a) }
func Sigmoid(a *Node) *Node  { return unary(kernels.Sigmoid, a) }
func Tanh(a *Node) *Node     { return unary(kernels.Tanh, a) }
func ReLU(a *Node) *Node     { return unary(kernels.ReLU, a) }
func Softplus(a *Node) *Node { return unary(kernels.Softplus, a) }
func Square(a *Node) *Node   { return unary(kernels.Square, a) }
func Positive(a *Node) *Node { return unary(kernels.Positive, a) }

// Scale is v·a, AddConst a+v, MaxConst max(a, v).
func Scale(a *Node, v float64) *Node    { return immediate(kernels.Scale, a, v) }
func AddConst(a *Node, v float64) *Node { return immediate(kernels.AddImm, a, v) }
func MaxConst(a *Node, v float64) *Node { return immediate(kernels.MaxImm, a, v) }

// Elementwise functions of two tensors that broadcast.

func Add(a, b *Node) *Node     { return binary(kernels.Add, a, b) }
func Sub(a, b *Node) *Node     { return binary(kernels.Sub, a, b) }
func Mul(a, b *Node) *Node     { return binary(kernels.Mul, a, b) }
func Div(a, b *Node) *Node     { return binary(kernels.Div, a, b) }
func Max(a, b *Node) *Node     { return binary(kernels.Max, a, b) }
func Min(a, b *Node) *Node     { return binary(kernels.Min, a, b) }
func Equal(a, b *Node) *Node   { return binary(kernels.Equal, a, b) }
func Greater(a, b *Node) *Node { return binary(kernels.Greater, a, b) }

// Where is a where cond ≠ 0, else b.
func Where(cond, a, b *Node) *Node {
	return Apply(mapDef{kernels.MapOf(kernels.MapInstr{Op: kernels.Where, A: 0, B: 1, C: 2})}, []*Node{cond, a, b})
}

// PReLU is max(a, 0) + slope·min(a, 0) with a learned slope that broadcasts.
func PReLU(a, slope *Node) *Node { return Sub(ReLU(a), Mul(slope, ReLU(Neg(a)))) }

// SumOf adds tensors of one shape.
func SumOf(first *Node, rest ...*Node) *Node {
	for _, n := range rest {
		first = Add(first, n)
	}
	return first
}

// MeanOf is the mean of tensors of one shape.
func MeanOf(first *Node, rest ...*Node) *Node {
	return Scale(SumOf(first, rest...), 1/float64(1+len(rest)))
}

// BroadcastLike repeats a along the dimensions in which like is larger.
func BroadcastLike(a, like *Node) *Node {
	if Desc(a).SameShape(Desc(like)) {
		return a
	}
	return Apply(mapDef{kernels.Unary(kernels.Copy)}, []*Node{a, like})
}

// sumTo adds a gradient up along the dimensions in which its operand was repeated.
func sumTo(g *Node, want kernels.Desc) *Node {
	d := Desc(g)
	if d == want {
		return g
	}
	var axes kernels.Axes
	for i := range d.Rank {
		k := i - (d.Rank - want.Rank)
		if k < 0 || want.Dim[k] == 1 && d.Dim[i] != 1 {
			axes |= kernels.Axis(i)
		}
	}
	if axes == 0 { // the gradient itself is smaller than its operand: a scalar's, say
		return Reshape(g, want.Shape()...)
	}
	return Reshape(Apply(reduceDef{kernels.Reduce{Op: kernels.Sum, Axes: axes}}, []*Node{g}), want.Shape()...)
}
