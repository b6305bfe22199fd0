package kerneltest

import (
	"math"
	"slices"

	"nearfar/kernels"
)

// plainLogits is one row of s_bn.
func plainLogits(s kernels.Similarity, in []Tensor, added, b int) []float32 {
	bias, _, row, col := s.Places(added)
	out := make([]float32, in[1].Desc.Dim[0])
	for n := range out {
		out[n] = float32(s.Scale) * plainDot(in[0].row(b), in[1].row(n))
		if bias >= 0 {
			out[n] += in[bias].F32[n]
		}
	}
	if row >= 0 {
		for e, r := range in[row].I32 {
			if int(r) == b {
				out[in[col].I32[e]] = float32(-inf)
			}
		}
	}
	return out
}

func plainAbsent(s kernels.Similarity, in []Tensor, added, b int) bool {
	_, weight, _, _ := s.Places(added)
	return weight >= 0 && in[weight].F32[b] == 0
}

func plainLogSumExp(s kernels.Similarity, lse []float32, in []Tensor, added int) {
	for b := range lse {
		if plainAbsent(s, in, added, b) {
			lse[b] = 0
			continue
		}
		top, sum := float32(-inf), float32(0)
		z := plainLogits(s, in, added, b)
		for _, v := range z {
			top = max(top, v)
		}
		for _, v := range z {
			sum += exp32(v - top)
		}
		lse[b] = top + log32(sum)
		if math.IsInf(float64(top), -1) {
			lse[b] = top
		}
	}
}

func plainLogSumExpGrad(s kernels.Similarity, out, in []Tensor, lse, g []float32, added int) {
	for b := range lse {
		if plainAbsent(s, in, added, b) || g[b] == 0 || math.IsInf(float64(lse[b]), -1) {
			continue
		}
		for n, v := range plainLogits(s, in, added, b) {
			p := g[b] * exp32(v-lse[b])
			if p == 0 {
				continue
			}
			plainAxpy(out[0].row(b), float32(s.Scale)*p, in[1].row(n))
			plainAxpy(out[1].row(n), float32(s.Scale)*p, in[0].row(b))
			if s.Biased {
				out[2].F32[n] += p
			}
		}
	}
}

// wideMoments are the operands of Adam with moments in float32 instead of bfloat16, and without the clock, which is input `at`.
func wideMoments(a kernels.Adam, out, in []Tensor, at int) (wideOut, wideIn []Tensor) {
	if !a.Moments16 {
		return out, in
	}
	out, in = slices.Clone(out), slices.Delete(slices.Clone(in), at, at+1)
	for i := 1; i < 3; i++ {
		in[i].F32, out[i].F32 = make([]float32, len(in[i].B16)), make([]float32, len(in[i].B16))
		for e, v := range in[i].B16 {
			in[i].F32[e] = kernels.FromBFloat16(v)
		}
	}
	return out, in
}

// plainOptimiser runs one step; false where k is none. Coefficients such as 1-B2 are formed in float64, then rounded, as torch.optim
// does: 1 - float32(0.999) would be wrong by 5e-5.
func plainOptimiser(k kernels.Kernel, out, in []Tensor) bool {
	switch k := k.(type) {
	case kernels.Adam:
		out, in = wideMoments(k, out, in, 4)
	case kernels.RowAdam:
		out, in = wideMoments(k.Adam, out, in, 5)
	}
	// dense visits every element, rows those of the listed rows, and the others with a gradient of 0 if told so: e is the element of the table, g that of the gradient.
	n := len(out)
	keep := func() {
		for i := range out {
			copy(out[i].F32, in[i].F32)
		}
	}
	dense := func(step func(e int, g, lr float32, rates []float32)) {
		keep()
		scale, rates := in[n+2].F32[0], in[n+1].F32
		for e := range in[0].F32 {
			if in[n+3].F32[0] != 0 {
				step(e, in[n].F32[e]*scale, rates[0], rates)
			}
		}
	}
	rows := func(step func(e int, g, lr float32, rates []float32), dense bool) {
		keep()
		d, scale, rates := in[0].Desc.Cols(), in[n+3].F32[0], in[n+2].F32
		named := map[int]bool{}
		for i, r := range in[n+1].I32 {
			named[int(r)] = true
			for j := 0; r >= 0 && in[n+4].F32[0] != 0 && j < d; j++ {
				step(int(r)*d+j, in[n].F32[i*d+j]*scale, rates[0], rates)
			}
		}
		for e := range in[0].F32 {
			if dense && in[n+4].F32[0] != 0 && !named[e/d] {
				step(e, 0, rates[0], rates)
			}
		}
	}
	adam := func(a kernels.Adam) func(int, float32, float32, []float32) {
		return func(e int, g, lr float32, rates []float32) {
			p := in[0].F32[e]
			if a.Decoupled {
				p *= 1 - float32(lr*float32(a.Decay))
			} else {
				g += float32(float32(a.Decay) * p)
			}
			m := float32(float32(a.B1)*in[1].F32[e]) + float32(float32(1-a.B1)*g)
			v := float32(float32(a.B2)*in[2].F32[e]) + float32(float32(float32(1-a.B2)*g)*g)
			p -= float32(float32(lr*rates[1])*m) / (sqrt32(float32(v*rates[2])) + float32(a.Eps))
			out[0].F32[e], out[1].F32[e], out[2].F32[e] = p, m, v
		}
	}
	adagrad := func(a kernels.Adagrad) func(int, float32, float32, []float32) {
		return func(e int, g, lr float32, _ []float32) {
			g += float32(float32(a.Decay) * in[0].F32[e])
			s := in[1].F32[e] + float32(g*g)
			out[0].F32[e] = in[0].F32[e] - float32(lr*g)/(sqrt32(s)+float32(a.Eps))
			out[1].F32[e] = s
		}
	}
	switch k := k.(type) {
	case kernels.Adam:
		dense(adam(k))
	case kernels.RowAdam:
		rows(adam(k.Adam), k.Dense)
	case kernels.Adagrad:
		dense(adagrad(k))
	case kernels.RowAdagrad:
		rows(adagrad(k.Adagrad), false)
	case kernels.SGD:
		dense(func(e int, g, lr float32, _ []float32) {
			g += float32(float32(k.Decay) * in[0].F32[e])
			step := g
			if k.Momentum > 0 {
				step = float32(float32(k.Momentum)*in[1].F32[e]) + g
				out[1].F32[e] = step
				if k.Nesterov {
					step = g + float32(float32(k.Momentum)*step)
				}
			}
			out[0].F32[e] = in[0].F32[e] - float32(lr*step)
		})
	default:
		return false
	}
	return true
}
