//go:build gpu && linux && amd64 && cgo

package cuda_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"nearfar/kernels"
	"nearfar/kernels/kerneltest"
)

// The conformance suite keeps its shapes small. Here are those at which Reduce, Softmax and TopK cut their work: parts, several tiles, full
// buffers, keys in scratch; and tensors of nothing.
func TestReductionsThatAreCut(t *testing.T) {
	set := newOnDevice(t)
	r := rand.New(rand.NewPCG(7, 8))
	of := func(f func(i int) float64, dims ...int) kernels.Tensor64 {
		x := kernels.NewTensor64(kernels.Of(kernels.Float32, dims...))
		for i := range x.F {
			x.F[i] = float64(float32(f(i)))
		}
		return x
	}
	normal := func(int) float64 { return r.NormFloat64() }

	for _, c := range []struct {
		shape []int
		axes  kernels.Axes
	}{
		{[]int{300_003}, 1}, {[]int{3, 20_001}, 2}, {[]int{3, 20_004}, 2}, {[]int{5000, 64}, 1}, {[]int{9001, 33}, 1}, {[]int{3, 12_000, 6}, 2},
		{[]int{50, 7, 1300}, 5}, {[]int{1300, 7, 50}, 5}, {[]int{2, 40, 3, 1500}, 10}, {[]int{40, 3, 300, 4}, 5}, {[]int{40_000, 2}, 1},
		{[]int{3, 5, 40_000}, 2}, {[]int{0, 5}, 1}, {[]int{5, 0}, 1}, {[]int{5, 0}, 2}, {[]int{0}, 1}, {[]int{3, 0, 2}, 5},
	} {
		x := of(normal, c.shape...)
		for op := kernels.Sum; op <= kernels.AllFinite; op++ {
			k := kernels.Reduce{Op: op, Axes: c.axes}
			compare(t, set, k, x)
			if op != kernels.LogSumExps && len(x.F) > 0 {
				y := kernels.Tensor64{Desc: x.Desc, F: slices.Clone(x.F)}
				y.F[r.IntN(len(y.F))] = []float64{math.NaN(), math.Inf(1)}[r.IntN(2)]
				compare(t, set, k, y)
			}
		}
	}

	for _, shape := range [][]int{{2, 20_000}, {2, 20_001}, {300, 7}, {9, 1024}} {
		mask := of(func(int) float64 { return float64(r.IntN(2)) }, shape...)
		compare(t, set, kernels.Softmax{}, of(normal, shape...))
		compare(t, set, kernels.Softmax{Masked: true}, of(normal, shape...), mask)
	}

	rising := func(i int) float64 { return float64(i) }
	ties := func(int) float64 { return float64(r.IntN(5)) }
	odd := func(i int) float64 {
		return [...]float64{math.NaN(), math.Inf(-1), math.Copysign(0, -1), 0, 1, math.Inf(1), -1e-40}[i*i%7]
	}
	for _, c := range []struct {
		shape []int
		ks    []int
	}{
		{[]int{2, 9001}, []int{1, 100, 128, 129}}, {[]int{2, 9004}, []int{20, 128}}, {[]int{1, 4101}, []int{2049, 4101}}, {[]int{1, 40_000}, []int{20, 128}},
		{[]int{260, 300}, []int{7, 200}}, {[]int{70, 3}, []int{1, 3}}, {[]int{4, 256}, []int{128, 256}}, {[]int{0, 5}, []int{2}},
	} {
		for _, f := range []func(int) float64{normal, rising, ties, odd} {
			for _, k := range c.ks {
				compare(t, set, kernels.TopK{K: k}, of(f, c.shape...))
			}
		}
	}
}

// compare runs k twice, under equal conditions, and holds it to the reference: exactly where it only chooses.
func compare(t *testing.T, set *onDevice, k kernels.Kernel, in ...kernels.Tensor64) {
	t.Helper()
	var ds []kernels.Desc
	var operands []kerneltest.Tensor
	for _, x := range in {
		ds = append(ds, x.Desc)
		f := make([]float32, len(x.F))
		for i, v := range x.F {
			f[i] = float32(v)
		}
		operands = append(operands, kerneltest.Tensor{Desc: x.Desc, F32: f})
	}
	outs, err := k.Infer(ds)
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("%s %+v %v", k.Name(), k, ds)
	var refs []kernels.Tensor64
	var results, again []kerneltest.Tensor
	for _, d := range outs {
		refs = append(refs, kernels.NewTensor64(d))
		for _, to := range []*[]kerneltest.Tensor{&results, &again} {
			o := kerneltest.Tensor{Desc: d}
			if d.Type == kernels.Int32 {
				o.I32 = slices.Repeat([]int32{-7}, d.Elems())
			} else {
				o.F32 = slices.Repeat([]float32{-7}, d.Elems())
			}
			*to = append(*to, o)
		}
	}
	k.Ref(refs, in)
	for _, to := range [][]kerneltest.Tensor{results, again} {
		work, err := set.Bind(k, to, operands, 1)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := work(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	tolerance := 2e-5
	switch k := k.(type) {
	case kernels.TopK:
		tolerance = 0
	case kernels.Reduce:
		if k.Op == kernels.Largest || k.Op == kernels.AllFinite {
			tolerance = 0
		}
	}
	for o, ref := range refs {
		if !slices.Equal(results[o].I32, ref.I) {
			t.Errorf("%s: other indices", name)
		}
		norm := 0.0
		for _, v := range ref.F {
			if a := math.Abs(v); a > norm && !math.IsInf(a, 0) {
				norm = a
			}
		}
		for i, v := range ref.F {
			have := float64(results[o].F32[i])
			if math.Float32bits(results[o].F32[i]) != math.Float32bits(again[o].F32[i]) {
				t.Fatalf("%s: output %d [%d] has other bits the second time", name, o, i)
			}
			if have != float64(float32(v)) && !(math.IsNaN(have) && math.IsNaN(v)) && !(math.Abs(have-v) <= tolerance*norm) {
				t.Fatalf("%s: output %d [%d] is %v, want %v", name, o, i, have, v)
			}
		}
	}
}
