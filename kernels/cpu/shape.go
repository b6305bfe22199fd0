package cpu

import "nearfar/kernels"

// Fill, Reshape, Concat, Slice, Pad and Permute move elements and compute nothing: one read and one write each.

func (c *call[T]) fill(k kernels.Fill) Work {
	out := c.out[0].F
	return Work{cut(k.Shape.Elems(), 1).phase(func(lo, hi int) {
		for i := range out[lo:hi] {
			out[lo+i] = T(k.Value)
		}
	})}
}

// reshape is needed only where a plan could not make it an alias.
func (c *call[T]) reshape() Work {
	out, in := c.out[0], c.in[0]
	return Work{cut(out.Elems(), 1).phase(func(lo, hi int) {
		switch out.Type {
		case kernels.Int32:
			copy(out.I[lo:hi], in.I[lo:hi])
		case kernels.BFloat16:
			copy(out.B[lo:hi], in.B[lo:hi])
		default:
			copy(out.F[lo:hi], in.F[lo:hi])
		}
	})}
}

// piece is a part of every row of an output: n elements that row o takes from from[o*step + first], or zeros.
type piece[T float] struct {
	n           int
	zero        bool
	from        []T
	first, step int
}

// assemble is an output whose rows are made of pieces. Chunks are cut from the whole output, so that a few long rows share out too.
func assemble[T float](out tensor[T], pieces ...piece[T]) Work {
	row := 0
	for _, p := range pieces {
		row += p.n
	}
	return Work{cut(out.Elems(), 1).phase(func(lo, hi int) {
		for at := lo; at < hi; {
			o, skip := at/row, at%row
			for _, p := range pieces {
				if skip >= p.n {
					skip -= p.n
					continue
				}
				n := min(p.n-skip, hi-at)
				if to := out.F[at : at+n]; p.zero {
					clear(to)
				} else {
					copy(to, p.from[o*p.step+p.first+skip:])
				}
				at, skip = at+n, 0
				if at == hi {
					break
				}
			}
		}
	})}
}

func (c *call[T]) concat(k kernels.Concat) Work {
	var pieces []piece[T]
	for _, x := range c.in {
		_, along, inner := kernels.Around(x.Desc, k.Axis)
		pieces = append(pieces, piece[T]{n: along * inner, from: x.F, step: along * inner})
	}
	return assemble(c.out[0], pieces...)
}

func (c *call[T]) slice(k kernels.Slice) Work {
	x := c.in[0]
	_, along, inner := kernels.Around(x.Desc, k.Axis)
	return assemble(c.out[0], piece[T]{n: (k.End - k.Beg) * inner, from: x.F, first: k.Beg * inner, step: along * inner})
}

func (c *call[T]) pad(k kernels.Pad) Work {
	x := c.in[0]
	_, along, inner := kernels.Around(x.Desc, k.Axis)
	return assemble(c.out[0],
		piece[T]{n: k.Before * inner, zero: true},
		piece[T]{n: along * inner, from: x.F, step: along * inner},
		piece[T]{n: k.After * inner, zero: true})
}

func (c *call[T]) permute(k kernels.Permute) Work {
	return Work{permuted(c.out[0].F, c.in[0].F, c.in[0].Desc, k.Order)}
}

// permuted copies in, of description d, to out so that out's dimension i is d's dimension order[i]. Runs along out's last
// dimension are read with one stride; a run of stride 1 is copied at once.
func permuted[T float](out, in []T, d kernels.Desc, order [kernels.MaxRank]int) Phase {
	var step, stride, dim [kernels.MaxRank]int
	for i, n := d.Rank-1, 1; i >= 0; i-- {
		step[i] = n
		n *= d.Dim[i]
	}
	for i := range d.Rank {
		stride[i], dim[i] = step[order[i]], d.Dim[order[i]]
	}
	if d.Rank == 0 {
		return once(func() { copy(out, in) })
	}
	last := d.Rank - 1
	run := dim[last]
	return cut(d.Elems()/max(1, run), 2*run).phase(func(lo, hi int) {
		for r := lo; r < hi; r++ {
			from, rest := 0, r
			for i := last - 1; i >= 0; i-- {
				from += rest % dim[i] * stride[i]
				rest /= dim[i]
			}
			to := out[r*run : r*run+run]
			if stride[last] == 1 {
				copy(to, in[from:])
				continue
			}
			for j := range to {
				to[j] = in[from]
				from += stride[last]
			}
		}
	})
}
