package cpu

import (
	"math"

	"nearfar/kernels"
)

// LogSumExpWithGrad: lse and its gradient from one pass over the logits.
//
// The live rows are cut into 8 groups, whatever the number of threads. A group takes blocks of R rows: E [R, N] = e^(s - top) is kept, in
// tiles that lie one behind another; dX = E·Y is formed while a tile is in cache; when the rows' sums are known, dY_group +=
// Eᵀ·(X · Scale · g/sum). The groups' dY are added in group order. 6·B·N·d FLOPs, against 2 + 8 for the two kernels apart; scratch 8·(N·d + R·N)
// elements, most of whose traffic is once per R rows.
//
// Of 118 GF/s that the FMAs of one Zen 4 core can do, at B 2048 and d 64 (November 2026): 100 in AVX-512 and 97 in AVX2 for 2,048 columns, 90 and 85
// for 38,000, where E, Y and dY come from the L3 cache; two threads are 1.85 times as fast.

const (
	lseGroups = 8
	// Above these many bytes the set declines, and the plan keeps LogSumExp and LogSumExpGrad apart.
	maxGroupGrads = 256 << 20
	maxGroupTiles = 128 << 20
)

// onePass is a bound LogSumExpWithGrad.
type onePass[T float] struct {
	*logits[T]
	g                  []T
	lse, dx, dy, dbias []T
	block              int    // R
	dead               []bool // of each tile of columns: every one is absent
	groups             [lseGroups]group[T]
}

// group is the scratch of one group.
type group[T float] struct {
	e         []T // [tiles][R][192]
	dy, dbias []T
	weighted  []T // X · Scale · g/sum [R, d]
	sent      []T // g/sum [R]
	sums      []runningSum
}

func (c *call[T]) logSumExpWithGrad(k kernels.LogSumExpWithGrad) Work {
	if k.Scale == 0 {
		return nil
	}
	l := &onePass[T]{logits: newLogits(c, k.Similarity, 1), g: c.in[2].F, lse: c.out[0].F, dx: c.out[1].F, dy: c.out[2].F}
	if k.Biased {
		l.dbias = c.out[3].F
	}
	size := c.out[0].Type.Size()
	padded := roundUp(l.cols, logitCols)
	for l.block = min(96, roundUp((l.rows+lseGroups-1)/lseGroups, maxTileRows)); l.block > 2*maxTileRows && lseGroups*l.block*padded*size > maxGroupTiles; {
		l.block = roundUp(l.block/2, maxTileRows)
	}
	if lseGroups*l.block*padded*size > maxGroupTiles || lseGroups*l.cols*l.d*size > maxGroupGrads {
		return nil
	}
	l.dead = take[bool](c.arena, padded/logitCols)
	for i := range l.groups {
		l.groups[i] = group[T]{
			e:        take[T](c.arena, l.block*padded),
			dy:       take[T](c.arena, l.cols*l.d),
			weighted: take[T](c.arena, l.block*l.d),
			sent:     take[T](c.arena, l.block),
			sums:     take[runningSum](c.arena, l.block),
		}
		if k.Biased {
			l.groups[i].dbias = take[T](c.arena, l.cols)
		}
	}
	return append(l.prepare(),
		once(l.findDead),
		Phase{lseGroups, l.group},
		cut(l.rows, l.d).phase(l.rest),
		cut(l.cols, lseGroups*l.d).phase(l.total))
}

// part gives the rows of a group: nearly equal numbers of tiles of the live rows.
func (l *onePass[T]) part(group int) (lo, hi int) {
	tiles := (l.liveRows + maxTileRows - 1) / maxTileRows
	return min(l.liveRows, tiles*group/lseGroups*maxTileRows), min(l.liveRows, tiles*(group+1)/lseGroups*maxTileRows)
}

func (l *onePass[T]) group(n int) {
	lo, hi := l.part(n)
	if lo == hi {
		return
	}
	g := &l.groups[n]
	clear(g.dy[:l.liveCols*l.d])
	if l.dbias != nil {
		clear(g.dbias[:l.liveCols])
	}
	for i := lo; i < hi; i += l.block {
		end := min(i+l.block, hi)
		if l.allAbsent(i, end) {
			l.clear(i, end)
			continue
		}
		l.forward(g, i, end)
		l.backward(g, i, end)
	}
}

// findDead finds tiles of absent columns before the last live one: two lists of distinct ids, one behind the other, have padding in the middle.
func (l *onePass[T]) findDead() {
	clear(l.dead)
	for j := 0; l.bias != nil && j < l.liveCols; j += logitCols {
		dead := true
		for _, b := range l.bias[j:min(j+logitCols, l.liveCols)] {
			dead = dead && math.IsInf(float64(b), -1)
		}
		l.dead[j/logitCols] = dead
	}
}

func (l *onePass[T]) allAbsent(i0, i1 int) bool {
	for b := i0; b < i1; b++ {
		if !l.absent(b) {
			return false
		}
	}
	return true
}

