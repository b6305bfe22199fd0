package cpu

import (
	"math"
	"sort"

	"nearfar/kernels"
)

// The tiles that the contrastive kernels stream over. A tile of logits takes part in its products while it is in the L1 cache.
const (
	logitRows  = 24
	logitCols  = 240 // whole panels of 16 and whole sixes
	logitTile  = logitRows * logitCols
	panelWidth = 16
)

// maxUnshifted is the largest bound of logits that are summed as e^s, without a maximum: e^±40 and a sum of 10^20 of them are normal float32
// numbers. (Temperature 0.025; below it, the running maximum.)
const maxUnshifted = 40

// logits forms tiles of s_bn = Scale · <x_b, y_n> + bias_n, -Inf for an excluded pair. A tile holds the inner products at first; scale and
// bias are applied by the pass that follows, with one rounding each.
type logits[T float] struct {
	set Set
	kernels.Similarity
	rows, cols, d int // B, N
	x, y          []T
	bias, weight  []T
	exRow, exCol  []int32
	panels        []T // Yᵀ in panels [N/16][d][16]
	liveRows      int // behind these every weight is 0
	liveCols      int // behind these every bias is -Inf
	pairs         int // behind these exRow is -1
}

// newLogits reads the inputs of a kernel that adds `added` of its own.
func newLogits[T float](c *call[T], s kernels.Similarity, added int) *logits[T] {
	x, y := c.in[0], c.in[1]
	l := &logits[T]{set: c.set, Similarity: s, rows: x.Dim[0], cols: y.Dim[0], d: x.Dim[1], x: x.F, y: y.F}
	bias, weight, row, col := s.Places(added)
	if bias >= 0 {
		l.bias = c.in[bias].F
	}
	if weight >= 0 {
		l.weight = c.in[weight].F
	}
	if row >= 0 {
		l.exRow, l.exCol = c.in[row].I, c.in[col].I
	}
	l.panels = take[T](c.arena, roundUp(l.cols, panelWidth)*l.d)
	return l
}

// prepare finds what is live and packs Y. Unique ids of a batch leave only a part of rows and columns live.
func (l *logits[T]) prepare() Work {
	return Work{
		once(l.trim),
		cut(roundUp(l.cols, panelWidth)/panelWidth, 2*panelWidth*l.d).phase(func(lo, hi int) {
			for p := lo; p < hi && p*panelWidth < l.liveCols; p++ {
				l.pack(p)
			}
		}),
	}
}

func (l *logits[T]) trim() {
	l.liveRows, l.liveCols, l.pairs = l.rows, l.cols, len(l.exRow)
	for l.weight != nil && l.liveRows > 0 && l.weight[l.liveRows-1] == 0 {
		l.liveRows--
	}
	for l.bias != nil && l.liveCols > 0 && math.IsInf(float64(l.bias[l.liveCols-1]), -1) {
		l.liveCols--
	}
	for l.pairs > 0 && l.exRow[l.pairs-1] < 0 {
		l.pairs--
	}
}

// pack writes panel p: element (k, j) is y[16p + j, k], or 0 behind the last row of Y.
func (l *logits[T]) pack(p int) {
	to := l.panels[p*panelWidth*l.d:][:panelWidth*l.d]
	for j := range panelWidth {
		n := p*panelWidth + j
		if n >= l.cols {
			for k := range l.d {
				to[k*panelWidth+j] = 0
			}
			continue
		}
		for k, v := range row(l.y, n, l.d) {
			to[k*panelWidth+j] = v
		}
	}
}

// absent tells a row that takes no part.
func (l *logits[T]) absent(b int) bool {
	return b >= l.liveRows || l.weight != nil && l.weight[b] == 0
}

// unshifted tells that e^s needs no maximum.
func (l *logits[T]) unshifted() bool { return l.Bound > 0 && l.Bound <= maxUnshifted }

// tile writes the inner products of rows i0..i1 and columns j0..j1 to e, whose rows are logitCols apart; j0 is a multiple of the
// panel's width. For an excluded pair it writes what Scale makes -Inf.
func (l *logits[T]) tile(e []T, i0, i1, j0, j1 int) {
	width := roundUp(j1-j0, panelWidth)
	for i := range i1 - i0 {
		clear(e[i*logitCols:][:width])
	}
	for j := 0; j < width; j += panelWidth {
		multiply(l.set, e[j:], logitCols, l.x[i0*l.d:], l.d, 1, l.panels[(j0+j)*l.d:], panelWidth, i1-i0, panelWidth, l.d)
	}
	first := sort.Search(l.pairs, func(e int) bool { return int(l.exRow[e]) >= i0 })
	for p := first; p < l.pairs && int(l.exRow[p]) < i1; p++ {
		if n := int(l.exCol[p]); n >= j0 && n < j1 {
			e[(int(l.exRow[p])-i0)*logitCols+n-j0] = T(math.Inf(-1) / l.Scale)
		}
	}
}

// exponentials replaces a row of inner products, which starts at column j0, by e^(s - shift) and returns the sum.
func (l *logits[T]) exponentials(r []T, j0 int, shift T) float64 {
	if l.bias == nil {
		return exponentials(l.set, r, nil, T(l.Scale), shift)
	}
	return exponentials(l.set, r, l.bias[j0:j0+len(r)], T(l.Scale), shift)
}

// settle replaces a row of inner products by logits and returns the largest; it passes over NaN, which the exponentials find.
func (l *logits[T]) settle(r []T, j0 int) T {
	top, scale := T(math.Inf(-1)), T(l.Scale)
	if l.bias == nil {
		for i, v := range r {
			v *= scale
			if r[i] = v; v > top {
				top = v
			}
		}
		return top
	}
	bias := l.bias[j0:][:len(r)]
	for i, v := range r {
		v = T(v*scale) + bias[i]
		if r[i] = v; v > top {
			top = v
		}
	}
	return top
}

// runningSum is Σ e^(v - top) over what was added so far, about the maximum so far.
type runningSum struct{ top, sum float64 }

var emptySum = runningSum{top: math.Inf(-1)}

// merge adds another sum.
func (r *runningSum) merge(s runningSum) {
	top := max(r.top, s.top)
	if math.IsInf(top, -1) {
		r.sum += s.sum // 0, or NaN
		return
	}
	r.sum = r.sum*math.Exp(r.top-top) + s.sum*math.Exp(s.top-top)
	r.top = top
}

func (r runningSum) log() float64 { return r.top + math.Log(r.sum) }

// shiftFor is the shift that goes with a maximum: -Inf, where nothing is present, would make NaN.
func shiftFor[T float](top T) T {
	if math.IsInf(float64(top), -1) {
		return 0
	}
	return top
}
