package cuda

import (
	"math"

	"nearfar/kernels"
)

// The contrastive kernels: s_bn = Scale <x_b, y_n> + bias_n; lse_b = ln of the sum over n of e^(s_bn); its derivative
// p_bn = g_b e^(s_bn - lse_b), dX = Scale P Y, dY = Scale P' X, dbias_n = sum over b of p_bn.
//
// The logits [B, N] are formed by cuBLAS, a tile [r, t] at a time, in scratch of at most 20 MiB; kernels of logsumexp.cu fold a tile
// into the sums of its rows, and turn it into P in place, for the two products of the gradient.
//
// Tiles are of whole rows where N allows (up to 81,920): lse is then known when the tile is, and LogSumExpWithGrad turns the very tile into P: 3
// products, 6 B N d FLOPs. With wider tables it forms the logits twice, 8 B N d, as LogSumExp (2) and LogSumExpGrad (6) do. Summing e^s y_n in
// the first pass instead, which needs a bound of the logits, also comes to 4 products and would write the tile in both passes. Beside the products
// a logit is read once for its sum (4 bytes) and read and written once for P (8).
//
// Every logit is formed, those of absent rows and columns too: how many there are is known on the device only.

// tiling is how the logits are cut.
type tiling struct {
	logits int // of a tile
	grain  int // rows of a tile are a multiple of it, or all
}

// inL2 are tiles of up to 20 MiB: 128 rows of a batch against the 38,048 items of yelp2018. An H100 has 50 MB of L2, an A100 40, and Y and dY
// want to be there too. (A V100 has 6 and a T4 4: there a tile goes through memory.) 64 rows are what cuBLAS's smaller kernels take at a time.
var inL2 = tiling{logits: 5 << 20, grain: 64}

func (c *call) logSumExp(k kernels.LogSumExp)                 { c.overTiles(k, inL2) }
func (c *call) logSumExpGrad(k kernels.LogSumExpGrad)         { c.overTiles(k, inL2) }
func (c *call) logSumExpWithGrad(k kernels.LogSumExpWithGrad) { c.overTiles(k, inL2) }

// overTiles lowers one of the three.
func (c *call) overTiles(k kernels.Kernel, by tiling) {
	switch k := k.(type) {
	case kernels.LogSumExp:
		l := c.contrast(k.Similarity, by, 0)
		l.lse = c.out[0].At
		l.tiles(true, false)
	case kernels.LogSumExpGrad:
		l := c.contrast(k.Similarity, by, 2)
		l.lse, l.g = c.in[2].At, c.in[3].At
		l.gradients(c.out)
		l.tiles(false, true)
	case kernels.LogSumExpWithGrad:
		l := c.contrast(k.Similarity, by, 1)
		l.lse, l.g = c.out[0].At, c.in[2].At
		l.gradients(c.out[1:])
		l.tiles(true, true)
	}
}

// contrast is one of the three kernels while it is lowered. An operand that the kernel has not is at 0, which its kernels test.
type contrast struct {
	*call
	kernels.Similarity
	rows, cols, d            int // B, N
	x, y, bias, weight       Ptr
	excludedRow, excludedCol Ptr
	pairs                    int
	lse, g                   Ptr
	dx, dy, dbias            Ptr

	r, t, leading int // a tile, and the elements from a row of it to the next
	tile          Ptr // [r, leading]
	running       Ptr // largest logit and sum about it, of the columns so far [r, 2]
	live          Ptr // X, zeros in rows that send no gradient [B, d]
	parts         Ptr // of split products
	columnSums    Ptr // of P, by chunks of rows of a tile [chunks, N]
}

func (c *call) contrast(s kernels.Similarity, by tiling, added int) *contrast {
	x, y := c.in[0], c.in[1]
	l := &contrast{call: c, Similarity: s, rows: x.Desc.Dim[0], cols: y.Desc.Dim[0], d: x.Desc.Dim[1], x: x.At, y: y.At}
	bias, weight, row, col := s.Places(added)
	if bias >= 0 {
		l.bias = c.in[bias].At
	}
	if weight >= 0 {
		l.weight = c.in[weight].At
	}
	if row >= 0 {
		l.excludedRow, l.excludedCol, l.pairs = c.in[row].At, c.in[col].At, c.in[row].Desc.Dim[0]
	}
	if min(l.rows, l.cols, l.d) == 0 || max(l.rows, l.cols, l.d) > math.MaxInt32/2 {
		c.decline()
		return l
	}
	l.cut(by)
	l.tile = c.scratch.take(int64(l.r) * int64(l.leading))
	l.running = c.scratch.take(2 * int64(l.r))
	return l
}

// cut chooses the tile.
func (l *contrast) cut(by tiling) {
	const unit = 32 // columns: 128 bytes
	l.r, l.t = l.rows, l.cols
	wide := roundUp(l.cols, unit)
	switch {
	case l.rows <= by.logits/wide: // one tile
	case min(l.rows, by.grain) <= by.logits/wide:
		l.r = even(l.rows, by.logits/wide/by.grain*by.grain, by.grain)
	default:
		l.r = even(l.rows, 8*by.grain, by.grain)
		l.t = even(l.cols, max(unit, by.logits/l.r/unit*unit), unit)
	}
	l.leading = roundUp(l.t, unit)
}

// even cuts n into as few pieces of at most `most` as possible, and returns the length of all but the last: a multiple of unit, or n. So is most, or
// it is at least n.
func even(n, most, unit int) int {
	if most >= n {
		return n
	}
	pieces := (n + most - 1) / most
	return roundUp((n+pieces-1)/pieces, unit)
}

