package kernels_test

import (
	"math"
	"slices"
	"testing"

	"nearfar/kernels"
)

var inf, nan = math.Inf(1), math.NaN()

// numbers and index make inputs; a vector where no shape is given.
func numbers(v []float64, dims ...int) kernels.Tensor64 {
	if dims == nil {
		dims = []int{len(v)}
	}
	return kernels.Tensor64{Desc: kernels.Of(kernels.Float64, dims...), F: v}
}

func scalar(v float64) kernels.Tensor64 {
	return kernels.Tensor64{Desc: kernels.Of(kernels.Float64), F: []float64{v}}
}

func index(v ...int32) kernels.Tensor64 {
	return kernels.Tensor64{Desc: kernels.Of(kernels.Int32, len(v)), I: v}
}

// apply infers, allocates and runs the reference. Outputs start as NaN, to be written.
func apply(t *testing.T, k kernels.Kernel, in ...kernels.Tensor64) []kernels.Tensor64 {
	t.Helper()
	ds := make([]kernels.Desc, len(in))
	for i := range in {
		ds[i] = in[i].Desc
	}
	shapes, err := k.Infer(ds)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]kernels.Tensor64, len(shapes))
	for i, d := range shapes {
		out[i] = kernels.NewTensor64(d)
		for j := range out[i].F {
			out[i].F[j] = nan
		}
	}
	k.Ref(out, in)
	return out
}

// near compares with NaN equal to itself.
func near(a, b []float64, eps float64) bool {
	return slices.EqualFunc(a, b, func(x, y float64) bool {
		return x == y || math.IsNaN(x) && math.IsNaN(y) || math.Abs(x-y) <= eps
	})
}

type sums = []float64

