package cpu_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"nearfar/kernels"
	"nearfar/kernels/cpu"
)

// The conformance suite keeps its shapes small. Here are those at which work is cut: several blocks, groups, panels and parts.

func gaussian(r *rand.Rand, dims ...int) kernels.Tensor64 {
	t := kernels.NewTensor64(kernels.Of(kernels.Float64, dims...))
	for i := range t.F {
		t.F[i] = r.NormFloat64() / 4
	}
	return t
}

func vector(n int, f func(i int) float64) kernels.Tensor64 {
	t := kernels.NewTensor64(kernels.Of(kernels.Float64, n))
	for i := range t.F {
		t.F[i] = f(i)
	}
	return t
}

func indexes(v ...int32) kernels.Tensor64 {
	return kernels.Tensor64{Desc: kernels.Of(kernels.Int32, len(v)), I: v}
}

// lower gives an operand of type t filled with NaN, or with the values of from.
func lower(t kernels.DType, d kernels.Desc, from *kernels.Tensor64) cpu.Tensor {
	if d.Type == kernels.Int32 {
		x := cpu.Tensor{Desc: d, I32: make([]int32, d.Elems())}
		if from != nil {
			copy(x.I32, from.I)
		}
		return x
	}
	x := cpu.Tensor{Desc: d.As(t)}
	for i := range d.Elems() {
		v := math.NaN()
		if from != nil {
			v = from.F[i]
		}
		if t == kernels.Float32 {
			x.F32 = append(x.F32, float32(v))
		} else {
			x.F64 = append(x.F64, v)
		}
	}
	return x
}

// difference is the largest deviation from the reference, relative to its largest element.
func difference(x cpu.Tensor, ref kernels.Tensor64) float64 {
	norm, worst := 0.0, 0.0
	for i, want := range ref.F {
		have := want
		if x.F32 != nil {
			have = float64(x.F32[i])
		} else {
			have = x.F64[i]
		}
		if have == want {
			continue
		}
		norm = max(norm, math.Abs(want))
		d := math.Abs(have - want)
		if math.IsNaN(d) {
			return math.Inf(1)
		}
		worst = max(worst, d)
	}
	return worst / max(norm, 1e-300)
}

func bound(t *testing.T, s cpu.Set, k kernels.Kernel, out, in []cpu.Tensor) cpu.Work {
	t.Helper()
	work, err := s.Bind(k, out, in, aligned(s.Scratch(k, described(out), described(in))))
	if err != nil {
		t.Fatal(err)
	}
	return work
}

func TestShapesAtWhichWorkIsCut(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	cases := []struct {
		name string
		k    kernels.Kernel
		in   []kernels.Tensor64
	}{
		{"long inner dimension", kernels.MatMul{}, []kernels.Tensor64{gaussian(r, 5, 5000), gaussian(r, 5000, 7)}},
		{"weight gradient", kernels.MatMul{TransA: true}, []kernels.Tensor64{gaussian(r, 3000, 19), gaussian(r, 3000, 33)}},
		{"rows and columns", kernels.MatMul{TransB: true}, []kernels.Tensor64{gaussian(r, 130, 40), gaussian(r, 1100, 40)}},
		{"batch", kernels.MatMul{TransA: true, TransB: true}, []kernels.Tensor64{gaussian(r, 40, 9, 20), gaussian(r, 40, 18, 9)}},
		{"narrow", kernels.MatMul{}, []kernels.Tensor64{gaussian(r, 300, 300), gaussian(r, 300, 3)}},
		{"sum of all", kernels.Reduce{Axes: kernels.AllAxes}, []kernels.Tensor64{gaussian(r, 300_000)}},
		{"columns", kernels.Reduce{Op: kernels.SumSquares, Axes: kernels.Axis(0)}, []kernels.Tensor64{gaussian(r, 5000, 33)}},
		{"columns, log", kernels.Reduce{Op: kernels.LogSumExps, Axes: kernels.Axis(0)}, []kernels.Tensor64{gaussian(r, 5000, 17)}},
		{"all, log", kernels.Reduce{Op: kernels.LogSumExps, Axes: kernels.AllAxes}, []kernels.Tensor64{gaussian(r, 100_000)}},
		{"not neighbours", kernels.Reduce{Axes: kernels.Axis(0) | kernels.Axis(2)}, []kernels.Tensor64{gaussian(r, 50, 7, 300)}},
		{"long map", kernels.MapOf(kernels.MapInstr{Op: kernels.Exp}, kernels.MapInstr{Op: kernels.Mul, A: -1, B: 1},
			kernels.MapInstr{Op: kernels.Sub, A: -2, B: 2}), []kernels.Tensor64{gaussian(r, 900, 70), gaussian(r, 900, 1), gaussian(r, 70)}},
	}
	for _, c := range cases {
		check(t, c.name, c.k, c.in)
	}
}