// chunkRows is how many rows of a tile a block of logits_gradient turns into P, and stripCols how many columns.
const chunkRows, stripCols = 64, 128

// gradients gives the gradient's outputs and takes its scratch.
func (l *contrast) gradients(out []Tensor) {
	if l.declined {
		return
	}
	l.dx, l.dy = out[0].At, out[1].At
	l.live = l.scratch.take(int64(l.rows) * int64(l.d))
	if l.Biased {
		l.dbias = out[2].At
		l.columnSums = l.scratch.take(int64(l.chunks()) * int64(l.cols))
	}
	most := int64(0)
	for _, r := range []int{l.r, l.rows % l.r} {
		for _, t := range []int{l.t, l.cols % l.t} {
			most = max(most, l.dX(0, 0, r, t).parts(), l.dY(0, 0, r, t).parts())
		}
	}
	l.parts = l.scratch.take(most)
}

func (l *contrast) chunks() int { return over(int64(l.r), chunkRows) }

// tiles adds the steps over all tiles: for lse, or for the gradient by lse, or for both.
func (l *contrast) tiles(sum, gradient bool) {
	if l.declined {
		return
	}
	if gradient {
		// 0 times NaN would be NaN in dY, so what a row without weight or g holds must not get into a product. (One whose lse is -Inf has no column; it
		// only sends what it holds.)
		l.keepRows(0, l.x, l.live)
	}
	for b := 0; b < l.rows; b += l.r {
		r := min(l.r, l.rows-b)
		if sum {
			l.columns(func(n, t int) {
				l.logits(b, n, r, t)
				l.sums(b, n, r, t)
			})
		}
		if gradient {
			l.columns(func(n, t int) {
				if !sum || l.t < l.cols {
					l.logits(b, n, r, t)
				}
				l.probabilities(b, n, r, t)
				l.multiply(*l.dX(b, n, r, t), l.parts)
				l.multiply(*l.dY(b, n, r, t), l.parts)
			})
		}
	}
	if gradient {
		l.keepRows(l.lse, l.dx, l.dx) // likewise for what Y holds
	}
	if gradient && l.Biased {
		l.sumParts(int64(l.cols), l.chunks(), false, l.columnSums, l.dbias)
	}
}

// columns calls f for each tile of a block of rows.
func (l *contrast) columns(f func(n, t int)) {
	for n := 0; n < l.cols; n += l.t {
		f(n, min(l.t, l.cols-n))
	}
}

// logits fills the tile with Scale X Y' of rows b.. and columns n.., and -Inf for excluded pairs.
func (l *contrast) logits(b, n, r, t int) {
	l.multiply(Product{M: r, N: t, K: l.d, Alpha: float32(l.Scale),
		A: Matrix{At: l.row(l.x, b), Stride: l.d}, B: Matrix{At: l.row(l.y, n), Stride: l.d, Transposed: true},
		C: Matrix{At: l.tile, Stride: l.leading}}, 0)
	l.launch("exclude", over(int64(l.pairs), threads), threads, l.pairs, l.excludedRow, l.excludedCol, b, n, r, t, l.leading, l.tile)
}

// sums folds the tile into the running sums of its rows, and writes lse behind the last.
func (l *contrast) sums(b, n, r, t int) {
	block := min(1024, max(32, roundUp(t/8, 32))) // 8 logits a thread, or more
	l.launch("logits_sum", r, block, t, l.leading, l.tile, from(l.bias, n), from(l.weight, b), n == 0, n+t == l.cols, l.running, from(l.lse, b))
}

// probabilities turns the tile into P.
func (l *contrast) probabilities(b, n, r, t int) {
	blocks := over(int64(t), stripCols) * over(int64(r), chunkRows)
	l.launch("logits_gradient", blocks, threads, r, t, l.leading, l.tile, from(l.bias, n), from(l.weight, b), from(l.lse, b), from(l.g, b),
		l.cols, b == 0, from(l.columnSums, n))
}

// dX is dX = Scale P Y of a tile, behind the first added.
func (l *contrast) dX(b, n, r, t int) *Product {
	return &Product{M: r, N: l.d, K: t, Alpha: float32(l.Scale), Beta: unlessFirst(n),
		A: Matrix{At: l.tile, Stride: l.leading}, B: Matrix{At: l.row(l.y, n), Stride: l.d}, C: Matrix{At: l.row(l.dx, b), Stride: l.d}}
}

// dY is dY = Scale P' X of a tile, behind the first added.
func (l *contrast) dY(b, n, r, t int) *Product {
	return &Product{M: t, N: l.d, K: r, Alpha: float32(l.Scale), Beta: unlessFirst(b),
		A: Matrix{At: l.tile, Stride: l.leading, Transposed: true}, B: Matrix{At: l.row(l.live, b), Stride: l.d}, C: Matrix{At: l.row(l.dy, n), Stride: l.d}}
}

func unlessFirst(i int) float32 {
	if i == 0 {
		return 0
	}
	return 1
}

// keepRows copies rows [B, d], zeros for those that send no gradient.
func (l *contrast) keepRows(lse, x, to Ptr) {
	l.elements("keep_rows", l.rows, l.d, l.weight, l.g, lse, x, to)
}

// row is where row i of a matrix [.., d] begins, and from where element i of a vector is, if there is one.
func (l *contrast) row(m Ptr, i int) Ptr { return m + Ptr(int64(i)*int64(l.d)*float) }

func from(v Ptr, i int) Ptr {
	if v == 0 {
		return 0
	}
	return v + Ptr(int64(i)*float)
}
