//go:build gpu && linux && amd64 && cgo

package cuda_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"nearfar/kernels"
	"nearfar/kernels/cuda/device"
	"nearfar/kernels/cuda/driver"
	"nearfar/kernels/kerneltest"
)

// TestSpMMSplitsRows multiplies a matrix that is large enough for its rows to be split between blocks, which those of the suite are not.
func TestSpMMSplitsRows(t *testing.T) {
	if err := driver.Available(); err != nil {
		t.Skipf("%v; with the emulated driver: make test-gpu", err)
	}
	d, err := device.Open(0)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()

	const n, piece, nnz = 1_000, 2_048, 1 << 22
	const hub, tail = 40*piece + 77, nnz - 31*piece - 5
	rows := [][2]int32{
		{0, hub},
		{hub, hub + 5},
		{hub + 5, hub + 5},
		{hub + 5, hub + 2*piece + 4},             // one edge short of two pieces
		{hub + 2*piece + 4, hub + 4*piece + 4},   // two
		{hub + 4*piece + 4, hub + 8*piece + 3},   // three, the last nearly two
		{0, hub},                                 // the edges of row 0: this one has the slots, and the block of row 0 does all its pieces
		{hub + 3*piece, hub + 6*piece},           // shares slots with rows 4 and 5
		{hub + 8*piece + 3, hub + 8*piece + 131}, // a warp's longest
		{hub + 9*piece, hub + 9*piece + 129},     // a block's shortest
		{tail - 9*piece, tail},
		{tail, nnz}, // up to the last edge
		{nnz, nnz},
		{nnz - 129, nnz},
		{nnz - 128, nnz},
	}
	r := rand.New(rand.NewPCG(1, 2))
	uniform := func(dims ...int) kernels.Tensor64 {
		x := kernels.NewTensor64(kernels.Of(kernels.Float32, dims...))
		for i := range x.F {
			x.F[i] = float64(float32(r.Float64()))
		}
		return x
	}
	ids := func(n int, f func(i int) int32) kernels.Tensor64 {
		x := kernels.NewTensor64(kernels.Of(kernels.Int32, n))
		for i := range x.I {
			x.I[i] = f(i)
		}
		return x
	}
	beg, end := ids(len(rows), func(i int) int32 { return rows[i][0] }), ids(len(rows), func(i int) int32 { return rows[i][1] })
	col := ids(nnz, func(int) int32 { return r.Int32N(n) })
	rowScale, colScale, val := uniform(len(rows)), uniform(n), uniform(nnz)
	rowScale.F[6] = rowScale.F[0]

	for _, columns := range []int{4, 3} {
		k := kernels.SpMM{Scaled: true, Valued: true}
		in := []kernels.Tensor64{uniform(n, columns), beg, end, col, rowScale, colScale, val}
		want := kernels.NewTensor64(kernels.Of(kernels.Float32, len(rows), columns))
		k.Ref([]kernels.Tensor64{want}, in)
		operands := make([]kerneltest.Tensor, len(in))
		for i, x := range in {
			operands[i] = kerneltest.Tensor{Desc: x.Desc, I32: x.I}
			for _, v := range x.F {
				operands[i].F32 = append(operands[i].F32, float32(v))
			}
		}
		got := kerneltest.Tensor{Desc: want.Desc, F32: make([]float32, want.Desc.Elems())}
		for i := range got.F32 {
			got.F32[i] = float32(math.NaN())
		}
		s := &onDevice{device: d}
		run, err := s.Bind(k, []kerneltest.Tensor{got}, operands, 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := run(); err != nil {
			t.Fatal(err)
		}
		for i, v := range want.F { // all terms are positive
			if g := float64(got.F32[i]); !(math.Abs(g-v) <= 1e-5*v) {
				t.Errorf("%d columns, row %d: %v, want %v", columns, i/columns, g, v)
			}
		}
		for j := range columns {
			if a, b := got.F32[j], got.F32[6*columns+j]; a != b {
				t.Errorf("%d columns: a row's own block gives %v, the blocks of its pieces %v", columns, a, b)
			}
		}
		if err := s.release(); err != nil {
			t.Fatal(err)
		}
	}
}
