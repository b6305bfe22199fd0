//go:build gpu && linux && amd64 && cgo

package cuda_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"nearfar/kernels"
	"nearfar/kernels/kerneltest"
)

// sparse is a matrix of positive numbers, so that a sum in floats is as good as its terms.
type sparse struct {
	n        int // columns
	in       []kernels.Tensor64
	uniform  func(dims ...int) kernels.Tensor64
	rowScale []float64
}

// newSparse draws a matrix whose rows are the given parts of nnz edges.
func newSparse(n, nnz int, rows [][2]int32) sparse {
	r := rand.New(rand.NewPCG(1, 2))
	uniform := func(dims ...int) kernels.Tensor64 {
		x := kernels.NewTensor64(kernels.Of(kernels.Float32, dims...))
		for i := range x.F {
			x.F[i] = float64(float32(r.Float64()))
		}
		return x
	}
	ids := func(n int) kernels.Tensor64 { return kernels.NewTensor64(kernels.Of(kernels.Int32, n)) }
	beg, end, col := ids(len(rows)), ids(len(rows)), ids(nnz)
	for i, row := range rows {
		beg.I[i], end.I[i] = row[0], row[1]
	}
	for i := range col.I {
		col.I[i] = r.Int32N(int32(n))
	}
	rowScale := uniform(len(rows))
	return sparse{n, []kernels.Tensor64{{}, beg, end, col, rowScale, uniform(n), uniform(nnz)}, uniform, rowScale.F}
}

// times multiplies by a dense matrix of so many columns on a device, and holds the result to the reference.
func (a sparse) times(t *testing.T, s *onDevice, columns int) []float32 {
	t.Helper()
	k := kernels.SpMM{Scaled: true, Valued: true}
	a.in[0] = a.uniform(a.n, columns)
	want := kernels.NewTensor64(kernels.Of(kernels.Float32, len(a.rowScale), columns))
	k.Ref([]kernels.Tensor64{want}, a.in)
	operands := make([]kerneltest.Tensor, len(a.in))
	for i, x := range a.in {
		operands[i] = kerneltest.Tensor{Desc: x.Desc, I32: x.I}
		for _, v := range x.F {
			operands[i].F32 = append(operands[i].F32, float32(v))
		}
	}
	got := kerneltest.Tensor{Desc: want.Desc, F32: make([]float32, want.Desc.Elems())}
	for i := range got.F32 {
		got.F32[i] = float32(math.NaN())
	}
	run, err := s.Bind(k, []kerneltest.Tensor{got}, operands, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := run(); err != nil {
		t.Fatal(err)
	}
	if err := s.release(); err != nil {
		t.Fatal(err)
	}
	for i, v := range want.F {
		if g := float64(got.F32[i]); !(math.Abs(g-v) <= 1e-5*v) {
			t.Fatalf("%d columns: [%d, %d] is %v, want %v", columns, i/columns, i%columns, g, v)
		}
	}
	return got.F32
}

// TestSpMMWidths goes through every number of lanes, and of rounds over the columns, with rows round the length from which a block takes them.
func TestSpMMWidths(t *testing.T) {
	d := newOnDevice(t)
	var rows [][2]int32
	nnz := int32(0)
	for _, n := range []int32{0, 1, 31, 32, 33, 35, 127, 128, 129, 1, 600, 2, 3, 160, 64, 5_000, 0, 40} {
		rows = append(rows, [2]int32{nnz, nnz + n})
		nnz += n + n%3
	}
	a := newSparse(50, int(nnz), rows)
	for _, columns := range []int{1, 2, 3, 4, 5, 8, 9, 12, 20, 31, 32, 33, 36, 40, 64, 66, 68, 128, 132, 256, 260} {
		a.times(t, d, columns)
	}
}

// TestSpMMSplitsRows multiplies a matrix that is large enough for its rows to be split between blocks, which those of the suite are not.
func TestSpMMSplitsRows(t *testing.T) {
	d := newOnDevice(t)
	const piece, nnz = 2_048, 1 << 22
	const hub, tail = 40*piece + 77, nnz - 31*piece - 5
	a := newSparse(1_000, nnz, [][2]int32{
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
	})
	a.rowScale[6] = a.rowScale[0]
	for _, columns := range []int{4, 3} {
		y := a.times(t, d, columns)
		for j := range columns {
			if one, many := y[j], y[6*columns+j]; one != many {
				t.Errorf("%d columns: the row's own block gives %v, the blocks of its pieces %v", columns, one, many)
			}
		}
	}
}
