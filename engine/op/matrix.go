package op

import "nearfar/kernels"

type matMulDef struct{ kernels.MatMul }

func (d matMulDef) Base() kernels.Kernel { return d.MatMul }
func (d matMulDef) Flow(int) Flow        { return Flows }

func (d matMulDef) Pull(c *Pull) []*Node {
	a, b, g := c.In(0), c.In(1), c.Grad()
	r := make([]*Node, 2)
	if c.Wants(0) {
		if d.TransA {
			r[0] = MatMul(b, g, d.TransB, true)
		} else {
			r[0] = MatMul(g, b, false, !d.TransB)
		}
	}
	if c.Wants(1) {
		if d.TransB {
			r[1] = MatMul(g, a, true, d.TransA)
		} else {
			r[1] = MatMul(a, g, !d.TransA, false)
		}
	}
	return r
}

// MatMul multiplies matrices, or batches of them; transA and transB read an operand transposed.
func MatMul(a, b *Node, transA, transB bool) *Node {
	return Apply(matMulDef{kernels.MatMul{TransA: transA, TransB: transB}}, []*Node{a, b})
}

// Linear is x·w (+ bias) for x [.., k], w [k, n], bias [n] or nil.
func Linear(x, w, bias *Node) *Node {
	d := Desc(x)
	if d.Rank == 0 || Desc(w).Rank != 2 {
		fail("Linear: want x [.. k] and w [k n], got %v and %v", d, Desc(w))
	}
	y := MatMul(Reshape(x, d.Rows(), d.Cols()), w, false, false)
	if bias != nil {
		y = Add(y, bias)
	}
	shape := d.Shape()
	shape[len(shape)-1] = Desc(w).Dim[1]
	return Reshape(y, shape...)
}

// Sparse is a sparse matrix [M x N] by rows, as nodes: Beg, End [M], Col [nnz]; RowScale [M] and ColScale [N], or nil; Val [nnz], or
// nil. Transposed is the same matrix the other way round, needed for derivatives; a symmetric matrix is its own.
type Sparse struct {
	Beg, End, Col      *Node
	RowScale, ColScale *Node
	Val                *Node
	Transposed         *Sparse
}

// Symmetric marks s as its own transposed. Its pattern and values are the caller's promise; its two scales must be one node.
func (s *Sparse) Symmetric() *Sparse {
	if s.RowScale != s.ColScale {
		fail("Sparse: a matrix whose rows and columns are scaled differently is not symmetric: give Sparse.Transposed")
	}
	s.Transposed = s
	return s
}

func (s *Sparse) kernel() kernels.SpMM {
	return kernels.SpMM{Scaled: s.RowScale != nil, Valued: s.Val != nil}
}

func (s *Sparse) operands() []*Node {
	in := []*Node{s.Beg, s.End, s.Col}
	if s.RowScale != nil {
		in = append(in, s.RowScale, s.ColScale)
	}
	if s.Val != nil {
		in = append(in, s.Val)
	}
	return in
}

type spMMDef struct {
	kernels.SpMM
	symmetric bool
}

func (d spMMDef) Base() kernels.Kernel { return d.SpMM }
func (d spMMDef) Flow(input int) Flow {
	switch {
	case input == 0:
		return Flows
	case input < 4:
		return Stops
	}
	return Unwritten // scales and values are data, so far
}

func (d spMMDef) Pull(c *Pull) []*Node {
	in := c.Inputs()[1:]
	if !d.symmetric {
		in = c.Auxiliaries()
		if len(in) == 0 {
			fail("SpMM: a gradient needs the transposed matrix: give Sparse.Transposed")
		}
	}
	return c.first(Apply(d, append([]*Node{c.Grad()}, in...), c.transposed()...))
}

// transposed gives the derivative's own derivative the forward matrix again.
func (c *Pull) transposed() []*Node {
	if len(c.auxiliary) == 0 {
		return nil
	}
	return c.Inputs()[1:]
}

// SpMM is the sparse matrix times x [N, d].
func SpMM(s *Sparse, x *Node) *Node {
	in := append([]*Node{x}, s.operands()...)
	if s.Transposed == nil || s.Transposed == s {
		return Apply(spMMDef{s.kernel(), s.Transposed == s}, in)
	}
	return Apply(spMMDef{s.kernel(), false}, in, s.Transposed.operands()...)
}
