package engine

import (
	"slices"

	"nearfar/kernels"
)

// useRowGradients gives Adam the gradient of a table by rows, where it is a sum of rows scattered by id: the table of zeros into which they would be
// added is never made, and neither Adam nor the guard against NaN reads it.
//
//	Adam(p, m, v, ScatterAdd(G, id, rows, seg, perm), ..)  ->  RowAdam{Dense}(p, m, v, SegmentSum(G, seg, perm), rows, ..)
//
// The results are the same to the bit. A gradient that something else reads, as clipping reads its norm, stays a table.
func (c *code) useRowGradients() {
	for _, n := range slices.Clone(c.insts) {
		if k, ok := n.k.(kernels.ScatterAdd); ok && k.Sorted && !k.Onto && n.in[0].desc.Rank == 2 && n.in[0].desc.Rows() < k.Rows {
			c.useRowGradient(n)
		}
	}
	c.sort()
}

func (c *code) useRowGradient(scatter *inst) {
	table := scatter.out[0]
	var optimisers, guards []*inst
	for _, r := range c.insts {
		_, adam := r.k.(kernels.Adam)
		switch {
		case !slices.Contains(r.in, table):
		case adam && slices.Index(r.in, table) == gradientOfAdam:
			optimisers = append(optimisers, r)
		case isTotal(r.k) && c.onlyFinite(r.out[0]):
			guards = append(guards, r)
		default:
			return
		}
	}
	if len(optimisers) == 0 || c.isRoot(table) {
		return
	}
	g, rows, seg, perm := scatter.in[0], scatter.in[2], scatter.in[3], scatter.in[4]
	sums := c.emit(kernels.SegmentSum{}, scatter.from, g, seg, perm)
	if !c.runs(sums) {
		return
	}
	steps := make([]*inst, len(optimisers))
	for i, o := range optimisers {
		in := slices.Clone(o.in)
		in[gradientOfAdam] = sums.out[0]
		steps[i] = c.emit(kernels.RowAdam{Adam: o.k.(kernels.Adam), Dense: true}, o.from, slices.Insert(in, gradientOfAdam+1, rows)...)
		if !c.runs(steps[i]) {
			return
		}
	}
	for i, o := range optimisers {
		for k, v := range o.out {
			c.replace(v, steps[i].out[k])
		}
	}
	for _, r := range guards {
		r.in = []*value{sums.out[0]}
	}
}

// gradientOfAdam is the place of the gradient among kernels.Adam's inputs.
const gradientOfAdam = 3

// isTotal tells whether a kernel makes one number of a tensor, which zeros among the elements do not change but for the order of a sum. Whether it is finite
// is then the same too, unless the sum of squares ends within its rounding of the largest number.
func isTotal(k kernels.Kernel) bool {
	r, ok := k.(kernels.Reduce)
	return ok && r.Axes == kernels.AllAxes && (r.Op == kernels.SumSquares || r.Op == kernels.AllFinite)
}

// onlyFinite tells whether a total matters in one way only: whether it, or a sum in which it is, is finite.
func (c *code) onlyFinite(v *value) bool {
	if c.isRoot(v) {
		return false
	}
	if r, ok := v.def.k.(kernels.Reduce); ok && r.Op == kernels.AllFinite {
		return true
	}
	for _, n := range c.insts {
		if !slices.Contains(n.in, v) {
			continue
		}
		r, reduces := n.k.(kernels.Reduce)
		if reduces && r.Op == kernels.AllFinite {
			continue
		}
		if m, ok := n.k.(kernels.Map); !ok || m != kernels.Binary(kernels.Add) || !c.onlyFinite(n.out[0]) {
			return false
		}
	}
	return true
}

func (c *code) isRoot(v *value) bool {
	return slices.ContainsFunc(c.roots(), func(r **value) bool { return *r == v })
}
