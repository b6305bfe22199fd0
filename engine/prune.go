package engine

import (
	"math"
	"slices"

	"nearfar/kernels"
)

// pruneRows computes a table at the rows that are read of it, where nothing reads it whole:
//
//	(A x)[id]       ->  A[id] x           (SpMM: beg, end and rowScale at id)
//	f(x, y)[id]     ->  f(x[id], y[id])   (Map, NormaliseRows)
//	Random(..)[id]  ->  Random(.., id)
//
// A loss over a batch reads a propagation's last layer, the noise on it, and the mean of all layers at the batch's rows only: of yelp2018, 2,048 users,
// positives and negatives are a twelfth, and have a sixth of the edges: with one table for all scatters (factorSums), a step of SimGCL went from 456 to
// 333 ms of one thread, of LightGCN from 131 to 116 (Zen 4, 2026-11-25). A loss that contrasts with all nodes reads everything, and nothing changes. A row
// is computed as before, so results are the same to the bit; in half precision such a product is one of float32 (halveWhole), and they are more exact.
func (c *code) pruneRows() {
	p := pruning{code: c, readers: map[*value][]*inst{}, roots: map[*value]bool{}, read: map[*value]reading{}, rows: map[rowsOf]*value{}}
	for _, n := range c.insts {
		for _, v := range n.in {
			p.readers[v] = append(p.readers[v], n)
		}
	}
	for _, r := range c.roots() {
		p.roots[*r] = true
	}
	var gathers []*inst
	for _, n := range c.insts {
		if _, ok := n.k.(kernels.Gather); !ok {
			continue
		}
		if p.reads(n.in[0]).few {
			gathers = append(gathers, n)
		} else {
			p.rows[rowsOf{n.in[0], n.in[1]}] = n.out[0]
		}
	}
	for _, n := range gathers {
		c.replace(n.out[0], p.at(n.in[0], n.in[1]))
	}
	c.sort()
}

type pruning struct {
	*code
	readers map[*value][]*inst
	roots   map[*value]bool
	read    map[*value]reading
	rows    map[rowsOf]*value // made or found
}

type rowsOf struct{ table, id *value }

// reading is how a table is read.
type reading struct {
	few bool     // at ids alone, and so few that its other rows are left out
	ids []*value // which
}

// rowsForEach is how many rows a table must have for each that is read of it. What a batch reads is popular: its rows have two to three times the
// edges of the mean.
const rowsForEach = 3

// reads finds how a table is read: by Gather, or row by row for what is itself read so.
func (p *pruning) reads(v *value) reading {
	if r, known := p.read[v]; known {
		return r
	}
	r := reading{few: v.def != nil && !p.roots[v] && v.out == 0 && byRows(v.def) && !slices.ContainsFunc(v.def.out[1:], p.isRead)}
	total := 0
	for _, n := range p.readers[v] {
		if !r.few {
			break
		}
		ids := []*value{n.in[len(n.in)-1]}
		switch n.k.(type) {
		case kernels.Gather:
		case kernels.Map, kernels.NormaliseRows:
			next := p.reads(n.out[0])
			r.few, ids = next.few, next.ids
		default:
			r.few = false
		}
		for _, id := range ids {
			if !slices.Contains(r.ids, id) {
				r.ids = append(r.ids, id)
				total += id.desc.Elems()
			}
		}
	}
	r.few = r.few && total > 0 && rowsForEach*total <= v.desc.Dim[0]
	p.read[v] = r
	return r
}

func (p *pruning) isRead(v *value) bool { return p.roots[v] || len(p.readers[v]) > 0 }

// byRows tells whether an instruction can compute some rows of its first output alone, and zeros for the row of id -1, as Gather gives.
func byRows(n *inst) bool {
	if n.out[0].desc.Rank != 2 {
		return false
	}
	switch k := n.k.(type) {
	case kernels.SpMM:
		return true
	case kernels.NormaliseRows:
		return k.Eps > 0 // else a row of zeros is not
	case kernels.Random:
		return !k.Rows
	case kernels.Map:
		return keepsZeros(n)
	}
	return false
}

// keepsZeros tells whether a Map of inputs like its output is 0 where they are, and not -0.
func keepsZeros(n *inst) bool {
	zero := []kernels.Tensor64{kernels.NewTensor64(kernels.Of(kernels.Float64))}
	n.k.Ref(zero, slices.Repeat(zero, len(n.in)))
	return math.Float64bits(zero[0].F[0]) == 0 && !slices.ContainsFunc(n.in, func(v *value) bool { return v.desc != n.out[0].desc })
}

// at is table v's rows id.
func (p *pruning) at(v, id *value) *value {
	key := rowsOf{v, id}
	if p.rows[key] == nil {
		p.rows[key] = p.compute(v, id)
	}
	return p.rows[key]
}

func (p *pruning) compute(v, id *value) *value {
	gathered := func() *value { return p.emit(kernels.Gather{}, "Gather", v, id).out[0] }
	if !p.reads(v).few {
		return gathered()
	}
	k, in, from := v.def.k, slices.Clone(v.def.in), v.def.from
	switch r := k.(type) {
	case kernels.SpMM:
		from += " at rows"
		in[1], in[2] = p.at(in[1], id), p.at(in[2], id)
		if r.Scaled {
			in[4] = p.at(in[4], id)
		}
	case kernels.Random:
		r.Rows, r.Shape.Dim[0] = true, id.desc.Dim[0]
		k, in, from = r, append(in, id), from+" at rows"
	default:
		for i := range in {
			in[i] = p.at(in[i], id)
		}
	}
	n := p.emit(k, from, in...)
	if !p.runs(n) {
		return gathered()
	}
	return n.out[0]
}

// edgesRead describes the operands of an instruction as cost wants them: a product at rows has the edges of as many mean rows.
func edgesRead(n *inst) []kernels.Desc {
	d := descs(n.in)
	if _, product := n.k.(kernels.SpMM); product && n.in[1].def != nil {
		if _, some := n.in[1].def.k.(kernels.Gather); some {
			const col = 3
			d[col].Dim[0] = int(int64(d[col].Dim[0]) * int64(n.in[1].desc.Dim[0]) / int64(n.in[1].def.in[0].desc.Dim[0]))
		}
	}
	return d
}
