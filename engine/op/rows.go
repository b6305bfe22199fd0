package op

import "nearfar/kernels"

// Index is a list of rows, ID [B] int32 with -1 for none, and its inverse, which a feed sorts on the host: Rows [B] the distinct ids in
// increasing order (-1 behind), Seg [B+1] and Perm [B] their places. Without the inverse (nil) derivatives scatter in the order of ID.
type Index struct{ ID, Rows, Seg, Perm *Node }

// Only is an Index without an inverse: one that the program itself computed.
func Only(id *Node) Index { return Index{ID: id} }

func (x Index) inverse() []*Node {
	if x.Rows == nil {
		return nil
	}
	return []*Node{x.Rows, x.Seg, x.Perm}
}

type gatherDef struct{ kernels.Gather }

func (d gatherDef) Base() kernels.Kernel { return d.Gather }
func (d gatherDef) Flow(input int) Flow {
	if input == 1 {
		return Stops
	}
	return Flows
}

func (d gatherDef) Pull(c *Pull) []*Node {
	return c.first(scatterAdd(c.Grad(), c.In(1), c.Auxiliaries(), Desc(c.In(0)).Dim[0]))
}

// Gather picks rows of x [N, d] (or [N]) by index; -1 gives zeros.
func Gather(x *Node, at Index) *Node { return Apply(gatherDef{}, []*Node{x, at.ID}, at.inverse()...) }

// scatterAddDef is never Onto: the plan makes that form of a sum.
type scatterAddDef struct{ kernels.ScatterAdd }

func (d scatterAddDef) Base() kernels.Kernel { return d.ScatterAdd }
func (d scatterAddDef) Flow(input int) Flow {
	if input == 0 {
		return Flows
	}
	return Stops
}

func (d scatterAddDef) Pull(c *Pull) []*Node {
	return c.first(Apply(gatherDef{}, []*Node{c.Grad(), c.In(1)}, c.Inputs()[2:]...))
}

func scatterAdd(g, id *Node, inverse []*Node, rows int) *Node {
	k := kernels.ScatterAdd{Rows: rows, Sorted: len(inverse) > 0}
	return Apply(scatterAddDef{k}, append([]*Node{g, id}, inverse...))
}

// ScatterAdd adds rows g [B, d] into a zero table [rows, d] by index.
func ScatterAdd(g *Node, at Index, rows int) *Node {
	return scatterAdd(g, at.ID, at.inverse(), rows)
}

type segmentSumDef struct{ kernels.SegmentSum }

func (d segmentSumDef) Base() kernels.Kernel { return d.SegmentSum }
func (d segmentSumDef) Flow(input int) Flow {
	if input == 0 {
		return Unwritten
	}
	return Stops
}
func (d segmentSumDef) Pull(*Pull) []*Node { panic("op: SegmentSum has no derivative") }

// SegmentSum adds the rows of g [B, d] that share an id: row k of the result belongs to at.Rows[k].
func SegmentSum(g *Node, at Index) *Node { return Apply(segmentSumDef{}, []*Node{g, at.Seg, at.Perm}) }

type putDef struct{ kernels.Put }

func (d putDef) Base() kernels.Kernel { return d.Put }
func (d putDef) Flow(input int) Flow {
	if input == 2 {
		return Stops
	}
	return Flows
}

func (d putDef) Pull(c *Pull) []*Node {
	x := c.In(1)
	zero := Fill(x.Graph(), 0, Desc(x))
	return []*Node{Apply(putDef{}, []*Node{c.Grad(), zero, c.In(2)}), Apply(gatherDef{}, []*Node{c.Grad(), c.In(2)}), nil}
}

// Put replaces rows of a table: out[id_i] = x_i. Each id stands at most once.
func Put(table, x, id *Node) *Node { return Apply(putDef{}, []*Node{table, x, id}) }

type rowDotDef struct{ kernels.RowDot }

func (d rowDotDef) Base() kernels.Kernel { return d.RowDot }
func (d rowDotDef) Flow(int) Flow        { return Flows }

func (d rowDotDef) Pull(c *Pull) []*Node {
	g := Column(c.Grad())
	r := make([]*Node, 2)
	for i := range r {
		if c.Wants(i) {
			r[i] = Mul(g, c.In(1-i))
		}
	}
	return r
}

// Column is v [..] as [.., 1]: one number a row, which broadcasts along it.
func Column(v *Node) *Node { return Reshape(v, append(Desc(v).Shape(), 1)...) }

// RowDot is <x_i, y_i> of corresponding rows.
func RowDot(x, y *Node) *Node { return Apply(rowDotDef{}, []*Node{x, y}) }

// normEps is the smallest norm by which NormaliseRows divides (torch.nn.functional.normalize).
const normEps = 1e-12

type normaliseDef struct{ kernels.NormaliseRows }

func (d normaliseDef) Base() kernels.Kernel { return d.NormaliseRows }
func (d normaliseDef) Flow(int) Flow        { return Flows }

func (d normaliseDef) Pull(c *Pull) []*Node {
	y, inv := c.Out(0), c.Out(1)
	if c.Index() == 1 { // d inv / dx = -inv² y
		return c.first(Neg(Mul(y, Column(Mul(Square(inv), c.Grad())))))
	}
	return c.first(Apply(normaliseGradDef{}, []*Node{y, inv, c.Grad()}))
}

// NormaliseRows scales rows to unit length; a zero row stays zero.
func NormaliseRows(x *Node) *Node {
	return Apply(normaliseDef{kernels.NormaliseRows{Eps: normEps}}, []*Node{x})
}

type normaliseGradDef struct{ kernels.NormaliseRowsGrad }

func (d normaliseGradDef) Base() kernels.Kernel { return d.NormaliseRowsGrad }
func (d normaliseGradDef) Flow(int) Flow        { return Unwritten }
func (d normaliseGradDef) Pull(*Pull) []*Node {
	panic("op: NormaliseRowsGrad is differentiated expanded")
}

func (d normaliseGradDef) Expand(in []*Node) []*Node {
	y, inv, g := in[0], in[1], in[2]
	return []*Node{Mul(Column(inv), Sub(g, Mul(y, Column(Sum(Mul(y, g), Desc(y).Rank-1)))))}
}

// Cosine is the cosine of corresponding rows.
func Cosine(x, y *Node) *Node { return RowDot(NormaliseRows(x), NormaliseRows(y)) }
