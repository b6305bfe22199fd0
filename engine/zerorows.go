package engine

import (
	"slices"

	"nearfar/kernels"
)

// markZeroRows tells SpMM where its X has few rows that are not zeros: the gradient of a loss over a batch, on its way back from the batch's rows, which
// are a seventh of yelp2018's at most. The first product of each way back is such a one, and then takes half the time.
func (c *code) markZeroRows() {
	f := filling{}
	for _, n := range c.insts {
		k, ok := n.k.(kernels.SpMM)
		if !ok {
			continue
		}
		rows := f.of(n.in[0])
		total := 0
		for _, id := range rows.ids {
			total += id.desc.Elems()
		}
		each := zeroRows
		if k.Half {
			each = zeroRowsHalf
		}
		if k.ZeroRows = !rows.all && each*total <= n.in[0].desc.Rows(); k.ZeroRows {
			n.k = k
		}
	}
}

// How many rows a table must have for each id of those that may not be zeros. Ids are popular: with a third of the rows they have nearly half the edges,
// and to leave the others out takes a quarter of the product. In half precision the whole product is faster, and what is left loses that.
const (
	zeroRows     = 3
	zeroRowsHalf = 6
)

// filling finds which rows of tables are perhaps not zeros.
type filling map[*value]filled

// filled is those in lists of ids, or all.
type filled struct {
	ids []*value // each once
	all bool
}

func (f filling) of(v *value) filled {
	rows, known := f[v]
	if !known {
		rows = f.find(v)
		f[v] = rows
	}
	return rows
}

func (f filling) find(v *value) filled {
	if v.def == nil || v.desc.Rank != 2 {
		return filled{all: true}
	}
	switch k := v.def.k.(type) {
	case kernels.ScatterAdd:
		if k.Onto {
			return f.of(v.def.in[0]).with(v.def.in[2])
		}
		return filled{ids: []*value{v.def.in[1]}}
	case kernels.Map:
		if !keepsZeros(v.def) {
			return filled{all: true}
		}
		rows := filled{}
		for _, in := range v.def.in {
			more := f.of(in)
			rows.all = rows.all || more.all
			rows = rows.with(more.ids...)
		}
		return rows
	}
	return filled{all: true}
}

func (r filled) with(ids ...*value) filled {
	r.ids = slices.Clone(r.ids)
	for _, id := range ids {
		if !slices.Contains(r.ids, id) {
			r.ids = append(r.ids, id)
		}
	}
	return r
}
