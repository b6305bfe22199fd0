package cuda_test

import (
	"strings"
	"testing"

	"nearfar/kernels"
	"nearfar/kernels/cuda"
)

// Reductions over every gradient stand in each training step: they must fill the GPU, read vectors, and take few launches.
func TestReductionsOfATrainingStep(t *testing.T) {
	for _, c := range []struct {
		k        kernels.Reduce
		shape    []int
		launches []string
		blocks   []int // at least
	}{
		{kernels.Reduce{Op: kernels.AllFinite, Axes: kernels.AllAxes}, []int{69_716, 64}, []string{"reduce_runs_all_finite4", "reduce_rows_smallest4"},
			[]int{500, 1}},
		{kernels.Reduce{Op: kernels.SumSquares, Axes: kernels.AllAxes}, []int{1_000_003}, []string{"reduce_runs_sum_squares4", "reduce_rows_sum4"}, []int{200, 1}},
		{kernels.Reduce{Axes: kernels.AllAxes}, []int{2048}, []string{"reduce_runs_sum4"}, []int{1}},
		{kernels.Reduce{Axes: kernels.AllAxes}, []int{2048, 1}, []string{"reduce_runs_sum4"}, []int{1}},
		{kernels.Reduce{Axes: kernels.Axis(1)}, []int{69_716, 64}, []string{"reduce_rows_sum4"}, []int{4000}},
		{kernels.Reduce{Axes: kernels.Axis(0)}, []int{69_716, 64}, []string{"reduce_columns_sum4", "reduce_columns_sum4"}, []int{500, 2}},
		{kernels.Reduce{Axes: kernels.Axis(0)}, []int{2048, 64}, []string{"reduce_columns_sum4"}, []int{8}},
		{kernels.Reduce{Axes: kernels.Axis(1)}, []int{2048, 4, 64}, []string{"reduce_columns_sum4"}, []int{128}},
		{kernels.Reduce{Op: kernels.LogSumExps, Axes: kernels.Axis(1)}, []int{2048, 40_000}, []string{"reduce_runs_log_sum_exps4"}, []int{2048}},
	} {
		in := []kernels.Desc{kernels.Of(kernels.Float32, c.shape...)}
		out, err := c.k.Infer(in)
		if err != nil {
			t.Fatal(err)
		}
		work, err := cuda.Set{}.Bind(c.k, []cuda.Tensor{{Desc: out[0]}}, []cuda.Tensor{{Desc: in[0]}}, cuda.Memory{})
		if err != nil {
			t.Fatal(err)
		}
		if len(work.Steps) != len(c.launches) {
			t.Errorf("%+v of %v: %v", c.k, in[0], work.Steps)
			continue
		}
		for i, step := range work.Steps {
			l := step.(*cuda.Launch)
			if l.Kernel != c.launches[i] || l.Grid[0] < c.blocks[i] || i > 0 && l.Grid[0] > 8 {
				t.Errorf("%+v of %v, launch %d: %v, want %s of %d blocks or more", c.k, in[0], i, l, c.launches[i], c.blocks[i])
			}
		}
	}
}

// K up to 128 reads a row once, and no K needs scratch that grows with the columns or with all the rows.
func TestTopKOfAFullRanking(t *testing.T) {
	for _, k := range []int{1, 20, 100, 128, 1000, 5000} {
		in := []kernels.Desc{kernels.Of(kernels.Float32, 2048, 1_000_000)}
		out, err := kernels.TopK{K: k}.Infer(in)
		if err != nil {
			t.Fatal(err)
		}
		work, err := cuda.Set{}.Bind(kernels.TopK{K: k}, []cuda.Tensor{{Desc: out[0]}, {Desc: out[1]}}, []cuda.Tensor{{Desc: in[0]}}, cuda.Memory{})
		if err != nil {
			t.Fatal(err)
		}
		if len(work.Steps) != 1 || strings.Contains(work.Steps[0].String(), "top_filter4<<<[2048 1 1]") != (k <= 128) {
			t.Errorf("K %d: %v", k, work.Steps)
		}
		if scratch := (cuda.Set{}).Sizes(kernels.TopK{K: k}, out, in).Scratch; k <= 1000 && scratch != 0 || scratch > 256*8*8192 {
			t.Errorf("K %d: %d bytes of scratch", k, scratch)
		}
	}
}
