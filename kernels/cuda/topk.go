package cuda

import "nearfar/kernels"

// The limits of topk.cu's kernels.
const (
	topLanes  = 32   // columns that lanes of a warp sort
	topSorted = 256  // columns that the filter sorts outright
	topFilter = 128  // K that it finds beyond that
	topShared = 2048 // keys in shared memory
	topBlocks = 256  // blocks of top_select, each with scratch of its own
)

func (c *call) topK(k kernels.TopK) {
	x, value, index := c.in[0], c.out[0], c.out[1]
	rows, columns := int64(x.Desc.Rows()), x.Desc.Cols()
	switch {
	case columns <= topLanes:
		log := logLanes(columns)
		c.launch("top_lanes", over(rows, threads>>log), threads, rows, columns, k.K, log, x.At, value.At, index.At)
	case k.K <= topFilter || columns <= topSorted:
		kernel := "top_filter"
		if columns%4 == 0 && columns > topSorted {
			kernel += "4"
		}
		c.launch(kernel, int(rows), threads, columns, k.K, x.At, value.At, index.At)
	default:
		blocks, power, scratch := int(min(rows, topBlocks)), int64(1), Ptr(0)
		for power < int64(k.K) {
			power *= 2
		}
		if power > topShared {
			scratch = c.scratch.take(int64(blocks) * power * 2)
		}
		c.launch("top_select", blocks, 1024, rows, columns, k.K, power, x.At, scratch, value.At, index.At)
	}
}
