package cuda

import "nearfar/kernels"

// reductions names the kernels of reduce.cu: for elements, and for the results of parts.
var reductions = [...]struct{ elements, parts string }{
	kernels.Sum:        {"sum", "sum"},
	kernels.SumSquares: {"sum_squares", "sum"},
	kernels.Largest:    {"largest", "largest"},
	kernels.LogSumExps: {"log_sum_exps", "log_sum_exps"},
	kernels.AllFinite:  {"all_finite", "smallest"},
}

// reduce is one launch, or two where few outputs are formed of much input, for each run of neighbouring axes, the last run first.
func (c *call) reduce(k kernels.Reduce) {
	x, runs := c.in[0].At, runsOf(c.in[0].Desc, k.Axes)
	op := reductions[k.Op].elements
	for {
		outer, along, inner, rest := lastReduced(runs)
		to := c.out[0].At
		if len(rest) > 1 {
			to = c.scratch.take(outer * inner)
		}
		c.reduceAlong(op, reductions[k.Op].parts, x, to, outer, along, inner)
		if len(rest) <= 1 {
			return
		}
		x, runs, op = to, rest, reductions[k.Op].parts
	}
}

// run is a product of neighbouring dimensions that are all kept, or all reduced.
type run struct {
	n       int64
	reduced bool
}

// runsOf merges the dimensions of d; those of 1 are of either kind.
func runsOf(d kernels.Desc, axes kernels.Axes) (runs []run) {
	for i, n := range d.Dim[:d.Rank] {
		if n != 1 {
			runs = joined(runs, run{int64(n), axes&kernels.Axis(i) != 0})
		}
	}
	return runs
}

func joined(runs []run, r run) []run {
	if last := len(runs) - 1; last >= 0 && runs[last].reduced == r.reduced {
		runs[last].n *= r.n
		return runs
	}
	return append(runs, r)
}

// lastReduced is the last run that is reduced, between what stands before and behind it, and the runs that are left without it: one, or none,
// where nothing remains to be reduced. Where nothing is reduced at all, that is a run of 1 in front.
func lastReduced(runs []run) (outer, along, inner int64, rest []run) {
	outer, along, inner = 1, 1, 1
	last := -1
	for i, r := range runs {
		if r.reduced {
			last = i
		}
	}
	for i, r := range runs {
		switch {
		case i < last:
			outer *= r.n
		case i == last:
			along = r.n
			continue
		default:
			inner *= r.n
		}
		rest = joined(rest, r)
	}
	return
}

// The cut of a reduction. Enough blocks to fill a large GPU are also few enough that one small launch combines what they leave.
const (
	reduceBlocks = 512
	reduceRow    = 1024    // elements of the longest row that a warp reduces
	reduceAlone  = 16_384  // elements of the longest row that is not worth a second launch
	reducePart   = 4096    // elements of the shortest part of a longer one
	reduceSmall  = 1 << 18 // elements that the cache has at hand, so that columns can be read in pieces of 32 bytes
)

// reduceAlong adds the launches of out[outer, inner] = op over X[outer, along, inner].
func (c *call) reduceAlong(op, partsOp string, x, out Ptr, outer, along, inner int64) {
	if outer*inner == 0 {
		return
	}
	if inner > 1 {
		c.reduceColumns(op, partsOp, x, out, outer, along, inner)
		return
	}
	if along <= reduceRow {
		c.lanes("reduce_rows_"+op, outer, int(along), x, out)
		return
	}
	kernel := "reduce_runs_" + op
	if along%4 == 0 || outer == 1 {
		kernel += "4"
	}
	most := int64(1)
	if along > reduceAlone {
		most = min(reduceBlocks/outer, along/reducePart)
	}
	length, parts := cutAlong(along, most)
	to := out
	if parts > 1 {
		to = c.scratch.take(outer * parts)
	}
	c.launch(kernel, int(outer*parts), threads, along, length, int(parts), x, to)
	if parts > 1 {
		c.reduceAlong(partsOp, partsOp, to, out, outer, parts, 1)
	}
}

// cutAlong cuts n elements into at most so many parts, and at least one, each of a length that is a multiple of 4.
func cutAlong(n, most int64) (length, parts int64) {
	most = max(1, most)
	length = max(4, ((n+most-1)/most+3)&^3)
	return length, max(1, (n+length-1)/length)
}

func (c *call) reduceColumns(op, partsOp string, x, out Ptr, outer, along, inner int64) {
	kernel, vector := "reduce_columns_"+op, int64(1)
	if inner%4 == 0 {
		kernel, vector = kernel+"4", 4
	}
	columns := outer * inner / vector
	piece := 32 / vector // of a row, in vectors: 128 bytes
	if columns*vector*along <= reduceSmall {
		piece /= 4
	}
	// Threads go to columns first, and then, while blocks are few, to the rows of a column, as long as each has four to walk.
	width, rows := int64(threads), int64(1)
	tiles := func() int64 { return (columns + width - 1) / width }
	for tiles() < reduceBlocks && rows*4 < along && (width > piece || width/2 >= columns) && width > 1 {
		width, rows = width/2, rows*2
	}
	most := int64(1)
	if along > rows*32 {
		most = min(reduceBlocks/tiles(), along/(rows*8))
	}
	length, parts := cutAlong(along, most)
	to := out
	if parts > 1 {
		to = c.scratch.take(outer * parts * inner)
	}
	c.launch(kernel, int(tiles()*parts), threads, columns, inner/vector, along, length, int(parts), int(width), x, to)
	if parts > 1 {
		c.reduceAlong(partsOp, partsOp, to, out, outer, parts, inner)
	}
}