// clear writes what absent rows have.
func (l *onePass[T]) clear(i0, i1 int) {
	clear(l.lse[i0:i1])
	clear(l.dx[i0*l.d : i1*l.d])
}

// tiles calls f for each tile of a block.
func (l *onePass[T]) tiles(g *group[T], f func(e []T, j0, j1 int)) {
	for j := 0; j < l.liveCols; j += logitCols {
		if l.dead[j/logitCols] {
			continue
		}
		f(g.e[j*l.block:][:l.block*logitCols], j, min(j+logitCols, l.liveCols))
	}
}

// forward leaves e^(s - top) in E, the rows' sums, and E·Y in dX.
func (l *onePass[T]) forward(g *group[T], i0, i1 int) {
	n, unshifted := i1-i0, l.unshifted()
	for r := range n {
		g.sums[r] = l.noSum()
	}
	clear(l.dx[i0*l.d : i1*l.d])
	if !unshifted {
		l.tiles(g, func(e []T, j0, j1 int) {
			l.tile(e, i0, i1, j0, j1)
			for r := range n {
				g.sums[r].top = max(g.sums[r].top, float64(l.settle(e[r*logitCols:][:j1-j0], j0)))
			}
		})
	}
	l.tiles(g, func(e []T, j0, j1 int) {
		if unshifted {
			l.powers(e, i0, i1, j0, j1, g.sums)
		} else {
			for r := range n {
				g.sums[r].sum += exponentials(l.set, e[r*logitCols:][:j1-j0], nil, 1, shiftFor(T(g.sums[r].top)))
			}
		}
		multiply(l.set, l.dx[i0*l.d:], l.d, e, logitCols, 1, l.y[j0*l.d:], l.d, n, l.d, j1-j0)
	})
}

// backward completes lse and dX, and adds the block to the group's dY.
func (l *onePass[T]) backward(g *group[T], i0, i1 int) {
	n := i1 - i0
	silent := false
	for r := range n {
		b := i0 + r
		l.lse[b] = 0
		if !l.absent(b) {
			l.lse[b] = T(g.sums[r].log())
		}
		g.sent[r] = 0
		if l.absent(b) || l.g[b] == 0 || math.IsInf(float64(l.lse[b]), -1) {
			silent = true
		} else {
			g.sent[r] = T(float64(l.g[b]) / g.sums[r].sum)
		}
		l.send(g, r, b)
	}
	l.tiles(g, func(e []T, j0, j1 int) {
		for r := 0; silent && r < n; r++ {
			if g.sent[r] == 0 { // NaN times 0 would be NaN
				clear(e[r*logitCols:][:j1-j0])
			}
		}
		multiply(l.set, g.dy[j0*l.d:], l.d, e, 1, logitCols, g.weighted, l.d, j1-j0, l.d, n)
		if l.dbias != nil {
			multiply(l.set, g.dbias[j0:], 0, g.sent, 0, 1, e, logitCols, 1, j1-j0, n)
		}
	})
}

// send scales row b's dX and prepares what it contributes to dY.
func (l *onePass[T]) send(g *group[T], r, b int) {
	by, silent := T(l.Scale)*g.sent[r], g.sent[r] == 0
	scaleRow(row(l.dx, b, l.d), by, silent)
	w := row(g.weighted, r, l.d)
	copy(w, row(l.x, b, l.d))
	scaleRow(w, by, silent)
}

// rest clears the outputs of the rows that no group has.
func (l *onePass[T]) rest(lo, hi int) {
	if lo = max(lo, l.liveRows); lo < hi {
		l.clear(lo, hi)
	}
}

// total adds the groups' dY, in their order.
func (l *onePass[T]) total(lo, hi int) {
	clear(l.dy[lo*l.d : hi*l.d])
	if l.dbias != nil {
		clear(l.dbias[lo:hi])
	}
	if hi = min(hi, l.liveCols); lo >= hi {
		return
	}
	var dy, dbias [lseGroups][]T
	n := 0
	for i := range l.groups {
		if beg, end := l.part(i); beg == end {
			continue
		}
		dy[n] = l.groups[i].dy[lo*l.d : hi*l.d]
		if l.dbias != nil {
			dbias[n] = l.groups[i].dbias[lo:hi]
		}
		n++
	}
	addAll(l.dy[lo*l.d:hi*l.d], dy[:n])
	if l.dbias != nil {
		addAll(l.dbias[lo:hi], dbias[:n])
	}
}

// addAll adds xs to y in their order, four at a time: y is read and written less.
func addAll[T float](y []T, xs [][]T) {
	for ; len(xs) >= 4; xs = xs[4:] {
		a, b, c, d := xs[0][:len(y)], xs[1][:len(y)], xs[2][:len(y)], xs[3][:len(y)]
		for i, v := range y {
			y[i] = v + a[i] + b[i] + c[i] + d[i]
		}
	}
	for _, x := range xs {
		addTo(y, x)
	}
}
