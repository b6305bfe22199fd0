package cpu_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"nearfar/kernels"
	"nearfar/kernels/cpu"
)

// problem is a kernel at the size of yelp2018 with the work that it stands for.
type problem struct {
	name         string
	k            kernels.Kernel
	in           []cpu.Tensor
	flops, bytes float64
}

func real32(r *rand.Rand, dims ...int) cpu.Tensor {
	t := cpu.Tensor{Desc: kernels.Of(kernels.Float32, dims...)}
	t.F32 = make([]float32, t.Desc.Elems())
	for i := range t.F32 {
		t.F32[i] = float32(r.NormFloat64()) / 8
	}
	return t
}

func index(v []int32) cpu.Tensor {
	return cpu.Tensor{Desc: kernels.Of(kernels.Int32, len(v)), I32: v}
}

func constant(v float32, dims ...int) cpu.Tensor {
	t := cpu.Tensor{Desc: kernels.Of(kernels.Float32, dims...)}
	t.F32 = make([]float32, t.Desc.Elems())
	for i := range t.F32 {
		t.F32[i] = v
	}
	return t
}

// graph has m rows and nnz edges; both ends are drawn with squared preference for the first, as popular items are.
func graph(r *rand.Rand, m, nnz int) (beg, end, col []int32) {
	degree := make([]int32, m+1)
	draw := func() int32 { u := r.Float64(); return int32(u * u * float64(m)) }
	for range nnz {
		degree[r.IntN(m)+1]++
	}
	for i := range m {
		degree[i+1] += degree[i]
	}
	for range nnz {
		col = append(col, draw())
	}
	return degree[:m], degree[1:], col
}

func problems() []problem {
	r := rand.New(rand.NewPCG(1, 2))
	const n, d, nnz = 70_000, 64, 2_500_000
	beg, end, col := graph(r, n, nnz)
	table := real32(r, n, d)
	spmm := []cpu.Tensor{table, index(beg), index(end), index(col), constant(.1, n), constant(.1, n)}
	contrast := func(cols int) problem {
		s := kernels.Similarity{Scale: 5, Bound: 6}
		x, y := real32(r, 2048, d), real32(r, cols, d)
		return problem{fmt.Sprintf("LogSumExpWithGrad/2048x%d", cols), kernels.LogSumExpWithGrad{Similarity: s}, []cpu.Tensor{x, y, constant(1, 2048)},
			6 * 2048 * float64(cols) * d, 0}
	}
	forward := contrast(38_000)
	forward.name, forward.k, forward.in = "LogSumExp/2048x38000", kernels.LogSumExp{Similarity: kernels.Similarity{Scale: 5, Bound: 6}}, forward.in[:2]
	forward.flops /= 3
	state := func() cpu.Tensor { return constant(.01, n, d) }
	return []problem{
		{"SpMM", kernels.SpMM{Scaled: true}, spmm, 2 * nnz * d, nnz*(4*d+8) + n*4*d},
		contrast(2048), contrast(38_000), forward,
		{"Adam", kernels.Adam{B1: .9, B2: .999, Eps: 1e-8}, []cpu.Tensor{table, state(), state(), real32(r, n, d), constant(.001, 3), constant(1), constant(1)},
			0, 28 * n * d},
		{"SGD", kernels.SGD{Momentum: .9}, []cpu.Tensor{table, state(), real32(r, n, d), constant(.001, 1), constant(1), constant(1)}, 0, 20 * n * d},
		{"Adagrad", kernels.Adagrad{Eps: 1e-8}, []cpu.Tensor{table, state(), real32(r, n, d), constant(.001, 1), constant(1), constant(1)}, 0, 20 * n * d},
		{"MatMul/512", kernels.MatMul{}, []cpu.Tensor{real32(r, 512, 512), real32(r, 512, 512)}, 2 * 512 * 512 * 512, 0},
		{"Uniform", kernels.Random{Stream: 1, Shape: table.Desc}, []cpu.Tensor{index(make([]int32, 4))}, 0, 4 * n * d},
		{"Bernoulli", kernels.Random{Distribution: kernels.Bernoulli, P: .9, Stream: 1, Shape: table.Desc}, []cpu.Tensor{index(make([]int32, 4))}, 0, 4 * n * d},
		{"NormaliseRows", kernels.NormaliseRows{Eps: 1e-12}, []cpu.Tensor{table}, 0, 8 * n * d},
		{"NormaliseRowsGrad", kernels.NormaliseRowsGrad{}, []cpu.Tensor{table, constant(.1, n), real32(r, n, d)}, 0, 12 * n * d},
		{"Map/add", kernels.Binary(kernels.Add), []cpu.Tensor{table, real32(r, n, d)}, 0, 12 * n * d},
		{"Map/noise", kernels.MapOf(
			kernels.MapInstr{Op: kernels.Sign, A: 0}, kernels.MapInstr{Op: kernels.Mul, A: -1, B: 1}, kernels.MapInstr{Op: kernels.Scale, A: -2, Imm: .1},
			kernels.MapInstr{Op: kernels.Add, A: 0, B: -3}), []cpu.Tensor{table, real32(r, n, d)}, 0, 12 * n * d},
		{"Sum", kernels.Reduce{Axes: kernels.AllAxes}, []cpu.Tensor{table}, 0, 4 * n * d},
		{"AllFinite", kernels.Reduce{Op: kernels.AllFinite, Axes: kernels.AllAxes}, []cpu.Tensor{table}, 0, 4 * n * d},
	}
}

func alone(work cpu.Work) {
	for _, p := range work {
		for c := range p.Chunks {
			p.Run(c)
		}
	}
}

// BenchmarkKernels reports GF/s and GB/s of one thread.
func BenchmarkKernels(b *testing.B) {
	for _, p := range problems() {
		for _, s := range cpu.Sets() {
			b.Run(p.name+"/"+s.Name(), func(b *testing.B) {
				want, err := p.k.Infer(described(p.in))
				if err != nil {
					b.Fatal(err)
				}
				var out []cpu.Tensor
				for i, d := range want {
					switch p.k.(type) {
					case kernels.Adam, kernels.SGD, kernels.Adagrad: // in place, as in every plan
						out = append(out, p.in[i])
					default:
						out = append(out, constant(0, d.Shape()...))
					}
				}
				work, err := s.Bind(p.k, out, p.in, aligned(s.Scratch(p.k, want, described(p.in))))
				if err != nil {
					b.Fatal(err)
				}
				alone(work)
				b.ReportAllocs()
				start := processorTime()
				for b.Loop() {
					alone(work)
				}
				per := float64(processorTime()-start) / float64(b.N)
				b.ReportMetric(per, "cpu-ns/op")
				if p.flops > 0 {
					b.ReportMetric(p.flops/per, "GF/s")
				}
				if p.bytes > 0 {
					b.ReportMetric(p.bytes/per, "GB/s")
				}
			})
		}
	}
}
