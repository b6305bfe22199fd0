package engine

import (
	"math"
	"slices"

	"nearfar/kernels"
)

// markZeroRows tells SpMM where its X has few rows that are not zeros: the gradient of a loss over a batch, on its way back from the batch's rows, which
// are a seventh of yelp2018's at most. One of a step's products is such a one, and then takes half the time.
func (c *code) markZeroRows() {
	for _, n := range c.insts {
		k, ok := n.k.(kernels.SpMM)
		if !ok {
			continue
		}
		ids, all := filledRows(n.in[0], nil)
		total := 0
		for _, id := range ids {
			total += id.desc.Elems()
		}
		if k.ZeroRows = !all && zeroRows*total <= n.in[0].desc.Rows(); k.ZeroRows {
			n.k = k
		}
	}
}

// zeroRows is how many rows a table must have for each that may not be zeros: looking for them takes as long as a quarter of the product.
const zeroRows = 2

// filledRows adds the ids of the rows of a table that are perhaps not zeros, each list once; all where they are not known.
func filledRows(v *value, ids []*value) (_ []*value, all bool) {
	if v.def == nil || v.desc.Rank != 2 {
		return nil, true
	}
	switch k := v.def.k.(type) {
	case kernels.ScatterAdd:
		id := v.def.in[1]
		if k.Onto {
			if ids, all = filledRows(v.def.in[0], ids); all {
				return nil, true
			}
			id = v.def.in[2]
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
		return ids, false
	case kernels.Map:
		if !keepsZeros(v.def) {
			return nil, true
		}
		for _, in := range v.def.in {
			if ids, all = filledRows(in, ids); all {
				return nil, true
			}
		}
		return ids, false
	}
	return nil, true
}

// keepsZeros tells whether a Map of inputs like its output is 0 where they are.
func keepsZeros(n *inst) bool {
	zero := []kernels.Tensor64{kernels.NewTensor64(kernels.Of(kernels.Float64))}
	n.k.Ref(zero, slices.Repeat(zero, len(n.in)))
	return math.Float64bits(zero[0].F[0]) == 0 && !slices.ContainsFunc(n.in, func(v *value) bool { return v.desc != n.out[0].desc })
}