// Adam with a gradient by rows is Adam of the scattered gradient, to the bit, wherever the table is cut: a part has no rows, or some at its ends, and
// begins within a block of random words.
func TestRowAdamDenseOverManyParts(t *testing.T) {
	const n, d = 1500, 35 // parts of 234 rows
	rows := []int32{0, 1, 233, 234, 235, 467, 900, 936, 1169, 1170, n - 1, -1, -1}
	r := rand.New(rand.NewPCG(7, 8))
	number := func(dims ...int) cpu.Tensor {
		x := gaussian(r, dims...)
		return lower(kernels.Float32, x.Desc, &x)
	}
	p, m, v, g := number(n, d), number(n, d), number(n, d), number(len(rows), d)
	scattered := lower(kernels.Float32, p.Desc, nil)
	clear(scattered.F32)
	for k, row := range rows {
		if row >= 0 {
			copy(scattered.F32[int(row)*d:][:d], g.F32[k*d:])
		}
	}
	for i, x := range v.F32 {
		v.F32[i] = x * x
	}
	halved := func(x cpu.Tensor) cpu.Tensor {
		h := cpu.Tensor{Desc: x.Desc.As(kernels.BFloat16)}
		for _, v := range x.F32 {
			h.B16 = append(h.B16, kernels.ToBFloat16(v))
		}
		return h
	}
	ids := cpu.Tensor{Desc: kernels.Of(kernels.Int32, len(rows)), I32: rows}
	clock := []cpu.Tensor{{Desc: kernels.Of(kernels.Int32, 4), I32: []int32{1, 0, 7, 0}}}
	one := cpu.Tensor{Desc: kernels.Of(kernels.Float32), F32: []float32{1}}
	rest := []cpu.Tensor{{Desc: kernels.Of(kernels.Float32, 3), F32: []float32{.1, 1.5, 1.2}}, one, one}
	adam := kernels.Adam{B1: .9, B2: .999, Eps: 1e-8, Decay: .01}
	for _, s := range cpu.Sets() {
		for _, adam.Moments16 = range []bool{false, true} {
			states, clock := []cpu.Tensor{p, m, v}, clock
			if adam.Moments16 {
				states = []cpu.Tensor{p, halved(m), halved(v)}
			} else {
				clock = nil
			}
			step := func(k kernels.Kernel, gradient ...cpu.Tensor) (out []cpu.Tensor) {
				for _, x := range states {
					out = append(out, cpu.Tensor{Desc: x.Desc, F32: slices.Clone(x.F32), B16: slices.Clone(x.B16)})
				}
				run(bound(t, s, k, out, slices.Concat(out, gradient, clock, rest)), 3) // in place: an element takes one step
				return out
			}
			want, got := step(adam, scattered), step(kernels.RowAdam{Adam: adam, Dense: true}, g, ids)
			for i := range want {
				if !slices.Equal(got[i].F32, want[i].F32) || !slices.Equal(got[i].B16, want[i].B16) {
					t.Errorf("%s, moments in 16 bits %v: output %d is not that of the scattered gradient", s.Name(), adam.Moments16, i)
				}
			}
		}
	}
}