// Values worked out by hand from the doc comments.
func TestRefByHand(t *testing.T) {
	ln2 := math.Ln2
	x32 := numbers(sums{1, 2, 3, 4, 5, 6}, 3, 2)
	for _, c := range []struct {
		k    kernels.Kernel
		in   []kernels.Tensor64
		want []sums
	}{
		{kernels.Reduce{Op: kernels.Sum, Axes: kernels.Axis(0)}, []kernels.Tensor64{x32}, []sums{{9, 12}}},
		{kernels.Reduce{Op: kernels.SumSquares, Axes: kernels.Axis(1)}, []kernels.Tensor64{x32}, []sums{{5, 25, 61}}},
		{kernels.Reduce{Op: kernels.Largest, Axes: kernels.AllAxes}, []kernels.Tensor64{x32}, []sums{{6}}},
		{kernels.Reduce{Op: kernels.LogSumExps, Axes: kernels.Axis(1)}, []kernels.Tensor64{numbers(sums{0, 0, 1000, 1000, -inf, -inf}, 3, 2)},
			[]sums{{ln2, 1000 + ln2, -inf}}},
		{kernels.Reduce{Op: kernels.AllFinite, Axes: kernels.Axis(1)}, []kernels.Tensor64{numbers(sums{0, 1, nan, 1, 0, -inf}, 3, 2)}, []sums{{1, 0, 0}}},
		{kernels.Softmax{Masked: true}, []kernels.Tensor64{numbers(sums{0, 9, 0, 5, 5, 5}, 2, 3), numbers(sums{1, 0, 1, 0, 0, 0}, 2, 3)}, []sums{{.5, 0, .5, 0, 0, 0}}},
		{kernels.MatMul{}, []kernels.Tensor64{numbers(sums{1, 2, 3, 4}, 2, 2), numbers(sums{5, 6, 7, 8}, 2, 2)}, []sums{{19, 22, 43, 50}}},
		{kernels.MatMul{TransA: true}, []kernels.Tensor64{numbers(sums{1, 2, 3, 4}, 2, 2), numbers(sums{5, 6, 7, 8}, 2, 2)}, []sums{{26, 30, 38, 44}}},
		{kernels.MatMul{TransB: true}, []kernels.Tensor64{numbers(sums{1, 2, 3, 4}, 2, 2), numbers(sums{5, 6, 7, 8}, 2, 2)}, []sums{{17, 23, 39, 53}}},
		{kernels.SpMM{}, []kernels.Tensor64{x32, index(0, 2), index(2, 2), index(0, 2, 1)}, []sums{{6, 8, 0, 0}}},
		{kernels.SpMM{Scaled: true, Valued: true}, []kernels.Tensor64{x32, index(0), index(2), index(0, 2), numbers(sums{10}), numbers(sums{1, 1, .5}), numbers(sums{1, 4})},
			[]sums{{110, 140}}}, // 10·(1·1·(1,2) + 4·.5·(5,6))
		{kernels.Gather{}, []kernels.Tensor64{x32, index(2, -1, 0)}, []sums{{5, 6, 0, 0, 1, 2}}},
		{kernels.ScatterAdd{Rows: 2}, []kernels.Tensor64{x32, index(1, -1, 1)}, []sums{{0, 0, 6, 8}}},
		{kernels.ScatterAdd{Rows: 2, Onto: true}, []kernels.Tensor64{numbers(sums{10, 20}), numbers(sums{1, 2, 3}), index(0, 1, 0)}, []sums{{14, 22}}},
		{kernels.SegmentSum{}, []kernels.Tensor64{x32, index(0, 2, 3, 3), index(0, 2, 1)}, []sums{{6, 8, 3, 4, 0, 0}}},
		{kernels.Put{}, []kernels.Tensor64{numbers(sums{1, 2, 3}), numbers(sums{7, 8}), index(2, -1)}, []sums{{1, 2, 7}}},
		{kernels.RowDot{}, []kernels.Tensor64{x32, x32}, []sums{{5, 25, 61}}},
		{kernels.NormaliseRows{Eps: 1e-12}, []kernels.Tensor64{numbers(sums{3, 4, 0, 0}, 2, 2)}, []sums{{.6, .8, 0, 0}, {.2, 1e12}}},
		{kernels.SignedNoise{Scale: 2, Eps: 1e-12, Rows: true}, []kernels.Tensor64{numbers(sums{3, 0, -4, 5}, 4, 1), index(1, 0, 0, 0), index(7, 8, 9, -1)}, []sums{{5, 0, -6, 5}}},
		{kernels.LogSumExp{Similarity: kernels.Similarity{Scale: 2}}, []kernels.Tensor64{numbers(sums{1, 0}, 1, 2), numbers(sums{1, 0, 1, 5}, 2, 2)}, []sums{{2 + ln2}}},
		{kernels.LogSumExp{Similarity: kernels.Similarity{Scale: 1, Biased: true, Weighted: true, Excludes: true}}, []kernels.Tensor64{numbers(sums{0, 0, 0}, 3, 1),
			numbers(sums{1, 1, 1}, 3, 1), numbers(sums{3, -inf, 1}), numbers(sums{1, 0, .5}), index(0, 2, 2, -1), index(0, 0, 2, -1)}, []sums{{1, 0, -inf}}},
		{kernels.Adam{B1: .5, B2: .75, Eps: 0}, []kernels.Tensor64{scalar(1), scalar(2), scalar(12), scalar(4), numbers(sums{.1, 2, 1}), scalar(.5), scalar(1)},
			[]sums{{1 - .1*2*2/math.Sqrt(10)}, {2}, {10}}}, // g = 2, m = 1 + 1, v = 9 + 1
		{kernels.Adam{B1: .5, B2: .75, Decay: .5, Decoupled: true}, []kernels.Tensor64{scalar(1), scalar(2), scalar(12), scalar(2), numbers(sums{.1, 2, 1}), scalar(1),
			scalar(1)}, []sums{{.95 - .4/math.Sqrt(10)}, {2}, {10}}},
		{kernels.RowAdam{Adam: kernels.Adam{B1: .5, B2: .75}}, []kernels.Tensor64{numbers(sums{1, 1}, 2, 1), numbers(sums{2, 2}, 2, 1), numbers(sums{12, 12}, 2, 1), numbers(sums{4, nan}, 2, 1),
			index(1, -1), numbers(sums{.1, 2, 1}), scalar(.5), scalar(1)}, []sums{{1, 1 - .1*2*2/math.Sqrt(10)}, {2, 2}, {12, 10}}},
		{kernels.RowAdam{Adam: kernels.Adam{B1: .5, B2: .75}, Dense: true}, []kernels.Tensor64{numbers(sums{1, 1}, 2, 1), numbers(sums{2, 2}, 2, 1), numbers(sums{12, 12}, 2, 1),
			numbers(sums{4, nan}, 2, 1), index(1, -1), numbers(sums{.1, 2, 1}), scalar(.5), scalar(1)}, []sums{{1 - .1*2*1/math.Sqrt(9), 1 - .1*2*2/math.Sqrt(10)}, {1, 2}, {9, 10}}},
		{kernels.SGD{Decay: .5}, []kernels.Tensor64{scalar(2), scalar(3), numbers(sums{.1}), scalar(1), scalar(1)}, []sums{{1.6}}},
		{kernels.SGD{Momentum: .5}, []kernels.Tensor64{scalar(2), scalar(4), scalar(3), numbers(sums{.1}), scalar(1), scalar(1)}, []sums{{1.5}, {5}}},
		{kernels.SGD{Momentum: .5, Nesterov: true}, []kernels.Tensor64{scalar(2), scalar(4), scalar(3), numbers(sums{.1}), scalar(1), scalar(1)}, []sums{{1.45}, {5}}},
		{kernels.Adagrad{}, []kernels.Tensor64{scalar(1), scalar(16), scalar(3), numbers(sums{.5}), scalar(1), scalar(1)}, []sums{{.7}, {25}}},
		{kernels.RowAdagrad{}, []kernels.Tensor64{numbers(sums{1, 1}, 2, 1), numbers(sums{16, 9}, 2, 1), numbers(sums{3, nan}, 2, 1), index(0, -1), numbers(sums{.5}), scalar(1), scalar(1)},
			[]sums{{.7, 1}, {25, 9}}},
		{kernels.SGD{}, []kernels.Tensor64{scalar(2), scalar(nan), numbers(sums{.1}), scalar(1), scalar(0)}, []sums{{2}}},
		{kernels.Concat{Axis: 1}, []kernels.Tensor64{numbers(sums{1, 2}, 2, 1), numbers(sums{3, 4, 5, 6}, 2, 2)}, []sums{{1, 3, 4, 2, 5, 6}}},
		{kernels.Slice{Axis: 0, Beg: 1, End: 2}, []kernels.Tensor64{x32}, []sums{{3, 4}}},
		{kernels.Pad{Axis: 1, Before: 1}, []kernels.Tensor64{numbers(sums{1, 2}, 2, 1)}, []sums{{0, 1, 0, 2}}},
		{kernels.Permute{Order: [4]int{1, 0}}, []kernels.Tensor64{x32}, []sums{{1, 3, 5, 2, 4, 6}}},
		{kernels.Reshape{Shape: kernels.Of(kernels.Float64, 2, 3)}, []kernels.Tensor64{x32}, []sums{x32.F}},
		{kernels.Fill{Value: 7, Shape: kernels.Of(kernels.Float64, 2)}, nil, []sums{{7, 7}}},
		{kernels.Binary(kernels.Sub), []kernels.Tensor64{numbers(sums{1, 2, 3}), numbers(sums{10, 20}, 2, 1)}, []sums{{-9, -8, -7, -19, -18, -17}}},
		{kernels.MapOf(kernels.MapInstr{Op: kernels.AddImm, Imm: 1}, kernels.MapInstr{Op: kernels.Mul, A: -1, B: 0}), []kernels.Tensor64{numbers(sums{2, 3})}, []sums{{6, 12}}},
	} {
		for i, o := range apply(t, c.k, c.in...) {
			if !near(o.F, c.want[i], 1e-12) {
				t.Errorf("%s %+v: output %d is %v, want %v", c.k.Name(), c.k, i, o.F, c.want[i])
			}
		}
	}
}

