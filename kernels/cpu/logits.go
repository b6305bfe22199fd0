package cpu

import (
	"math"
	"sort"
	"unsafe"

	"nearfar/kernels"
)

// The tiles that the contrastive kernels stream over. A tile of logits takes part in its products while it is in the L2 cache, beside
// the panels and rows of Y that it meets.
const (
	logitRows   = 48  // whole tiles of expTile
	logitCols   = 192 // whole panels and whole sixes; not a power of two, since E is read by columns too
	logitTile   = logitRows * logitCols
	maxTileRows = 12
)

// expTileShape is what expTile forms at once in registers.
func expTileShape(l level) (rows, cols int) {
	if l >= avx512 {
		return 12, 32
	}
	return 6, 16
}

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
	fused         bool // e^s is formed in registers, by expTile
	tileRows      int  // of expTile
	width, depth  int  // of a panel
	panels        []T  // Yᵀ in panels [N/width][depth][width]; the last row of a fused panel is the bias
	scaled        []T  // X · Scale / ln 2 in blocks [B/tileRows][depth][tileRows], 1 beside the bias; where fused
	liveRows      int  // behind these every weight is 0
	liveCols      int  // behind these every bias is -Inf
	pairs         int  // behind these exRow is -1
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
	l.fused = l.set.level >= avx2 && unsafe.Sizeof(T(0)) == 4 && l.unshifted() && l.d > 0
	l.width, l.depth = 16, l.d // what suits multiply
	if l.fused {
		l.tileRows, l.width = expTileShape(l.set.level)
		if s.Biased || l.cols%l.width != 0 {
			l.depth++
		}
		l.scaled = take[T](c.arena, roundUp(l.rows, l.tileRows)*l.depth)
	}
	l.panels = take[T](c.arena, roundUp(l.cols, l.width)*l.depth)
	return l
}

// prepare finds what is live and packs Y. Unique ids of a batch leave only a part of rows and columns live.
func (l *logits[T]) prepare() Work {
	w := Work{
		once(l.trim),
		cut(roundUp(l.cols, l.width)/l.width, 2*l.width*l.d).phase(func(lo, hi int) {
			for p := lo; p < hi && p*l.width < l.liveCols; p++ {
				l.packY(p)
			}
		}),
	}
	if l.fused {
		w = append(w, cut(roundUp(l.rows, l.tileRows)/l.tileRows, 2*l.tileRows*l.d).phase(func(lo, hi int) {
			for t := lo; t < hi && t*l.tileRows < l.liveRows; t++ {
				l.packX(t)
			}
		}))
	}
	return w
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

// packY writes panel p: element (k, j) is y[width·p + j, k], 0 behind the last row of Y. A fused panel ends in the bias: by it a column behind the
// last is an absent one.
func (l *logits[T]) packY(p int) {
	to := l.panels[p*l.width*l.depth:][:l.width*l.depth]
	transpose(to, l.width, l.y, p*l.width, l.d, 1)
	if l.depth == l.d {
		return
	}
	for j, bias := range to[l.d*l.width:] {
		switch n := p*l.width + j; {
		case n >= l.cols:
			bias = T(math.Inf(-1))
		case l.bias != nil:
			bias = l.bias[n] * math.Log2E
		default:
			bias = 0
		}
		to[l.d*l.width+j] = bias
	}
}

// packX writes tile t of scaled.
func (l *logits[T]) packX(t int) {
	to := l.scaled[t*l.tileRows*l.depth:][:l.tileRows*l.depth]
	transpose(to, l.tileRows, l.x, t*l.tileRows, l.d, T(l.Scale*math.Log2E))
	for j := l.d * l.tileRows; j < len(to); j++ {
		to[j] = 1
	}
}

// transpose writes rows i0..i0+width of x[.., d], times by, as columns of to[d, width]; 0 behind the last row.
func transpose[T float](to []T, width int, x []T, i0, d int, by T) {
	for j := range width {
		if (i0+j)*d >= len(x) {
			for k := range d {
				to[k*width+j] = 0
			}
			continue
		}
		for k, v := range row(x, i0+j, d) {
			to[k*width+j] = v * by
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
	width := roundUp(j1-j0, l.width)
	for i := range i1 - i0 {
		clear(e[i*logitCols:][:width])
	}
	for j := 0; j < width; j += l.width {
		multiply(l.set, e[j:], logitCols, l.x[i0*l.d:], l.d, 1, l.panels[(j0+j)*l.d:], l.width, i1-i0, l.width, l.d)
	}
	for p := l.firstPair(i0); p < l.pairs && int(l.exRow[p]) < i1; p++ {
		if n := int(l.exCol[p]); n >= j0 && n < j1 {
			e[(int(l.exRow[p])-i0)*logitCols+n-j0] = T(math.Inf(-1) / l.Scale)
		}
	}
}

// firstPair is the first excluded pair of row i or one behind it.
func (l *logits[T]) firstPair(i int) int {
	return sort.Search(l.pairs, func(p int) bool { return int(l.exRow[p]) >= i })
}

// powers writes e^s, for logits that need no maximum, and adds each row's sum to sums. Rows and columns as in tile; i0 is a multiple of tileRows, and e
// has whole tiles.
func (l *logits[T]) powers(e []T, i0, i1, j0, j1 int, sums []runningSum) {
	if l.fused {
		l.fusedPowers(as32(e), i0, i1, j0, j1, sums)
		return
	}
	l.tile(e, i0, i1, j0, j1)
	for r := range i1 - i0 {
		sums[r].sum += l.exponentials(e[r*logitCols:][:j1-j0], j0, 0)
	}
}

// fusedPowers is powers by expTile. A row's sum is formed again where a pair of it is excluded: taking away what may be most of it would lose the rest.
func (l *logits[T]) fusedPowers(e []float32, i0, i1, j0, j1 int, sums []runningSum) {
	panels, cols := as32(l.panels[j0*l.depth:]), roundUp(j1-j0, l.width)
	pair := l.firstPair(i0)
	for i := i0; i < i1; i += l.tileRows {
		e := e[(i-i0)*logitCols:]
		end := min(i+l.tileRows, i1)
		tile := expTile(l.set.level, l.depth, as32(l.scaled[i*l.depth:]), panels, cols, e, logitCols)
		first := pair
		for ; pair < l.pairs && int(l.exRow[pair]) < end; pair++ {
			if n := int(l.exCol[pair]); n >= j0 && n < j1 {
				e[(int(l.exRow[pair])-i)*logitCols+n-j0] = 0
			}
		}
		for ; first < pair; first++ {
			if n := int(l.exCol[first]); n >= j0 && n < j1 {
				r := int(l.exRow[first]) - i
				tile[r] = sum32(e[r*logitCols:][:j1-j0])
			}
		}
		for r, s := range tile[:end-i] {
			sums[i-i0+r].sum += float64(s)
		}
	}
}

// sum32 adds in four lanes, as short as those of expTile.
func sum32(x []float32) float32 {
	var a, b, c, d float32
	for ; len(x) >= 4; x = x[4:] {
		a += x[0]
		b += x[1]
		c += x[2]
		d += x[3]
	}
	for _, v := range x {
		a += v
	}
	return (a + b) + (c + d)
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

// noSum is a sum over nothing yet, about 0 where the logits allow that.
func (l *logits[T]) noSum() runningSum {
	if l.unshifted() {
		return runningSum{}
	}
	return emptySum
}

// merge adds another sum.
func (r *runningSum) merge(s runningSum) {
	if r.top == s.top {
		r.sum += s.sum
		return
	}
	top := max(r.top, s.top)
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