// unique is what a batch of unique ids gives: the last third of rows and columns is absent, and so are some before.
func unique(r *rand.Rand, rows, cols, d int, s kernels.Similarity) (x, y kernels.Tensor64, shared []kernels.Tensor64) {
	present := func(i, n int) bool { return i < n*2/3 && i%7 != 3 }
	bias := vector(cols, func(i int) float64 {
		if present(i, cols) {
			return r.Float64()
		}
		return math.Inf(-1)
	})
	weight := vector(rows, func(i int) float64 {
		if present(i, rows) {
			return 1 + r.Float64()
		}
		return 0
	})
	var row, col []int32
	for i := range rows {
		row, col = append(row, int32(i)), append(col, int32(i*37%cols))
	}
	if s.Biased {
		shared = append(shared, bias)
	}
	if s.Weighted {
		shared = append(shared, weight)
	}
	if s.Excludes {
		shared = append(shared, indexes(append(row, -1, -1)...), indexes(append(col, -1, -1)...))
	}
	return gaussian(r, rows, d), gaussian(r, cols, d), shared
}

func TestContrastOverManyBlocks(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	shapes := [][3]int{{101, 416, 64}, {1200, 50, 16}, {50, 500, 24}, {30, 8400, 2}}
	if testing.Short() {
		shapes = shapes[:1]
	}
	for _, shape := range shapes {
		for _, s := range []kernels.Similarity{
			{Scale: 2}, {Scale: 2, Bound: 30, Biased: true, Weighted: true},
			{Scale: -2, Bound: 30}, {Scale: 2, Bound: 30, Biased: true, Weighted: true, Excludes: true},
			{Scale: 3, Biased: true, Weighted: true, Excludes: true},
			{Scale: -2, Excludes: true},
		} {
			x, y, shared := unique(r, shape[0], shape[1], shape[2], s)
			g := vector(shape[0], func(i int) float64 { return float64(i%5) - 1 })
			name := fmt.Sprintf("%v %+v", shape, s)
			with := func(own ...kernels.Tensor64) []kernels.Tensor64 {
				return slices.Concat([]kernels.Tensor64{x, y}, own, shared)
			}
			lse := kernels.NewTensor64(kernels.Of(kernels.Float64, shape[0]))
			kernels.LogSumExp{Similarity: s}.Ref([]kernels.Tensor64{lse}, with())
			check(t, name, kernels.LogSumExp{Similarity: s}, with())
			check(t, name, kernels.LogSumExpGrad{Similarity: s}, with(lse, g))
			check(t, name, kernels.LogSumExpWithGrad{Similarity: s}, with(g))
		}
	}
}

// check holds every set, in both precisions, to the reference, and to equal bits with 1 and 3 threads and without allocation.
func check(t *testing.T, name string, k kernels.Kernel, in []kernels.Tensor64) {
	t.Helper()
	var ds []kernels.Desc
	for _, x := range in {
		ds = append(ds, x.Desc)
	}
	want, err := k.Infer(ds)
	if err != nil {
		t.Fatal(err)
	}
	var ref []kernels.Tensor64
	for _, d := range want {
		ref = append(ref, kernels.NewTensor64(d))
	}
	k.Ref(ref, in)
	for _, s := range cpu.Sets() {
		for dtype, tolerance := range map[kernels.DType]float64{kernels.Float32: 2e-5, kernels.Float64: 1e-12} {
			var operands, once, again []cpu.Tensor
			for i, x := range in {
				operands = append(operands, lower(dtype, x.Desc, &in[i]))
			}
			for _, d := range want {
				once, again = append(once, lower(dtype, d, nil)), append(again, lower(dtype, d, nil))
			}
			work := bound(t, s, k, once, operands)
			alone(work)
			run(bound(t, s, k, again, operands), 3)
			for i := range ref {
				if d := difference(once[i], ref[i]); !(d <= tolerance) {
					t.Errorf("%s %s %v %s: output %d is off by %.3g of its largest element", k.Name(), name, dtype, s.Name(), i, d)
				}
				if !slices.Equal(once[i].F32, again[i].F32) || !slices.Equal(once[i].F64, again[i].F64) {
					t.Errorf("%s %s %v %s: output %d has other bits with 3 threads", k.Name(), name, dtype, s.Name(), i)
				}
			}
			if n := testing.AllocsPerRun(1, func() { alone(work) }); n > 0 {
				t.Errorf("%s %s %v %s: a run allocates %v times", k.Name(), name, dtype, s.Name(), n)
			}
		}
	}
}

