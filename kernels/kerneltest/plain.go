package kerneltest

import (
	"math"
	"slices"

	"nearfar/kernels"
)

// plain32 computes a problem as the plain float32 program does: the loop of the kernel's doc comment, sums one after another, every
// operation rounded. nil where the vocabulary's kernel does no arithmetic that could accumulate an error. It is the yardstick of the
// tolerance, not a kernel set: slow, and sound only on the suite's own cases.
func plain32(p problem) []Tensor {
	in := make([]Tensor, len(p.in))
	for i, t := range p.in {
		in[i] = guard(t.Desc, 0).view
		write(in[i], t)
	}
	out := make([]Tensor, len(p.ref))
	for i, t := range p.ref {
		out[i] = guard(t.Desc, 0).view
		zero(out[i])
	}
	switch k := p.k.(type) {
	case kernels.Map:
		plainMap(k, p, out[0].F32)
	case kernels.Reduce:
		plainReduce(k, out[0].F32, in[0])
	case kernels.Softmax:
		plainSoftmax(k, out[0].F32, in)
	case kernels.MatMul:
		plainMatMul(k, out[0], in[0], in[1])
	case kernels.SpMM:
		plainSpMM(k, out[0], in)
	case kernels.ScatterAdd:
		if k.Onto {
			copy(out[0].F32, in[0].F32)
			in = in[1:]
		}
		n := out[0].Desc.Elems() / out[0].Desc.Dim[0]
		for i, id := range in[1].I32 {
			if id >= 0 {
				plainAdd(out[0].F32[int(id)*n:], in[0].F32[i*n:i*n+n])
			}
		}
	case kernels.SegmentSum:
		n := in[0].Desc.Cols()
		for k := range in[0].Desc.Dim[0] {
			for _, i := range in[2].I32[in[1].I32[k]:in[1].I32[k+1]] {
				plainAdd(out[0].F32[k*n:], in[0].F32[int(i)*n:int(i)*n+n])
			}
		}
	case kernels.RowDot:
		for i := range out[0].F32 {
			out[0].F32[i] = plainDot(in[0].row(i), in[1].row(i))
		}
	case kernels.NormaliseRows:
		for i := range out[1].F32 {
			x := in[0].row(i)
			inv := 1 / max(sqrt32(plainDot(x, x)), float32(k.Eps))
			out[1].F32[i] = inv
			for j, v := range x {
				out[0].row(i)[j] = v * inv
			}
		}
	case kernels.SignedNoise:
		u := reference(k.Noise(p.in[0].Desc), descs(p.in[:1]), p.in[1:])[0]
		for i := range u.Desc.Rows() {
			n := make([]float32, u.Desc.Cols())
			for j := range n {
				n[j] = float32(u.F[i*len(n)+j])
			}
			inv := 1 / max(sqrt32(plainDot(n, n)), float32(k.Eps))
			for j, x := range in[0].row(i) {
				out[0].row(i)[j] = x + float32(float32(k.Scale)*float32(kernels.Sign.Apply(float64(x), 0, 0, 0))*float32(n[j]*inv))
			}
		}
	case kernels.NormaliseRowsGrad:
		for i, inv := range in[1].F32 {
			y, g := in[0].row(i), in[2].row(i)
			s := plainDot(y, g)
			for j := range y {
				out[0].row(i)[j] = inv * (g[j] - float32(y[j]*s))
			}
		}
	case kernels.LogSumExp:
		plainLogSumExp(k.Similarity, out[0].F32, in, 0)
	case kernels.LogSumExpGrad:
		plainLogSumExpGrad(k.Similarity, out, in, in[2].F32, in[3].F32, 2)
	case kernels.LogSumExpWithGrad:
		plainLogSumExp(k.Similarity, out[0].F32, in, 1)
		plainLogSumExpGrad(k.Similarity, out[1:], in, out[0].F32, in[2].F32, 1)
	default:
		if !plainOptimiser(k, out, in) {
			return nil
		}
	}
	return out
}

func (t Tensor) row(i int) []float32 { c := t.Desc.Cols(); return t.F32[i*c : i*c+c] }

func exp32(v float32) float32  { return float32(math.Exp(float64(v))) }
func log32(v float32) float32  { return float32(math.Log(float64(v))) }
func sqrt32(v float32) float32 { return float32(math.Sqrt(float64(v))) }

// The conversions of products keep compilers that fuse a multiply and an add from doing so.
func plainDot(a, b []float32) (s float32) {
	for i, v := range a {
		s += float32(v * b[i])
	}
	return s
}

func plainAdd(y, x []float32) {
	for i, v := range x {
		y[i] += v
	}
}

func plainAxpy(y []float32, a float32, x []float32) {
	for i, v := range x {
		y[i] += float32(a * v)
	}
}

