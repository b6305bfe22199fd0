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

// dense runs a step over all elements: step gets the outputs, the inputs in the same order, and the gradient.
func (c *call[T]) dense(states int, sh shared[T], step func(out, in [3][]T, g []T)) Work {
	n := states + 1
	return Work{cut(c.out[0].Elems(), 2+states).phase(func(lo, hi int) {
		var out, in [3][]T
		for k := range n {
			out[k], in[k] = c.out[k].F[lo:hi], c.in[k].F[lo:hi]
			if sh.shut() && !same(out[k], in[k]) {
				copy(out[k], in[k])
			}
		}
		if !sh.shut() {
			step(out, in, c.in[n].F[lo:hi])
		}
	})}
}

// rowwise runs a step over the rows that the batch touched.
func (c *call[T]) rowwise(states int, sh shared[T], step func(out, in [3][]T, g []T)) Work {
	n := states + 1
	var w Work
	for k := range n {
		w = append(w, carry(c.out[k].F, c.in[k].F, c.in[k].Elems())...)
	}
	g, rows, d := c.in[n], c.in[n+1], c.in[n].Cols()
	return append(w, cut(rows.Elems(), (2+states)*d).phase(func(lo, hi int) {
		if sh.shut() {
			return
		}
		var at [3][]T
		for i := lo; i < hi && rows.I[i] >= 0; i++ {
			for k := range n {
				at[k] = row(c.out[k].F, int(rows.I[i]), d)
			}
			step(at, at, row(g.F, i, d))
		}
	}))
}

// byRows runs a step over all elements, with a gradient of 0 outside of the rows that the batch touched. Those zeros are read from the first-level cache.
func (c *call[T]) byRows(states int, sh shared[T], step func(out, in [3][]T, g []T)) Work {
	n := states + 1
	g, rows, d := c.in[n], c.in[n+1], c.in[n].Cols()
	zeros := make([]T, 1024)
	return Work{cut(c.out[0].Rows(), (2+states)*d).phase(func(lo, hi int) {
		var out, in [3][]T
		for k := range n {
			out[k], in[k] = c.out[k].F[lo*d:hi*d], c.in[k].F[lo*d:hi*d]
			if sh.shut() && !same(out[k], in[k]) {
				copy(out[k], in[k])
			}
		}
		if sh.shut() {
			return
		}
		next := func(g []T) { // steps over the next elements
			step(out, in, g)
			for k := range n {
				out[k], in[k] = out[k][len(g):], in[k][len(g):]
			}
		}
		idle := func(elements int) {
			for ; elements > 0; elements -= min(elements, len(zeros)) {
				next(zeros[:min(elements, len(zeros))])
			}
		}
		at := lo
		for i := firstRow(rows.I, lo); i < len(rows.I) && rows.I[i] >= 0 && int(rows.I[i]) < hi; i++ {
			r := int(rows.I[i])
			idle((r - at) * d)
			next(row(g.F, i, d))
			at = r + 1
		}
		idle((hi - at) * d)
	})}
}

// firstRow is the place of the first of increasing rows, -1 behind them, that is not before lo.
func firstRow(rows []int32, lo int) int {
	return sort.Search(len(rows), func(i int) bool { return rows[i] < 0 || int(rows[i]) >= lo })
}

func (c *call[T]) adam(k kernels.Adam) Work {
	sh := sharedFrom(c.in[4:])
	return c.dense(2, sh, adamStep(c.set, k, sh))
}

func (c *call[T]) rowAdam(k kernels.RowAdam) Work {
	sh := sharedFrom(c.in[5:])
	step := adamStep(c.set, k.Adam, sh)
	if k.Dense {
		return c.byRows(2, sh, step)
	}
	return c.rowwise(2, sh, step)
}

// adamStep is kernels.Adam's formula.
func adamStep[T float](set Set, k kernels.Adam, sh shared[T]) func(out, in [3][]T, g []T) {
	return func(out, in [3][]T, g []T) {
		lr, c1, c2 := float64(sh.rates[0]), float64(sh.rates[1]), T(sh.rates[2])
		decay, shrink := T(k.Decay), T(1)
		if k.Decoupled {
			decay, shrink = 0, T(1-lr*k.Decay)
		}
		scale, step, eps := sh.scale[0], T(lr*c1), T(k.Eps)
		b1, a1, b2, a2 := T(k.B1), T(1-k.B1), T(k.B2), T(1-k.B2)
		if vectors[T](set) {
			adamAll(out, in, g, &[10]float32{float32(scale), float32(decay), float32(b1), float32(a1), float32(b2), float32(a2), float32(c2), float32(eps),
				float32(step), float32(shrink)})
			return
		}
		p, m, v := in[0][:len(g)], in[1][:len(g)], in[2][:len(g)]
		pOut, mOut, vOut := out[0][:len(g)], out[1][:len(g)], out[2][:len(g)]
		for i, gi := range g {
			gi = gi*scale + decay*p[i]
			mi := b1*m[i] + a1*gi
			vi := b2*v[i] + a2*gi*gi
			mOut[i], vOut[i] = mi, vi
			pOut[i] = p[i]*shrink - step*mi/(sqrt(vi*c2)+eps)
		}
	}
}

func (c *call[T]) sgd(k kernels.SGD) Work {
	states := k.States()
	sh := sharedFrom(c.in[states+2:])
	return c.dense(states, sh, func(out, in [3][]T, g []T) {
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
	})
}

func (c *call[T]) adagrad(k kernels.Adagrad) Work {
	sh := sharedFrom(c.in[3:])
	return c.dense(1, sh, adagradStep(c.set, k, sh))
}

func (c *call[T]) rowAdagrad(k kernels.RowAdagrad) Work {
	sh := sharedFrom(c.in[4:])
	return c.rowwise(1, sh, adagradStep(c.set, k.Adagrad, sh))
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
