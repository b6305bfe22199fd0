package graph

import (
	"testing"

	"nearfar/kernels"
	"nearfar/kernels/cpu"
)

// BenchmarkSpMMYelp2018 propagates 64 columns over the real graph, whose sorted neighbours and popular items are what caches see in training:
//
//	go test ./trainer/graph -run - -bench SpMM -cpu 1
func BenchmarkSpMMYelp2018(b *testing.B) {
	g, err := New(yelp2018(b))
	if err != nil {
		b.Fatal(err)
	}
	const d = 64
	real := func(dims ...int) cpu.Tensor {
		t := cpu.Tensor{Desc: kernels.Of(kernels.Float32, dims...)}
		t.F32 = make([]float32, t.Desc.Elems())
		for i := range t.F32 {
			t.F32[i] = .1
		}
		return t
	}
	ids := func(v []int32) cpu.Tensor { return cpu.Tensor{Desc: kernels.Of(kernels.Int32, len(v)), I32: v} }
	n := g.Nodes()
	in := []cpu.Tensor{real(n, d), ids(g.Beg()), ids(g.End()), ids(g.Col), real(n), real(n)}
	for _, s := range cpu.Sets() {
		b.Run(s.Name(), func(b *testing.B) {
			w, err := s.Bind(kernels.SpMM{Scaled: true}, []cpu.Tensor{real(n, d)}, in, nil)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(g.Col)*(4*d+8) + n*4*d))
			for b.Loop() {
				for _, p := range w {
					for chunk := range p.Chunks {
						p.Run(chunk)
					}
				}
			}
		})
	}
}
