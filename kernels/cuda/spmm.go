package cuda

import (
	"fmt"
	"math"

	"nearfar/kernels"
)

// See spmm.cu for the ways through a row, and what they cost.
const (
	spmmPiece = 2048    // edges that one block takes of a row, where rows are split between blocks
	spmmSplit = 1 << 22 // edges from which on rows are split
	spmmRows  = 32      // of a block, at most: it has shared memory for so many
)

func (c *call) spmm(k kernels.SpMM) {
	if k.Half {
		c.decline()
		return
	}
	x, beg, end, col, y := c.in[0], c.in[1], c.in[2], c.in[3], c.out[0]
	var rowScale, colScale, val Ptr
	if k.Scaled {
		rowScale, colScale = c.in[4].At, c.in[5].At
	}
	if k.Valued {
		val = c.in[len(c.in)-1].At
	}
	rows, edges := beg.Desc.Elems(), col.Desc.Elems()
	kernel, d := fours("spmm", x.Desc.Cols())

	slots, piece := 0, math.MaxInt32 // no row has two pieces
	var owner, partial Ptr
	if edges >= spmmSplit {
		slots, piece = edges/spmmPiece, spmmPiece
		owner, partial = c.scratch.take(int64(slots)), c.scratch.take(int64(slots)*int64(x.Desc.Cols()))
		c.clear(owner, int64(slots)*float)
		c.launch("spmm_owners", over(int64(rows), threads), threads, int64(rows), piece, beg.At, end.At, owner)
	}
	perBlock := min(max(rows/4096, 8), spmmRows) // enough blocks for any GPU, and as few that wait for their last row
	blocks := slots + over(int64(rows), int64(perBlock))
	c.launch(fmt.Sprintf("%s_%d", kernel, 1<<logLanes(d)), blocks, threads, rows, perBlock, slots, piece, owner, beg.At, end.At, col.At, rowScale, colScale,
		val, x.At, d, y.At, partial)
	if slots > 0 {
		hubs, _ := fours("spmm_hubs", x.Desc.Cols())
		c.launch(hubs, slots, 64, piece, owner, beg.At, end.At, rowScale, partial, d, y.At)
	}
}
