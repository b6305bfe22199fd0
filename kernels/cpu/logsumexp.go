package cpu

import "nearfar/kernels"

// LogSumExp: lse_b = ln Σ_n e^(s_bn), streaming over tiles of 48 x 192 logits.
//
// 2·B·N·d FLOPs and about 25·B·N for the exponentials; reads Y once for each 48 rows of X, from the L2 cache; never
// stores B x N. Where Bound is small e^s is summed as it is, in the registers that form it, else about the running maximum.
//
// Of 118 GF/s that the FMAs of one Zen 4 core can do, at B 2048, N 38,000 and d 64 (November 2026): 96 in AVX-512, 95 in AVX2; 8 of what is missing are
// the exponentials.

// lseGroup is the elements of Y in a group of columns: 512 KiB of float32 stay in the L2 cache while the rows of X pass over them.
const lseGroup = 1 << 17

func (c *call[T]) logSumExp(k kernels.LogSumExp) Work {
	if k.Scale == 0 {
		return nil // an excluded pair could not be told from 0·Inf
	}
	l := newLogits(c, k.Similarity, 0)
	rows, cols := span{l.rows, logitRows}, span{l.cols, max(1, lseGroup/(max(1, l.d)*logitCols)) * logitCols}
	strips, groups := rows.chunks(), cols.chunks()
	part := take[runningSum](c.arena, groups*l.rows)
	return append(l.prepare(),
		Phase{strips * groups, func(chunk int) {
			i0, i1 := rows.at(chunk % strips)
			j0, j1 := cols.at(chunk / strips)
			l.sums(part[chunk/strips*l.rows:], i0, i1, j0, min(j1, l.liveCols))
		}},
		cut(l.rows, 16*groups).phase(func(lo, hi int) {
			for b := lo; b < hi; b++ {
				c.out[0].F[b] = 0
				if l.absent(b) {
					continue
				}
				s := l.noSum()
				for g := range groups {
					s.merge(part[g*l.rows+b])
				}
				c.out[0].F[b] = T(s.log())
			}
		}))
}

// sums forms the sums of rows i0..i1 over columns j0..j1.
func (l *logits[T]) sums(to []runningSum, i0, i1, j0, j1 int) {
	for b := i0; b < i1; b++ {
		to[b] = l.noSum()
	}
	if i0 >= l.liveRows {
		return
	}
	i1 = min(i1, l.liveRows)
	var e [logitTile]T
	for j := j0; j < j1; j += logitCols {
		end := min(j+logitCols, j1)
		if l.unshifted() {
			l.powers(e[:], i0, i1, j, end, to[i0:i1])
			continue
		}
		l.tile(e[:], i0, i1, j, end)
		for b := i0; b < i1; b++ {
			r := e[(b-i0)*logitCols:][:end-j]
			top := l.settle(r, j)
			to[b].merge(runningSum{float64(top), exponentials(l.set, r, nil, 1, shiftFor(top))})
		}
	}
}
