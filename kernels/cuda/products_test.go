//go:build gpu && linux && amd64 && cgo

package cuda_test

import (
	"math"
	"testing"

	"nearfar/kernels"
	"nearfar/kernels/kerneltest"
	"nearfar/kernels/philox"
)

// TestLongProducts: sums so long that they are cut into parts, which the suite's sizes do not reach.
func TestLongProducts(t *testing.T) {
	s := newOnDevice(t)
	words := philox.New(1, "long products").Sequence(0, 0)
	for _, size := range [][3]int{{3, 5, 1024}, {8, 4, 4097}, {5, 3, 2052}, {130, 2, 3000}} {
		for i := range 4 {
			k := kernels.MatMul{TransA: i&1 != 0, TransB: i&2 != 0}
			m, n, inner := size[0], size[1], size[2]
			operand := func(rows, cols int, transposed bool) (kernels.Tensor64, kerneltest.Tensor) {
				if transposed {
					rows, cols = cols, rows
				}
				x := kernels.NewTensor64(kernels.Of(kernels.Float32, rows, cols))
				y := kerneltest.Tensor{Desc: x.Desc, F32: make([]float32, len(x.F))}
				for i := range x.F {
					y.F32[i] = float32(philox.Normal(words.Word(), words.Word()))
					x.F[i] = float64(y.F32[i])
				}
				return x, y
			}
			a64, a := operand(m, inner, k.TransA)
			b64, b := operand(inner, n, k.TransB)
			want, got := operand(m, n, false)
			k.Ref([]kernels.Tensor64{want}, []kernels.Tensor64{a64, b64})
			run, err := s.Bind(k, []kerneltest.Tensor{got}, []kerneltest.Tensor{a, b}, 1)
			if err != nil {
				t.Fatal(err)
			}
			if err := run(); err != nil {
				t.Fatal(err)
			}
			// A part of 256 terms is off by its largest partial sum times 2^-24 or so for each term; all of that is far below this.
			limit := 1e-5 * math.Sqrt(float64(inner))
			for i, v := range want.F {
				if math.Abs(float64(got.F32[i])-v) > limit {
					t.Fatalf("%+v %v: [%d] is %v, want %v", k, size, i, got.F32[i], v)
				}
			}
		}
	}
}
