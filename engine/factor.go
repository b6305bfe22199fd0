package engine

import (
	"slices"

	"nearfar/kernels"
)

// factorSums flattens sums of tensors of one shape and takes what is common out of them:
//
//	c1·A x1 + c2·A x2 + rest  ->  A (c1·x1 + c2·x2) + rest      (SpMM over one matrix)
//	rest + scatter(g1) + scatter(g2)  ->  scatter g2 onto (scatter g1 onto rest)
//
// The first needs no knowledge of models and saves SimGCL at three layers 8 of 18 products; the second saves a pass over the whole
// table for each index list. Between them equal sums become one: every layer of a propagation adds the readout's gradient to what comes back
// from the layer behind, so that the scatters of all views are one table, which is read once a layer.
func (c *code) factorSums() {
	c.rewriteSums(c.factor)
	c.number()
	c.rewriteSums(c.scatterOnto)
}

// rewriteSums asks rewrite for another form of each sum that is not a part of a sum, until there is none.
func (c *code) rewriteSums(rewrite func(terms []term, alone func(*value) bool) *value) {
	for again := true; again; {
		again = false
		uses := c.uses()
		linearReader := map[*value]bool{} // read by one linear instruction of its shape only
		for _, n := range c.insts {
			if _, ok := linear(n); ok {
				for _, v := range n.in {
					linearReader[v] = uses[v] == 1
				}
			}
		}
		for _, n := range slices.Backward(c.insts) {
			if _, ok := linear(n); !ok || linearReader[n.out[0]] {
				continue
			}
			alone := func(v *value) bool { return v.def != nil && uses[v] == 1 }
			if by := rewrite(flatten(n, 1, uses, nil), alone); by != nil {
				c.replace(n.out[0], by)
				c.sort()
				again = true
				break
			}
		}
	}
}

// term is c · v of a sum.
type term struct {
	c float64
	v *value
}

// linear gives an instruction as a sum of its operands, where it is one and nothing broadcasts.
func linear(n *inst) ([]term, bool) {
	m, ok := n.k.(kernels.Map)
	if !ok || m.Len() != 1 {
		return nil, false
	}
	for _, v := range n.in {
		if !v.desc.SameShape(n.out[0].desc) || v.desc.Rank == 0 || !v.desc.Type.IsFloat() {
			return nil, false
		}
	}
	i := m.Code[0]
	switch i.Op {
	case kernels.Add:
		return []term{{1, n.in[i.A]}, {1, n.in[i.B]}}, true
	case kernels.Sub:
		return []term{{1, n.in[i.A]}, {-1, n.in[i.B]}}, true
	case kernels.Neg:
		return []term{{-1, n.in[0]}}, true
	case kernels.Scale:
		return []term{{i.Imm, n.in[0]}}, true
	}
	return nil, false
}

// flatten adds c · n's value to terms, through values that nothing else reads.
func flatten(n *inst, c float64, uses map[*value]int, terms []term) []term {
	l, _ := linear(n)
	for _, t := range l {
		if t.v.def != nil && uses[t.v] == 1 {
			if _, ok := linear(t.v.def); ok {
				terms = flatten(t.v.def, c*t.c, uses, terms)
				continue
			}
		}
		at := slices.IndexFunc(terms, func(s term) bool { return s.v == t.v })
		if at < 0 {
			terms = append(terms, term{c * t.c, t.v})
		} else {
			terms[at].c += c * t.c
		}
	}
	return terms
}

// factor takes a matrix out of a sum, or returns nil where none is common.
func (c *code) factor(terms []term, alone func(*value) bool) *value {
	for i, t := range terms {
		if !alone(t.v) {
			continue
		}
		k, ok := t.v.def.k.(kernels.SpMM)
		if !ok {
			continue
		}
		inner, rest := []term{{t.c, t.v.def.in[0]}}, slices.Clone(terms[:i])
		for _, s := range terms[i+1:] {
			if alone(s.v) && s.v.def.k == kernels.Kernel(k) && slices.Equal(s.v.def.in[1:], t.v.def.in[1:]) && s.v.def.in[0].desc == t.v.def.in[0].desc {
				inner = append(inner, term{s.c, s.v.def.in[0]})
			} else {
				rest = append(rest, s)
			}
		}
		if len(inner) == 1 {
			continue
		}
		product := c.emit(k, t.v.def.from, append([]*value{c.sum(inner)}, t.v.def.in[1:]...)...)
		return c.sum(append(rest, term{1, product.out[0]}))
	}
	return nil
}

// number makes equal instructions one, as the lift did: rewrites have made more.
func (c *code) number() {
	known := map[numbered]*inst{}
	for _, n := range c.insts { // operands first, so that they are one already
		at := number(n.k, n.in)
		first := known[at]
		if first == nil {
			known[at] = n
			continue
		}
		for i, v := range n.out {
			c.replace(v, first.out[i])
		}
	}
	c.sort()
}

// scatterOnto adds scattered rows into the rest of the sum instead of into tables of their own.
func (c *code) scatterOnto(terms []term, alone func(*value) bool) *value {
	var scatters, rest []term
	for _, t := range terms {
		if alone(t.v) {
			if k, ok := t.v.def.k.(kernels.ScatterAdd); ok && !k.Onto {
				scatters = append(scatters, t)
				continue
			}
		}
		rest = append(rest, t)
	}
	if len(scatters) == 0 || len(scatters)+len(rest) < 2 {
		return nil
	}
	var base *value
	if len(rest) > 0 {
		base = c.sum(rest)
	}
	for _, t := range scatters {
		k := t.v.def.k.(kernels.ScatterAdd)
		in := slices.Clone(t.v.def.in)
		in[0] = c.sum([]term{{t.c, in[0]}})
		if base != nil {
			k.Onto = true
			in = append([]*value{base}, in...)
		}
		i := c.emit(k, t.v.def.from, in...)
		if !c.runs(i) {
			return nil
		}
		base = i.out[0]
	}
	return base
}

// sum writes terms as a chain of Maps, which fuseMaps makes one.
func (c *code) sum(terms []term) *value {
	var s *value
	for _, t := range terms {
		v := t.v
		if t.c != 1 {
			v = c.emit(kernels.WithImm(kernels.Scale, t.c), "sum", v).out[0]
		}
		if s == nil {
			s = v
		} else {
			s = c.emit(kernels.Binary(kernels.Add), "sum", s, v).out[0]
		}
	}
	return s
}
