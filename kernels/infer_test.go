package kernels_test

import (
	"strings"
	"testing"

	"nearfar/kernels"
)

// f, d and i describe float32, float64 and int32 tensors.
func f(dims ...int) kernels.Desc { return kernels.Of(kernels.Float32, dims...) }
func d(dims ...int) kernels.Desc { return kernels.Of(kernels.Float64, dims...) }
func i(dims ...int) kernels.Desc { return kernels.Of(kernels.Int32, dims...) }
func h(dims ...int) kernels.Desc { return kernels.Of(kernels.BFloat16, dims...) }

type shapes = []kernels.Desc

func TestInferRefusesWrongShapes(t *testing.T) {
	all := kernels.Similarity{Biased: true, Weighted: true, Excludes: true}
	for _, c := range []struct {
		why string
		k   kernels.Kernel
		in  shapes
	}{
		{"no inputs", kernels.Binary(kernels.Add), nil},
		{"missing operand", kernels.Binary(kernels.Add), shapes{f(3)}},
		{"shapes that do not broadcast", kernels.Binary(kernels.Add), shapes{f(3), f(4)}},
		{"two real types", kernels.Binary(kernels.Add), shapes{f(3), d(3)}},
		{"an empty program", kernels.Map{}, shapes{f(3)}},
		{"a result before it is there", kernels.MapOf(kernels.MapInstr{Op: kernels.Neg, A: -1}), shapes{f(3)}},
		{"indices", kernels.Reduce{}, shapes{i(3)}},
		{"two inputs", kernels.Reduce{}, shapes{f(3), f(3)}},
		{"no mask", kernels.Softmax{Masked: true}, shapes{f(3)}},
		{"a mask of another shape", kernels.Softmax{Masked: true}, shapes{f(3), f(4)}},
		{"a scalar", kernels.Softmax{}, shapes{f()}},
		{"K of 0", kernels.TopK{}, shapes{f(3)}},
		{"K above the row", kernels.TopK{K: 4}, shapes{f(9, 3)}},
		{"inner sizes", kernels.MatMul{}, shapes{f(2, 3), f(2, 3)}},
		{"inner sizes transposed", kernels.MatMul{TransA: true, TransB: true}, shapes{f(2, 3), f(2, 3)}},
		{"ranks", kernels.MatMul{}, shapes{f(2, 3), f(1, 3, 2)}},
		{"batches", kernels.MatMul{}, shapes{f(4, 2, 3), f(5, 3, 2)}},
		{"vectors", kernels.MatMul{}, shapes{f(3), f(3)}},
		{"real columns", kernels.SpMM{}, shapes{f(3, 2), i(4), i(4), f(9)}},
		{"beg and end differ", kernels.SpMM{}, shapes{f(3, 2), i(4), i(5), i(9)}},
		{"a scale of the wrong length", kernels.SpMM{Scaled: true}, shapes{f(3, 2), i(4), i(4), i(9), f(3), f(3)}},
		{"values of the wrong length", kernels.SpMM{Valued: true}, shapes{f(3, 2), i(4), i(4), i(9), f(8)}},
		{"real indices", kernels.Gather{}, shapes{f(3, 2), f(5)}},
		{"a table of indices", kernels.Gather{}, shapes{i(3, 2), i(5)}},
		{"a table of rank 3", kernels.Gather{}, shapes{f(3, 2, 2), i(5)}},
		{"no rows", kernels.ScatterAdd{}, shapes{f(5, 2), i(5)}},
		{"no base", kernels.ScatterAdd{Rows: 3, Onto: true}, shapes{f(5, 2), i(5)}},
		{"a base of other rows", kernels.ScatterAdd{Rows: 3, Onto: true}, shapes{f(4, 2), f(5, 2), i(5)}},
		{"no inverse", kernels.ScatterAdd{Rows: 3, Sorted: true}, shapes{f(5, 2), i(5)}},
		{"seg too short", kernels.ScatterAdd{Rows: 3, Sorted: true}, shapes{f(5, 2), i(5), i(5), i(5), i(5)}},
		{"seg too short", kernels.SegmentSum{}, shapes{f(5, 2), i(5), i(5)}},
		{"other widths", kernels.Put{}, shapes{f(5, 2), f(3, 3), i(3)}},
		{"other ranks", kernels.Put{}, shapes{f(5), f(3, 1), i(3)}},
		{"other shapes", kernels.RowDot{}, shapes{f(5, 2), f(5, 3)}},
		{"a scalar", kernels.RowDot{}, shapes{f(), f()}},
		{"a scalar", kernels.NormaliseRows{}, shapes{f()}},
		{"inv of the wrong length", kernels.NormaliseRowsGrad{}, shapes{f(5, 2), f(4), f(5, 2)}},
		{"other dimensions", kernels.LogSumExp{}, shapes{f(5, 2), f(7, 3)}},
		{"bias of B", kernels.LogSumExp{Similarity: all}, shapes{f(5, 2), f(7, 2), f(5), f(5), i(3), i(3)}},
		{"weight of N", kernels.LogSumExp{Similarity: all}, shapes{f(5, 2), f(7, 2), f(7), f(7), i(3), i(3)}},
		{"pairs of two lengths", kernels.LogSumExp{Similarity: all}, shapes{f(5, 2), f(7, 2), f(7), f(5), i(3), i(4)}},
		{"no lse", kernels.LogSumExpGrad{}, shapes{f(5, 2), f(7, 2), f(5)}},
		{"g of N", kernels.LogSumExpWithGrad{}, shapes{f(5, 2), f(7, 2), f(7)}},
		{"one rate", kernels.Adam{}, shapes{f(5), f(5), f(5), f(5), f(1), f(), f()}},
		{"a gradient of another shape", kernels.Adam{}, shapes{f(5), f(5), f(5), f(4), f(3), f(), f()}},
		{"a scale that is a vector", kernels.Adam{}, shapes{f(5), f(5), f(5), f(5), f(3), f(1), f()}},
		{"a state too many", kernels.SGD{}, shapes{f(5), f(5), f(5), f(1), f(), f()}},
		{"rates in float64", kernels.Adagrad{}, shapes{f(5), f(5), f(5), d(1), f(), f()}},
		{"rows of another length", kernels.RowAdam{}, shapes{f(9, 2), f(9, 2), f(9, 2), f(5, 2), i(4), f(3), f(), f()}},
		{"moments in bfloat16 unasked", kernels.Adam{}, shapes{f(5), h(5), h(5), f(5), f(3), f(), f()}},
		{"moments in float32", kernels.Adam{Moments16: true}, shapes{f(5), f(5), f(5), f(5), i(4), f(3), f(), f()}},
		{"moments without a clock", kernels.Adam{Moments16: true}, shapes{f(5), h(5), h(5), f(5), f(3), f(), f()}},
		{"moments beside float64", kernels.RowAdam{Adam: kernels.Adam{Moments16: true}}, shapes{d(9, 2), h(9, 2), h(9, 2), d(4, 2), i(4), i(4), d(3), d(), d()}},
		{"moments of another shape", kernels.RowAdam{Adam: kernels.Adam{Moments16: true}}, shapes{f(9, 2), h(8, 2), h(9, 2), f(4, 2), i(4), i(4), f(3), f(), f()}},
		{"arithmetic in bfloat16", kernels.Binary(kernels.Add), shapes{h(5), h(5)}},
		{"a vector", kernels.RowAdagrad{}, shapes{f(9), f(9), f(5), i(5), f(1), f(), f()}},
		{"a clock of two words", kernels.Random{Shape: f(3)}, shapes{i(2)}},
		{"no ids", kernels.Random{Shape: f(3, 2), Rows: true}, shapes{i(4)}},
		{"ids of another length", kernels.Random{Shape: f(3, 2), Rows: true}, shapes{i(4), i(2)}},
		{"a vector", kernels.Random{Shape: f(3), Rows: true}, shapes{i(4), i(3)}},
		{"ids that are not asked for", kernels.Random{Shape: f(3, 2)}, shapes{i(4), i(3)}},
		{"random indices", kernels.Random{Shape: i(3)}, shapes{i(4)}},
		{"noise on a vector", kernels.SignedNoise{}, shapes{f(3), i(4)}},
		{"noise without a clock", kernels.SignedNoise{}, shapes{f(3, 2)}},
		{"noise at rows without ids", kernels.SignedNoise{Rows: true}, shapes{f(3, 2), i(4)}},
		{"noise at other rows", kernels.SignedNoise{Rows: true}, shapes{f(3, 2), i(4), i(2)}},
		{"noise on indices", kernels.SignedNoise{}, shapes{i(3, 2), i(4)}},
		{"an input", kernels.Fill{Shape: f(3)}, shapes{f(3)}},
		{"other elements", kernels.Reshape{Shape: f(3)}, shapes{f(4)}},
		{"nothing", kernels.Concat{}, nil},
		{"an axis that is not there", kernels.Concat{Axis: 1}, shapes{f(3), f(3)}},
		{"other dimensions", kernels.Concat{}, shapes{f(3, 2), f(3, 4)}},
		{"other ranks", kernels.Concat{}, shapes{f(3, 2), f(3)}},
		{"an empty slice", kernels.Slice{Beg: 1, End: 1}, shapes{f(3)}},
		{"a slice behind the end", kernels.Slice{Beg: 1, End: 4}, shapes{f(3)}},
		{"a negative axis", kernels.Slice{Axis: -1, End: 1}, shapes{f(3)}},
		{"negative padding", kernels.Pad{Before: -1}, shapes{f(3)}},
		{"an axis twice", kernels.Permute{}, shapes{f(3, 4)}},
		{"an axis that is not there", kernels.Permute{Order: [4]int{0, 2}}, shapes{f(3, 4)}},
	} {
		out, err := c.k.Infer(c.in)
		switch {
		case err == nil:
			t.Errorf("%s, %s: %v is accepted as %v", c.k.Name(), c.why, c.in, out)
		case !strings.HasPrefix(err.Error(), c.k.Name()+": "):
			t.Errorf("%s, %s: the error does not name the kernel: %v", c.k.Name(), c.why, err)
		}
	}
}