// Edges to rows of zeros are left out some rows at a time, and by assembly give the bits that they give where they are not: rows with no edge left, with more
// than there is room for, and many short ones.
func TestSpMMZeroRows(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	const n, m = 900, 2000
	for _, d := range []int{5, 8, 64, 200} {
		x := gaussian(r, n, d)
		for i := range n {
			if i%8 != 0 {
				clear(x.F[i*d : i*d+d])
			}
		}
		x.F[3*d+d/2] = 1e-40 // not zeros
		var begs, ends, cols []int32
		for i := range m {
			size := r.IntN(12)
			switch {
			case i >= 1000 && i < 1400: // more than a call's rows
				size = 0
			case i%700 == 9:
				size = 5000
			}
			begs = append(begs, int32(len(cols)))
			for range size {
				cols = append(cols, int32(r.IntN(n)))
			}
			ends = append(ends, int32(len(cols)))
		}
		integers := func(v []int32) kernels.Tensor64 {
			return kernels.Tensor64{Desc: kernels.Of(kernels.Int32, len(v)), I: v}
		}
		for _, k := range []kernels.SpMM{{}, {Scaled: true}, {Valued: true}, {Scaled: true, Valued: true}, {Scaled: true, Half: true}} {
			in := []kernels.Tensor64{x, integers(begs), integers(ends), integers(cols)}
			if k.Scaled {
				in = append(in, gaussian(r, m), gaussian(r, n))
			}
			if k.Valued {
				in = append(in, gaussian(r, len(cols)))
			}
			whole := k
			k.ZeroRows = true
			name := fmt.Sprintf("%+v d %d", k, d)
			check(t, name, k, in)
			for _, s := range cpu.Sets() {
				var got [2]cpu.Tensor
				for i, k := range []kernels.SpMM{whole, k} {
					var operands []cpu.Tensor
					for i, x := range in {
						operands = append(operands, lower(kernels.Float32, x.Desc, &in[i]))
					}
					got[i] = lower(kernels.Float32, kernels.Of(kernels.Float64, m, d), nil)
					alone(bound(t, s, k, []cpu.Tensor{got[i]}, operands))
				}
				for i, v := range got[0].F32 {
					if s.Name() != "generic" && d%8 == 0 && v != got[1].F32[i] { // plain Go adds edges by fours: others then
						t.Fatalf("%s %s: y[%d, %d] is %g, and %g without the edges to zeros", name, s.Name(), i/d, i%d, v, got[1].F32[i])
					}
				}
			}
		}
	}
}

// A contrast without columns has logits of 0: each row's log-sum-exp is ln N, whatever set of loops there is.
func TestContrastWithoutColumns(t *testing.T) {
	const n = 32
	for _, set := range cpu.Sets() {
		k := kernels.LogSumExp{Similarity: kernels.Similarity{Scale: 2, Bound: 30}}
		in := []cpu.Tensor{{Desc: kernels.Of(kernels.Float32, 4, 0), F32: []float32{}}, {Desc: kernels.Of(kernels.Float32, n, 0), F32: []float32{}}}
		out := []cpu.Tensor{{Desc: kernels.Of(kernels.Float32, 4), F32: make([]float32, 4)}}
		descs := func(ts []cpu.Tensor) (ds []kernels.Desc) {
			for _, t := range ts {
				ds = append(ds, t.Desc)
			}
			return ds
		}
		work, err := set.Bind(k, out, in, make([]byte, set.Scratch(k, descs(out), descs(in))+64))
		if err != nil {
			t.Fatal(err)
		}
		for _, phase := range work {
			for c := range phase.Chunks {
				phase.Run(c)
			}
		}
		for i, v := range out[0].F32 {
			if math.Abs(float64(v)-math.Log(n)) > 1e-6 {
				t.Errorf("%s: row %d is %v, want %v", set.Name(), i, v, math.Log(n))
			}
		}
	}
}
