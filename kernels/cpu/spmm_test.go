package cpu

import (
	"fmt"
	"math/rand/v2"
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
		for i := range 9 {
			d, k := []int{8, 64, 72}[i/3], kernels.SpMM{ZeroRows: i%3 > 0, Valued: i%3 > 1}
			for _, c := range tests {
				t.Run(fmt.Sprint(s.Name(), "/", d, "/", k, "/", c.name), func(t *testing.T) {
					real := func(n, d int) Tensor {
						return Tensor{Desc: kernels.Of(kernels.Float32, n, d), F32: make([]float32, n*d, 2*n*d)}
					}
					ids := func(v []int32) Tensor {
						room := append(make([]int32, 0, 2*len(v)), v...) // what lies behind is memory too
						return Tensor{Desc: kernels.Of(kernels.Int32, len(v)), I32: room}
					}
					in := []Tensor{real(rows, d), ids(c.beg), ids(c.end), ids(c.col[:edges])}
					if k.Valued {
						in = append(in, Tensor{Desc: kernels.Of(kernels.Float32, edges), F32: make([]float32, edges, 2*edges)})
					}
					w, err := s.Bind(k, []Tensor{real(2, d)}, in, make([]byte, 64))
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

// A row of more edges than a call of assembly has goes on in the next call, between rows that do not, and with columns in several blocks.
func TestSpMMLongRows(t *testing.T) {
	const n, edges = 50, 40_000
	r := rand.New(rand.NewPCG(3, 4))
	col := make([]int32, edges)
	for e := range col {
		col[e] = int32(r.IntN(n))
	}
	beg, end := []int32{0, 10, 30_000, 30_000}, []int32{10, 30_000, 30_000, edges}
	ids := func(v []int32) Tensor { return Tensor{Desc: kernels.Of(kernels.Int32, len(v)), I32: v} }
	real := func(dims ...int) Tensor {
		t := Tensor{Desc: kernels.Of(kernels.Float32, dims...)}
		for range t.Desc.Elems() {
			t.F32 = append(t.F32, r.Float32())
		}
		return t
	}
	for _, d := range []int{8, 64, 128, 248} {
		in := []Tensor{real(n, d), ids(beg), ids(end), ids(col), real(len(beg)), real(n), real(edges)}
		var want []float32
		for _, s := range each() {
			y := real(len(beg), d)
			w, err := s.Bind(kernels.SpMM{Scaled: true, Valued: true}, []Tensor{y}, in, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range w {
				for chunk := range p.Chunks {
					p.Run(chunk)
				}
			}
			if want == nil { // plain Go
				want = y.F32
			}
			for i, v := range y.F32 {
				if diff := v - want[i]; diff > 1e-4*want[i] || diff < -1e-4*want[i] {
					t.Fatalf("%s, d %d: y[%d, %d] is %g, not %g", s.Name(), d, i/d, i%d, v, want[i])
				}
			}
		}
	}
}

// A row is zeros where every element is, wherever it begins in memory.
func TestZeros(t *testing.T) {
	for n := range 20 {
		x, y := make([]float32, n+1)[1:], make([]float64, n)
		if !zeros(x) || !zeros(y) || !zeros(x[:n/2]) {
			t.Errorf("%d zeros are not", n)
		}
		for i := range n {
			x[i], y[i] = 1e-40, 1e-310
			if zeros(x) || zeros(y) {
				t.Errorf("element %d of %d is not seen", i, n)
			}
			x[i], y[i] = 0, 0
		}
	}
}
