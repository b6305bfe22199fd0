package cpu

import (
	"math"

	"nearfar/kernels"
)

// LogSumExpGrad: p_bn = g_b e^(s_bn - lse_b);  dX = Scale · P Y;  dY = Scale · Pᵀ X;  dbias_n = Σ_b p_bn.
//
// dX goes by blocks of rows and dY by blocks of columns; both form the logits again, so that nothing of size B x N is stored and
// every output has one owner. 8·B·N·d FLOPs. It is chosen where lse is read before g is known, or where
// LogSumExpWithGrad would need too much memory.

// lseGrad is a bound LogSumExpGrad.
type lseGrad[T float] struct {
	*logits[T]
	lse, g       []T
	dx, dy, bias []T
	weighted     []T // X · Scale · sent, 0 for a row that sends nothing [B, d]
	sent         []T // what e^s, or e^(s - lse) of logits that nothing bounds, is multiplied by; 0 for a row that sends nothing [B]
}

func (c *call[T]) logSumExpGrad(k kernels.LogSumExpGrad) Work {
	if k.Scale == 0 {
		return nil
	}
	l := &lseGrad[T]{logits: newLogits(c, k.Similarity, 2), lse: c.in[2].F, g: c.in[3].F, dx: c.out[0].F, dy: c.out[1].F}
	if k.Biased {
		l.bias = c.out[2].F
	}
	l.weighted = take[T](c.arena, l.rows*l.d)
	l.sent = take[T](c.arena, l.rows)
	return append(l.prepare(),
		cut(l.rows, l.d).phase(l.send),
		span{l.rows, logitRows}.phase(l.rowBlock),
		span{l.cols, logitCols}.phase(l.colBlock))
}

// send prepares what rows lo..hi contribute.
func (l *lseGrad[T]) send(lo, hi int) {
	for b := lo; b < hi; b++ {
		w := row(l.weighted, b, l.d)
		if l.silent(b) {
			l.sent[b] = 0
			clear(w)
			continue
		}
		l.sent[b] = l.g[b]
		if l.unshifted() {
			l.sent[b] = T(float64(l.g[b]) * math.Exp(-float64(l.lse[b])))
		}
		by := T(l.Scale) * l.sent[b]
		for k, v := range row(l.x, b, l.d) {
			w[k] = v * by
		}
	}
}

// silent tells a row without gradient.
func (l *lseGrad[T]) silent(b int) bool {
	return l.absent(b) || l.g[b] == 0 || math.IsInf(float64(l.lse[b]), -1)
}

// probabilities writes what sent makes probabilities of, 0 in rows without gradient whatever their logits are.
func (l *lseGrad[T]) probabilities(e []T, i0, i1, j0, j1 int) {
	unshifted := l.unshifted()
	if unshifted {
		var unused [logitRows]runningSum
		l.powers(e, i0, i1, j0, j1, unused[:])
	} else {
		l.tile(e, i0, i1, j0, j1)
	}
	for b := i0; b < i1; b++ {
		r := e[(b-i0)*logitCols:][:j1-j0]
		if l.silent(b) {
			clear(r)
		} else if !unshifted {
			l.exponentials(r, j0, l.lse[b])
		}
	}
}

func (l *lseGrad[T]) rowBlock(i0, i1 int) {
	clear(l.dx[i0*l.d : i1*l.d])
	i1 = min(i1, l.liveRows)
	if i0 >= i1 {
		return
	}
	var e [logitTile]T
	for j := 0; j < l.liveCols; j += logitCols {
		end := min(j+logitCols, l.liveCols)
		l.probabilities(e[:], i0, i1, j, end)
		multiply(l.set, l.dx[i0*l.d:], l.d, e[:], logitCols, 1, l.y[j*l.d:], l.d, i1-i0, l.d, end-j)
	}
	for b := i0; b < i1; b++ {
		scaleRow(row(l.dx, b, l.d), T(l.Scale)*l.sent[b], l.silent(b))
	}
}

// scaleRow multiplies; nothing sent is 0 even where the row holds NaN.
func scaleRow[T float](x []T, by T, silent bool) {
	if silent {
		clear(x)
		return
	}
	for k := range x {
		x[k] *= by
	}
}

func (l *lseGrad[T]) colBlock(j0, j1 int) {
	clear(l.dy[j0*l.d : j1*l.d])
	if l.bias != nil {
		clear(l.bias[j0:j1])
	}
	j1 = min(j1, l.liveCols)
	if j0 >= j1 {
		return
	}
	var e [logitTile]T
	for i := 0; i < l.liveRows; i += logitRows {
		end := min(i+logitRows, l.liveRows)
		l.probabilities(e[:], i, end, j0, j1)
		multiply(l.set, l.dy[j0*l.d:], l.d, e[:], 1, logitCols, l.weighted[i*l.d:], l.d, j1-j0, l.d, end-i)
		if l.bias != nil {
			multiply(l.set, l.bias[j0:], 0, l.sent[i:], 0, 1, e[:], logitCols, 1, j1-j0, end-i)
		}
	}
}