func TestInferGivesShapes(t *testing.T) {
	for _, c := range []struct {
		k        kernels.Kernel
		in, want shapes
	}{
		{kernels.Binary(kernels.Add), shapes{f(2, 1, 5), f(3, 1)}, shapes{f(2, 3, 5)}},
		{kernels.Binary(kernels.Mul), shapes{i(4), d(4)}, shapes{d(4)}},
		{kernels.Reduce{Axes: kernels.Axis(1)}, shapes{f(2, 3, 5)}, shapes{f(2, 5)}},
		{kernels.Reduce{Axes: kernels.Axis(1), Keep: true}, shapes{f(2, 3, 5)}, shapes{f(2, 1, 5)}},
		{kernels.Reduce{Axes: kernels.AllAxes}, shapes{f(2, 3)}, shapes{f()}},
		{kernels.TopK{K: 2}, shapes{f(4, 3)}, shapes{f(4, 2), i(4, 2)}},
		{kernels.MatMul{TransA: true}, shapes{d(7, 3, 2), d(7, 3, 5)}, shapes{d(7, 2, 5)}},
		{kernels.SpMM{}, shapes{f(3, 2), i(4), i(4), i(9)}, shapes{f(4, 2)}},
		{kernels.Gather{}, shapes{f(3), i(5)}, shapes{f(5)}},
		{kernels.ScatterAdd{Rows: 8}, shapes{f(5, 2), i(5)}, shapes{f(8, 2)}},
		{kernels.RowDot{}, shapes{f(3, 4, 5), f(3, 4, 5)}, shapes{f(3, 4)}},
		{kernels.NormaliseRows{}, shapes{f(4, 5)}, shapes{f(4, 5), f(4)}},
		{kernels.LogSumExpWithGrad{Similarity: kernels.Similarity{Biased: true}}, shapes{f(5, 2), f(7, 2), f(5), f(7)}, shapes{f(5), f(5, 2), f(7, 2), f(7)}},
		{kernels.RowAdam{}, shapes{f(9, 2), f(9, 2), f(9, 2), f(4, 2), i(4), f(3), f(), f()}, shapes{f(9, 2), f(9, 2), f(9, 2)}},
		{kernels.Adam{Moments16: true}, shapes{f(5), h(5), h(5), f(5), i(4), f(3), f(), f()}, shapes{f(5), h(5), h(5)}},
		{kernels.RowAdam{Adam: kernels.Adam{Moments16: true}}, shapes{f(9, 2), h(9, 2), h(9, 2), f(4, 2), i(4), i(4), f(3), f(), f()}, shapes{f(9, 2), h(9, 2), h(9, 2)}},
		{kernels.Concat{Axis: 1}, shapes{f(3, 2), f(3, 5)}, shapes{f(3, 7)}},
		{kernels.Pad{Before: 1, After: 2}, shapes{f(3)}, shapes{f(6)}},
		{kernels.Permute{Order: [4]int{2, 0, 1}}, shapes{f(2, 3, 5)}, shapes{f(5, 2, 3)}},
		{kernels.Reshape{Shape: f(6)}, shapes{i(2, 3)}, shapes{i(6)}},
	} {
		got, err := c.k.Infer(c.in)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		if len(got) != len(c.want) {
			t.Errorf("%s of %v gives %v, want %v", c.k.Name(), c.in, got, c.want)
			continue
		}
		for j := range got {
			if got[j] != c.want[j] {
				t.Errorf("%s of %v gives %v, want %v", c.k.Name(), c.in, got, c.want)
			}
		}
	}
}
