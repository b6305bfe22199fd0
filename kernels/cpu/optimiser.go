package cpu

import (
	"sort"

	"nearfar/kernels"
)

// Optimisers: one pass over parameters, state and gradient, in the precision of the parameters; coefficients that do not change
// within the step are formed in float64. In float32 Adam moves 28 bytes a parameter, Adagrad 20, SGD 12 or 20; 3 to 14 FLOPs.
//
// Adam of 70k x 64, in place, by AVX2 on one thread of a Zen 4: 2.6 ms, 49 GB/s of some 52 that reading and writing reach (plain Go: 17.6 ms; 2026-11-25). Of 63,001 x 4096, 2,048 rows
// of the gradient given: 143 ms, and 223 where all of it is read.
//
// Every output may lie on its input. A gate of 0 leaves them as they were.

// shared is the last three inputs of every optimiser.
type shared[T float] struct{ rates, scale, gate []T }

func sharedFrom[T float](in []tensor[T]) shared[T] { return shared[T]{in[0].F, in[1].F, in[2].F} }

func (s shared[T]) shut() bool { return s.gate[0] == 0 }

// An update takes elements of the parameter, from `at` on: of their state in from and the gradient g it makes the outputs.
type update[T float] func(from []tensor[T], at int, g []T)

// keep brings elements of the parameter and its state to outputs that are elsewhere.
func (c *call[T]) keep(lo, hi int) {
	for k, out := range c.out {
		keepPart(out.F, c.in[k].F, lo, hi)
		keepPart(out.B, c.in[k].B, lo, hi)
	}
}

func keepPart[E any](out, in []E, lo, hi int) {
	if out != nil && !same(out, in) {
		copy(out[lo:hi], in[lo:hi])
	}
}

// dense runs a step over all elements.
func (c *call[T]) dense(sh shared[T], step update[T]) Work {
	g := c.in[len(c.out)]
	return Work{cut(g.Elems(), 1+len(c.out)).phase(func(lo, hi int) {
		if sh.shut() {
			c.keep(lo, hi)
			return
		}
		step(c.in, lo, g.F[lo:hi])
	})}
}

// rowwise runs a step over the rows that the batch touched.
func (c *call[T]) rowwise(sh shared[T], step update[T]) Work {
	var w Work
	for k, out := range c.out {
		if in := c.in[k]; in.Type == kernels.BFloat16 {
			w = append(w, carry(out.B, in.B, in.Elems())...)
		} else {
			w = append(w, carry(out.F, in.F, in.Elems())...)
		}
	}
	n := len(c.out)
	g, rows, d := c.in[n], c.in[n+1], c.in[n].Cols()
	return append(w, cut(rows.Elems(), (1+n)*d).phase(func(lo, hi int) {
		for i := lo; i < hi && rows.I[i] >= 0 && !sh.shut(); i++ {
			step(c.out, int(rows.I[i])*d, row(g.F, i, d))
		}
	}))
}

// byRows runs a step over all elements, with a gradient of 0 outside of the rows that the batch touched. Those zeros are read from the first-level cache.
func (c *call[T]) byRows(sh shared[T], step update[T]) Work {
	n := len(c.out)
	g, rows, d := c.in[n], c.in[n+1], c.in[n].Cols()
	zeros := make([]T, 1024)
	return Work{cut(c.out[0].Rows(), (1+n)*d).phase(func(lo, hi int) {
		if sh.shut() {
			c.keep(lo*d, hi*d)
			return
		}
		idle := func(at, end int) {
			for ; at < end; at += len(zeros) {
				step(c.in, at, zeros[:min(end-at, len(zeros))])
			}
		}
		at := lo
		for i := firstRow(rows.I, lo); i < len(rows.I) && rows.I[i] >= 0 && int(rows.I[i]) < hi; i++ {
			r := int(rows.I[i])
			idle(at*d, r*d)
			step(c.in, r*d, row(g.F, i, d))
			at = r + 1
		}
		idle(at*d, hi*d)
	})}
}

// firstRow is the place of the first of increasing rows, -1 behind them, that is not before lo.
func firstRow(rows []int32, lo int) int {
	return sort.Search(len(rows), func(i int) bool { return rows[i] < 0 || int(rows[i]) >= lo })
}

// whole is the step of a formula over tensors that are all in the precision of the parameter.
func (c *call[T]) whole(formula func(out, in [3][]T, g []T)) update[T] {
	return func(from []tensor[T], at int, g []T) {
		var out, in [3][]T
		for k := range c.out {
			out[k], in[k] = c.out[k].F[at:at+len(g)], from[k].F[at:at+len(g)]
		}
		formula(out, in, g)
	}
}

func (c *call[T]) adam(k kernels.Adam) Work {
	sh, step := c.adamStep(k)
	return c.dense(sh, step)
}

