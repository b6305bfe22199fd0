package cpu

import (
	"fmt"
	"testing"

	"nearfar/kernels"
)

// A column that is no row of X, and a row's part that is outside the columns, panic in every set: none reads other memory.
func TestSpMMStaysInside(t *testing.T) {
	const rows, edges = 3, 5
	tests := []struct {
		name          string
		beg, end, col []int32
		wrong         bool
	}{
		{"within", []int32{0, 2}, []int32{2, 5}, []int32{0, 2, 1, 1, 0}, false},
		{"outside every row's part", []int32{0, 3}, []int32{2, 5}, []int32{0, 2, -1, 1, 0}, false},
		{"an end before its beginning", []int32{0, 5}, []int32{2, 3}, []int32{0, 2, 1, 1, 0}, false},
		{"above", []int32{0, 2}, []int32{2, 5}, []int32{0, 3, 1, 1, 0}, true},
		{"below", []int32{0, 2}, []int32{2, 5}, []int32{0, 1, 1, 1, -1}, true},
		{"far below", []int32{0, 2}, []int32{2, 5}, []int32{0, 1, 1, -1 << 31, 1}, true},
		{"behind the last edge", []int32{0, 2}, []int32{2, 6}, []int32{0, 1, 1, 1, 1}, true},
		{"before the first", []int32{-1, 2}, []int32{2, 5}, []int32{0, 1, 1, 1, 1}, true},
	}
	for _, s := range each() {
		for _, d := range []int{8, 64, 72} {
			for _, c := range tests {
				t.Run(fmt.Sprint(s.Name(), "/", d, "/", c.name), func(t *testing.T) {
					real := func(n, d int) Tensor {
						return Tensor{Desc: kernels.Of(kernels.Float32, n, d), F32: make([]float32, n*d, 2*n*d)}
					}
					ids := func(v []int32) Tensor {
						room := append(make([]int32, 0, 2*len(v)), v...) // what lies behind is memory too
						return Tensor{Desc: kernels.Of(kernels.Int32, len(v)), I32: room}
					}
					w, err := s.Bind(kernels.SpMM{}, []Tensor{real(2, d)}, []Tensor{real(rows, d), ids(c.beg), ids(c.end), ids(c.col[:edges])}, nil)
					if err != nil {
						t.Fatal(err)
					}
					defer func() {
						if r := recover(); (r != nil) != c.wrong {
							t.Errorf("the panic is %v", r)
						}
					}()
					for _, p := range w {
						for chunk := range p.Chunks {
							p.Run(chunk)
						}
					}
				})
			}
		}
	}
}
