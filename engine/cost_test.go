package engine_test

import (
	"testing"

	"nearfar/engine"
	"nearfar/kernels"
)

func TestCost(t *testing.T) {
	real := func(dims ...int) kernels.Desc { return kernels.Of(kernels.Float32, dims...) }
	ids := func(n int) kernels.Desc { return kernels.Of(kernels.Int32, n) }
	const n, d, b = 100, 64, 10
	table, scalar, small, clock := real(n, d), real(), kernels.Of(kernels.BFloat16, n, d), ids(4)
	for _, c := range []struct {
		k            kernels.Kernel
		in           []kernels.Desc
		flops, bytes int64
	}{
		{kernels.SpMM{Scaled: true}, []kernels.Desc{table, ids(n), ids(n), ids(700), real(n), real(n)}, 2 * 700 * d, 700*(4*d+8) + n*4*d},
		{kernels.SpMM{}, []kernels.Desc{table, ids(n), ids(n), ids(700)}, 2 * 700 * d, 700*(4*d+4) + n*4*d},
		{kernels.LogSumExpWithGrad{}, []kernels.Desc{real(b, d), table, real(b)}, 6 * b * n * d, 4 * (2*b*d + 2*n*d + 2*b)},
		{kernels.LogSumExpGrad{}, []kernels.Desc{real(b, d), table, real(b), real(b)}, 6 * b * n * d, 4 * (2*b*d + 2*n*d + 2*b)},
		{kernels.Adam{}, []kernels.Desc{table, table, table, table, real(3), scalar, scalar}, 12 * n * d, 28*n*d + 20},
		{kernels.RowAdam{}, []kernels.Desc{table, table, table, real(b, d), ids(b), real(3), scalar, scalar}, 12 * b * d, 28*b*d + 4*b + 20},
		{kernels.Adam{Moments16: true}, []kernels.Desc{table, small, small, table, clock, real(3), scalar, scalar}, 12 * n * d, 20*n*d + 20 + 16},
		{kernels.RowAdam{Adam: kernels.Adam{Moments16: true}}, []kernels.Desc{table, small, small, real(b, d), ids(b), clock, real(3), scalar, scalar}, 12 * b * d, 20*b*d + 4*b + 20 + 16},
		{kernels.RowAdam{Dense: true}, []kernels.Desc{table, table, table, real(b, d), ids(b), real(3), scalar, scalar}, 12 * n * d, 24*n*d + 4*b*d + 4*b + 20},
		{kernels.RowAdagrad{}, []kernels.Desc{table, table, real(b, d), ids(b), real(1), scalar, scalar}, 6 * b * d, 20*b*d + 4*b + 12},
		{kernels.Gather{}, []kernels.Desc{table, ids(b)}, 0, 8*b*d + 4*b},
		{kernels.Put{}, []kernels.Desc{table, real(b, d), ids(b)}, 0, 8*b*d + 4*b},
	} {
		out, err := c.k.Infer(c.in)
		if err != nil {
			t.Fatal(err)
		}
		if flops, bytes := engine.Cost(c.k, out, c.in); flops != c.flops || bytes != c.bytes {
			t.Errorf("%s %+v: %d FLOPs and %d bytes, want %d and %d", c.k.Name(), c.k, flops, bytes, c.flops, c.bytes)
		}
	}
}
