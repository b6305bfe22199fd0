package cuda

import (
	"math/bits"

	"nearfar/kernels"
)

// threads is the block of most kernels.
const threads = 256

// launch adds the launch of a kernel over so many blocks; none where there are none.
func (c *call) launch(kernel string, blocks, threads int, args ...any) *Launch {
	l := &Launch{Kernel: kernel, Grid: [3]int{blocks, 1, 1}, Block: threads, Args: make([]Arg, len(args))}
	for i, a := range args {
		l.Args[i] = arg(a)
	}
	if blocks > 0 {
		c.work.Steps = append(c.work.Steps, l)
	}
	return l
}

// elements launches a kernel that moves n rows of d elements, a thread a vector of them.
func (c *call) elements(kernel string, n, d int, args ...any) {
	kernel, d = fours(kernel, d)
	vectors := int64(n) * int64(d)
	c.launch(kernel, over(vectors, threads), threads, append([]any{vectors, d}, args...)...)
}

// warps launches a kernel that gives a warp a row.
func (c *call) warps(kernel string, rows, d int, args ...any) {
	c.launch(kernel, over(int64(rows), threads/32), threads, append([]any{int64(rows), d}, args...)...)
}

// lanes launches a kernel that gives a row as many lanes of a warp as it has vectors.
func (c *call) lanes(kernel string, rows int64, d int, args ...any) {
	kernel, d = fours(kernel, d)
	log := logLanes(d)
	c.launch(kernel, over(rows, threads>>log), threads, append([]any{rows, d, log}, args...)...)
}

// fours is the kernel for rows of d elements, and their length in its vectors: the one whose name ends with 4 where d allows it.
func fours[I int | int64](kernel string, d I) (string, I) {
	if d%4 == 0 {
		return kernel + "4", d / 4
	}
	return kernel, d
}

// logLanes is the binary logarithm of the number of a warp's lanes that share a row of so many vectors.
func logLanes(vectors int) int { return min(bits.Len(uint(max(vectors, 1)-1)), 5) }

// width is the length of a row of a table [N, d] or [N].
func width(d kernels.Desc) int {
	if d.Rank == 1 {
		return 1
	}
	return d.Dim[1]
}

// over is the number of blocks for n items, each block taking so many.
func over(n, each int64) int { return int((n + each - 1) / each) }