func TestMapOperationsByHand(t *testing.T) {
	for _, c := range []struct {
		op            kernels.MapOp
		a, b, c, want float64
	}{
		{kernels.Copy, 3, 0, 0, 3}, {kernels.Neg, 3, 0, 0, -3}, {kernels.Sign, -3, 0, 0, -1}, {kernels.Sign, 0, 0, 0, 0}, {kernels.Sign, nan, 0, 0, nan},
		{kernels.Exp, 1, 0, 0, math.E}, {kernels.Log, math.E, 0, 0, 1}, {kernels.Sqrt, 9, 0, 0, 3}, {kernels.Recip, 4, 0, 0, .25},
		{kernels.Sigmoid, 0, 0, 0, .5}, {kernels.Sigmoid, -1000, 0, 0, 0}, {kernels.Tanh, math.Log(3) / 2, 0, 0, .5}, {kernels.ReLU, -1, 0, 0, 0},
		{kernels.ReLU, nan, 0, 0, nan}, {kernels.Softplus, 0, 0, 0, math.Ln2}, {kernels.Softplus, 1000, 0, 0, 1000}, {kernels.Softplus, -1000, 0, 0, 0},
		{kernels.Square, -3, 0, 0, 9}, {kernels.Positive, 0, 0, 0, 0}, {kernels.Positive, 1, 0, 0, 1}, {kernels.Positive, nan, 0, 0, 0},
		{kernels.Add, 1, 2, 0, 3}, {kernels.Sub, 1, 2, 0, -1}, {kernels.Mul, 2, 3, 0, 6}, {kernels.Div, 3, 2, 0, 1.5}, {kernels.Max, 1, nan, 0, nan},
		{kernels.Min, 1, 2, 0, 1}, {kernels.Equal, 2, 2, 0, 1}, {kernels.Equal, nan, nan, 0, 0}, {kernels.Greater, 2, 2, 0, 0}, {kernels.Greater, 3, 2, 0, 1},
		{kernels.Where, -1, 5, nan, 5}, {kernels.Where, 0, nan, 6, 6},
	} {
		if got := c.op.Apply(c.a, c.b, c.c, 0); !near(sums{got}, sums{c.want}, 1e-15) {
			t.Errorf("%v(%v, %v, %v) = %v, want %v", c.op, c.a, c.b, c.c, got, c.want)
		}
	}
	for op, want := range map[kernels.MapOp]float64{kernels.Scale: -6, kernels.AddImm: 1, kernels.MaxImm: 3} {
		if got := op.Apply(-2, 0, 0, 3); got != want {
			t.Errorf("%v(-2) with 3 = %v, want %v", op, got, want)
		}
	}
}