// plainMap evaluates the expression three times, rounding after each instruction; behind exp, log, tanh, sigmoid and softplus it puts an
// error of 4 ulp, upwards, downwards, and none. It keeps the worst of the three.
func plainMap(m kernels.Map, p problem, out []float32) {
	n := m.Len()
	worst := make([]float64, len(out))
	for _, sign := range []float64{0, 1, -1} {
		var results []kernels.Tensor64
		for i, c := range m.Code[:n] {
			operands := []kernels.Tensor64{}
			for _, k := range []int8{c.A, c.B, c.C}[:c.Op.Arity()] {
				if k >= 0 {
					operands = append(operands, p.in[k])
				} else {
					operands = append(operands, results[-k-1])
				}
			}
			shape, _ := kernels.Broadcast(descs(operands)...)
			if i == n-1 {
				shape = p.ref[0].Desc
			}
			alone := kernels.MapOf(kernels.MapInstr{Op: c.Op, A: 0, B: 1, C: 2, Imm: float64(float32(c.Imm))})
			r := reference(alone, []kernels.Desc{shape}, operands)[0]
			for e, v := range r.F {
				if transcendentalOps[c.Op] {
					v *= 1 + sign*4*ulp32
				}
				r.F[e] = float64(float32(v))
			}
			results = append(results, r)
		}
		for e, v := range results[n-1].F {
			if d := math.Abs(v - p.ref[0].F[e]); sign == 0 || d > worst[e] {
				out[e], worst[e] = float32(v), d
			}
		}
	}
}

func plainReduce(r kernels.Reduce, out []float32, in Tensor) {
	d := in.Desc
	s := kernels.Strides(d, r.Kept(d))
	at := make([]int, d.Elems())
	for e := range at {
		rest := e
		for i := d.Rank - 1; i >= 0; i-- {
			at[e] += rest % d.Dim[i] * s[i]
			rest /= d.Dim[i]
		}
	}
	switch r.Op {
	case kernels.Sum:
		for e, v := range in.F32 {
			out[at[e]] += v
		}
	case kernels.SumSquares:
		for e, v := range in.F32 {
			out[at[e]] += float32(v * v)
		}
	case kernels.LogSumExps:
		top, sum := make([]float32, len(out)), make([]float32, len(out))
		for k := range top {
			top[k] = float32(-inf)
		}
		for e, v := range in.F32 {
			top[at[e]] = max(top[at[e]], v)
		}
		for e, v := range in.F32 {
			sum[at[e]] += exp32(v - top[at[e]])
		}
		for k := range out {
			out[k] = top[k] + log32(sum[k])
		}
	}
}

func plainSoftmax(s kernels.Softmax, out []float32, in []Tensor) {
	c := in[0].Desc.Cols()
	for r := range in[0].Desc.Rows() {
		z, top, sum := in[0].row(r), float32(-inf), float32(0)
		on := func(j int) bool { return !s.Masked || in[1].row(r)[j] != 0 }
		for j, v := range z {
			if on(j) {
				top = max(top, v)
			}
		}
		p := out[r*c : r*c+c]
		for j, v := range z {
			if on(j) && !math.IsInf(float64(top), -1) {
				p[j] = exp32(v - top)
				sum += p[j]
			}
		}
		for j := range p {
			if sum > 0 {
				p[j] /= sum
			}
		}
	}
}

func plainMatMul(m kernels.MatMul, out, a, b Tensor) {
	batch, rows, cols, inner := m.Sizes(a.Desc, b.Desc)
	for g := range batch {
		x, y := a.F32[g*rows*inner:], b.F32[g*inner*cols:]
		for i := range rows {
			for j := range cols {
				s := float32(0)
				for k := range inner {
					p, q := i*inner+k, k*cols+j
					if m.TransA {
						p = k*rows + i
					}
					if m.TransB {
						q = j*inner + k
					}
					s += float32(x[p] * y[q])
				}
				out.F32[(g*rows+i)*cols+j] = s
			}
		}
	}
}

func plainSpMM(s kernels.SpMM, out Tensor, in []Tensor) {
	beg, end, col := in[1].I32, in[2].I32, in[3].I32
	top := float32(0)
	for _, x := range in[0].F32 {
		if x = max(x, -x); x <= math.MaxFloat32 {
			top = max(top, x)
		}
	}
	scale := float32(kernels.HalfScale(float64(top)))
	for i := range beg {
		y := out.row(i)
		for e := beg[i]; e < end[i]; e++ {
			v := float32(1)
			if s.Valued {
				v = in[len(in)-1].F32[e]
			}
			if s.Scaled {
				v *= in[5].F32[col[e]]
			}
			x := in[0].row(int(col[e]))
			if s.Half {
				x = slices.Clone(x)
				for k := range x {
					x[k] = kernels.FromHalf(kernels.ToHalf(x[k]*scale)) / scale
				}
			}
			plainAxpy(y, v, x)
		}
		for j := range y {
			if s.Scaled {
				y[j] *= in[4].F32[i]
			}
		}
	}
}