func (c *call[T]) rowAdam(k kernels.RowAdam) Work {
	sh, step := c.adamStep(k.Adam)
	if k.Dense {
		return c.byRows(sh, step)
	}
	return c.rowwise(sh, step)
}

func (c *call[T]) adamStep(k kernels.Adam) (shared[T], update[T]) {
	last := len(c.in) - 3
	f := &adam[T]{k, sharedFrom(c.in[last:]), c.set}
	if k.Moments16 {
		return f.shared, c.rounded(f, c.in[last-1])
	}
	return f.shared, c.whole(f.do)
}

// adam is kernels.Adam's formula.
type adam[T float] struct {
	kernels.Adam
	shared[T]
	set Set
}

// coefficients are what a step multiplies by.
type coefficients[T float] struct{ scale, decay, b1, a1, b2, a2, c2, eps, step, shrink T }

func (k *adam[T]) coefficients() coefficients[T] {
	lr, c1 := float64(k.rates[0]), float64(k.rates[1])
	decay, shrink := T(k.Decay), T(1)
	if k.Decoupled {
		decay, shrink = 0, T(1-lr*k.Decay)
	}
	return coefficients[T]{k.scale[0], decay, T(k.B1), T(1 - k.B1), T(k.B2), T(1 - k.B2), T(k.rates[2]), T(k.Eps), T(lr * c1), shrink}
}

// singles are those of the assembly.
func (k *coefficients[T]) singles() [10]float32 {
	return [10]float32{float32(k.scale), float32(k.decay), float32(k.b1), float32(k.a1), float32(k.b2), float32(k.a2), float32(k.c2), float32(k.eps),
		float32(k.step), float32(k.shrink)}
}

// element is the step of one element.
func (k *coefficients[T]) element(p, m, v, g T) (T, T, T) {
	g = g*k.scale + k.decay*p
	m = k.b1*m + k.a1*g
	v = k.b2*v + k.a2*g*g
	return p*k.shrink - k.step*m/(sqrt(v*k.c2)+k.eps), m, v
}

func (k *adam[T]) do(out, in [3][]T, g []T) {
	c := k.coefficients()
	if vectors[T](k.set) {
		singles := c.singles()
		adamAll(out, in, g, &singles)
		return
	}
	p, m, v := in[0][:len(g)], in[1][:len(g)], in[2][:len(g)]
	pOut, mOut, vOut := out[0][:len(g)], out[1][:len(g)], out[2][:len(g)]
	for i, gi := range g {
		pOut[i], mOut[i], vOut[i] = c.element(p[i], m[i], v[i], gi)
	}
}

func (c *call[T]) sgd(k kernels.SGD) Work {
	states := k.States()
	sh := sharedFrom(c.in[states+2:])
	return c.dense(sh, c.whole(func(out, in [3][]T, g []T) {
		lr, scale, decay, momentum := sh.rates[0], sh.scale[0], T(k.Decay), T(k.Momentum)
		if vectors[T](c.set) {
			sgdAll(k, out, in, g, float32(scale), float32(lr))
			return
		}
		p, pOut := in[0][:len(g)], out[0][:len(g)]
		if states == 0 {
			for i, gi := range g {
				pOut[i] = p[i] - lr*(gi*scale+decay*p[i])
			}
			return
		}
		b, bOut := in[1][:len(g)], out[1][:len(g)]
		for i, gi := range g {
			gi = gi*scale + decay*p[i]
			bi := momentum*b[i] + gi
			bOut[i] = bi
			if k.Nesterov {
				bi = gi + momentum*bi
			}
			pOut[i] = p[i] - lr*bi
		}
	}))
}

func (c *call[T]) adagrad(k kernels.Adagrad) Work {
	sh := sharedFrom(c.in[3:])
	return c.dense(sh, c.whole(adagradStep(c.set, k, sh)))
}

func (c *call[T]) rowAdagrad(k kernels.RowAdagrad) Work {
	sh := sharedFrom(c.in[4:])
	return c.rowwise(sh, c.whole(adagradStep(c.set, k.Adagrad, sh)))
}

// adagradStep is kernels.Adagrad's formula.
func adagradStep[T float](set Set, k kernels.Adagrad, sh shared[T]) func(out, in [3][]T, g []T) {
	return func(out, in [3][]T, g []T) {
		lr, scale, decay, eps := sh.rates[0], sh.scale[0], T(k.Decay), T(k.Eps)
		if vectors[T](set) {
			adagradAll(k, out, in, g, float32(scale), float32(lr))
			return
		}
		p, s := in[0][:len(g)], in[1][:len(g)]
		pOut, sOut := out[0][:len(g)], out[1][:len(g)]
		for i, gi := range g {
			gi = gi*scale + decay*p[i]
			si := s[i] + gi*gi
			sOut[i] = si
			pOut[i] = p[i] - lr*gi/(sqrt(si)+eps)
		}
	}
}
