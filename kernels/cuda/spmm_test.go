package cuda

import (
	"fmt"
	"slices"
	"testing"

	"nearfar/kernels"
)

// TestSpMMSteps holds the way through SpMM to the shapes: one launch, or four steps from so many edges on that a row may hold up the launch.
func TestSpMMSteps(t *testing.T) {
	for _, c := range []struct {
		rows, n, d, edges int
		steps             []string
		scratch           int64
	}{
		{1, 1, 1, 0, []string{"spmm_1<<<[1 1 1], 256, 0>>>"}, 0},
		{100, 9, 3, 70, []string{"spmm_4<<<[13 1 1], 256, 0>>>"}, 0},
		{100, 9, 65, 70, []string{"spmm_32<<<[13 1 1], 256, 0>>>"}, 0},
		{100, 9, 4, 70, []string{"spmm4_1<<<[13 1 1], 256, 0>>>"}, 0},
		{100, 9, 40, 70, []string{"spmm4_16<<<[13 1 1], 256, 0>>>"}, 0},
		{69_716, 69_716, 64, 2_474_518, []string{"spmm4_16<<<[4101 1 1], 256, 0>>>"}, 0},
		{1 << 20, 1 << 20, 128, 50 << 20, []string{"clear of 102400 bytes", "spmm_owners<<<[4096 1 1], 256, 0>>>", "spmm4_32<<<[58368 1 1], 256, 0>>>",
			"spmm_hubs4<<<[25600 1 1], 64, 0>>>"}, 4 * 25_600 * 129},
	} {
		f, i := func(dims ...int) kernels.Desc { return kernels.Of(kernels.Float32, dims...) }, func(n int) kernels.Desc { return kernels.Of(kernels.Int32, n) }
		in := []kernels.Desc{f(c.n, c.d), i(c.rows), i(c.rows), i(c.edges)}
		made, err := Set{}.lower(kernels.SpMM{}, outlines([]kernels.Desc{f(c.rows, c.d)}), outlines(in), Memory{})
		if err != nil {
			t.Fatal(err)
		}
		var steps []string
		for _, s := range made.work.Steps {
			steps = append(steps, fmt.Sprint(s))
		}
		if !slices.Equal(steps, c.steps) || made.scratch.used != c.scratch {
			t.Errorf("%d rows of %d columns, %d edges: %v with %d bytes of scratch, want %v with %d", c.rows, c.d, c.edges, steps, made.scratch.used,
				c.steps, c.scratch)
		}
	}
}
