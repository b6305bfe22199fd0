package cpu

import (
	"fmt"
	"math"
	"testing"

	"nearfar/kernels"
)

// A sum over nothing is 0, whatever the output held; a product without rows or columns writes nothing.
func TestMatMulOfNothing(t *testing.T) {
	for _, s := range each() {
		for _, c := range []struct{ m, k, n int }{{3, 0, 4}, {40, 0, 33}, {2, 0, 2000}, {0, 3, 4}, {3, 4, 0}, {0, 0, 0}} {
			t.Run(fmt.Sprint(s.Name(), "/", c), func(t *testing.T) {
				real := func(dims ...int) Tensor {
					d := kernels.Of(kernels.Float32, dims...)
					return Tensor{Desc: d, F32: make([]float32, d.Elems())}
				}
				out := real(c.m, c.n)
				for i := range out.F32 {
					out.F32[i] = float32(math.NaN())
				}
				in := []Tensor{real(c.m, c.k), real(c.k, c.n)}
				scratch := make([]byte, s.Scratch(kernels.MatMul{}, descs([]Tensor{out}), descs(in)))
				w, err := s.Bind(kernels.MatMul{}, []Tensor{out}, in, scratch)
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range w {
					for chunk := range p.Chunks {
						p.Run(chunk)
					}
				}
				for i, v := range out.F32 {
					if v != 0 {
						t.Fatalf("element %d is %v", i, v)
					}
				}
			})
		}
	}
}
