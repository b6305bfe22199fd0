package kernels

import (
	"math"
	"slices"
)

// The optimisers share their last three inputs:
//
//	rates: what the schedule gives for this step, computed on the host in float64: [lr, c1, c2] with c1 = 1/(1-B1^t), c2 = 1/(1-B2^t) for
//	       Adam; [lr] for the others
//	scale: scalar, multiplies the gradient (global-norm clipping; 1 without)
//	gate:  scalar; 0 leaves every output as its input was, whatever the gradient holds (the guard against NaN)

// Adam is one step of Adam, or of AdamW where Decoupled (Kingma, Ba 2015; Loshchilov, Hutter 2019; as torch.optim has them):
//
//	g = scale·g (+ Decay·p unless Decoupled);  p = p·(1 - lr·Decay) if Decoupled
//	m' = B1 m + (1-B1) g;  v' = B2 v + (1-B2) g²
//	p' = p - lr·c1·m' / (sqrt(v'·c2) + Eps)
//
// Inputs p, m, v, g of one shape, with Moments16 the clock (see Random), then rates [3], scale, gate. Outputs p', m', v'. Reads 16 and writes 12 bytes a
// parameter in float32, with Moments16 12 and 8.
type Adam struct {
	B1, B2, Eps, Decay float64
	Decoupled          bool
	// Moments16 keeps m and v in bfloat16, beside p and g in float32. All is computed in float32, p' of m' and v' before they are rounded (RoundedMoments).
	Moments16 bool
	Stream    uint64 // philox.Name of the stream by which Moments16 rounds
}

func (a Adam) Name() string {
	name := "Adam"
	if a.Decoupled {
		name = "AdamW"
	}
	if a.Moments16 {
		name += "Moments16"
	}
	return name
}

func (a Adam) Infer(in []Desc) ([]Desc, error) {
	plain, err := a.withoutClock(a, in, 4)
	if err != nil {
		return nil, err
	}
	if _, err := inferOptimiser(a, plain, 2, 3); err != nil {
		return nil, wrong(a, "p, m, v, g, the clock with moments in 16 bits, rates, scale, gate", in)
	}
	return in[:3:3], nil
}

// withoutClock is the inputs of kernel k, which is a or has it, as they would be without Moments16. The clock is input `at`.
func (a Adam) withoutClock(k Kernel, in []Desc, at int) ([]Desc, error) {
	if !a.Moments16 {
		return in, nil
	}
	if len(in) <= at || in[0].Type != Float32 || in[1].Type != BFloat16 || in[2].Type != BFloat16 || in[at] != Of(Int32, 4) {
		return nil, wrong(k, "p in float32, m and v in bfloat16, the gradient, the clock, int32[4]", in)
	}
	in = slices.Delete(slices.Clone(in), at, at+1)
	in[1], in[2] = in[1].As(Float32), in[2].As(Float32)
	return in, nil
}

// inferOptimiser checks p, `states` tensors like it, g, and the shared inputs.
func inferOptimiser(k Kernel, in []Desc, states, rates int) ([]Desc, error) {
	n := states + 2
	if len(in) != n+3 || !floats(in...) || in[n].Rank != 1 || in[n].Dim[0] < rates || in[n+1].Rank != 0 || in[n+2].Rank != 0 {
		return nil, wrong(k, "p, its state, g, rates, scale, gate", in)
	}
	for _, d := range in[1:n] {
		if d != in[0] {
			return nil, wrong(k, "a state and a gradient of the parameter's shape", in)
		}
	}
	return in[: states+1 : states+1], nil
}

// step updates element i from gradient g.
func (a Adam) step(out, in []Tensor64, i int, g float64, rates []float64, round RoundedMoments) {
	p, lr := in[0].F[i], rates[0]
	if a.Decoupled {
		p *= 1 - lr*a.Decay
	} else {
		g += a.Decay * p
	}
	m := a.B1*in[1].F[i] + (1-a.B1)*g
	v := a.B2*in[2].F[i] + (1-a.B2)*g*g
	out[0].F[i] = p - lr*rates[1]*m/(math.Sqrt(v*rates[2])+a.Eps)
	if a.Moments16 {
		m16, v16 := round.At(i, float32(m), float32(v))
		m, v = float64(FromBFloat16(m16)), float64(FromBFloat16(v16))
	}
	out[1].F[i], out[2].F[i] = m, v
}

// takeClock takes the clock out of the inputs, where there is one.
func (a Adam) takeClock(in []Tensor64, at int) ([]Tensor64, RoundedMoments) {
	if !a.Moments16 {
		return in, RoundedMoments{}
	}
	return slices.Delete(slices.Clone(in), at, at+1), a.Rounding(in[at].I)
}

func keep(out, in []Tensor64) {
	for k := range out {
		copy(out[k].F, in[k].F)
	}
}

func (a Adam) Ref(out, in []Tensor64) {
	in, round := a.takeClock(in, 4)
	keep(out, in)
	if in[6].F[0] == 0 {
		return
	}
	for i := range out[0].F {
		a.step(out, in, i, in[3].F[i]*in[5].F[0], in[4].F, round)
	}
}

// RowAdam is Adam with a gradient that is given by rows: rows_k of the table has G[k, :]. The others and their moments stay as they are ("lazy"), or,
// where Dense, have a gradient of 0 and move as Adam moves them: it is Adam of the scattered gradient, to the bit, which is never stored.
//
// Inputs p, m, v [N, d], G [B, d] (SegmentSum), rows [B] (distinct, increasing, -1 behind), with Moments16 the clock, then rates [3], scale, gate. Outputs
// p', m', v'. Dense reads 12 and writes 12 bytes a parameter in float32, beside G, with Moments16 8 and 8.
type RowAdam struct {
	Adam
	Dense bool
}

func (a RowAdam) Name() string {
	if a.Dense {
		return "Row" + a.Adam.Name() + "Dense"
	}
	return "Row" + a.Adam.Name()
}

func (a RowAdam) Infer(in []Desc) ([]Desc, error) {
	plain, err := a.withoutClock(a, in, 5)
	if err != nil {
		return nil, err
	}
	if _, err := inferRowOptimiser(a, plain, 2, 3); err != nil {
		return nil, wrong(a, "p [N d], m, v, G [B d], rows [B], the clock with moments in 16 bits, rates, scale, gate", in)
	}
	return in[:3:3], nil
}

func inferRowOptimiser(k Kernel, in []Desc, states, rates int) ([]Desc, error) {
	n := states + 1
	if len(in) != n+5 || !floats(in[:n+1]...) || in[0].Rank != 2 || in[n].Rank != 2 || in[n].Dim[1] != in[0].Dim[1] ||
		!indices(in[n+1]) || in[n+1].Dim[0] != in[n].Dim[0] || !floats(in[0], in[n+2], in[n+3], in[n+4]) || in[n+2].Rank != 1 || in[n+2].Dim[0] < rates ||
		in[n+3].Rank != 0 || in[n+4].Rank != 0 {
		return nil, wrong(k, "p [N d], its state, G [B d], rows [B], rates, scale, gate", in)
	}
	for _, d := range in[1:n] {
		if d != in[0] {
			return nil, wrong(k, "a state of the parameter's shape", in)
		}
	}
	return in[:n:n], nil
}

func (a RowAdam) Ref(out, in []Tensor64) {
	in, round := a.takeClock(in, 5)
	keep(out, in)
	if in[7].F[0] == 0 {
		return
	}
	d := in[0].Desc.Dim[1]
	for i, k := range rowPlaces(in[4].I, in[0].Desc.Dim[0]) {
		for j := 0; j < d && (k >= 0 || a.Dense); j++ {
			g := 0.0
			if k >= 0 {
				g = in[3].F[k*d+j]
			}
			a.step(out, in, i*d+j, g*in[6].F[0], in[5].F, round)
		}
	}
}

// rowPlaces is the place in rows of each of a table's n rows, -1 where it is not among them.
func rowPlaces(rows []int32, n int) []int {
	places := make([]int, n)
	for i := range places {
		places[i] = -1
	}
	for k, r := range rows {
		if r >= 0 {
			places[r] = k
		}
	}
	return places
}

// SGD is stochastic gradient descent (torch.optim.SGD):
//
//	g = scale·g + Decay·p
//	b' = Momentum·b + g;  p' = p - lr·(g + Momentum·b' if Nesterov, else b')
//
// Inputs p, (b if Momentum > 0), g, rates [1], scale, gate. Outputs p', (b').
type SGD struct {
	Momentum, Decay float64
	Nesterov        bool
}

func (s SGD) Name() string { return "SGD" }

// States is the number of state tensors beside the parameter.
func (s SGD) States() int {
	if s.Momentum > 0 {
		return 1
	}
	return 0
}

func (s SGD) Infer(in []Desc) ([]Desc, error) { return inferOptimiser(s, in, s.States(), 1) }

func (s SGD) Ref(out, in []Tensor64) {
	keep(out, in)
	n := s.States() + 1 // the gradient's place
	if in[n+3].F[0] == 0 {
		return
	}
	lr, scale := in[n+1].F[0], in[n+2].F[0]
	for i, p := range in[0].F {
		g := in[n].F[i]*scale + s.Decay*p
		step := g
		if s.Momentum > 0 {
			b := s.Momentum*in[1].F[i] + g
			out[1].F[i] = b
			step = b
			if s.Nesterov {
				step = g + s.Momentum*b
			}
		}
		out[0].F[i] = p - lr*step
	}
}

// Adagrad accumulates squared gradients (Duchi, Hazan, Singer 2011; torch.optim.Adagrad):
//
//	g = scale·g + Decay·p;  s' = s + g²;  p' = p - lr·g / (sqrt(s') + Eps)
//
// Inputs p, s, g, rates [1], scale, gate. Outputs p', s'.
type Adagrad struct{ Eps, Decay float64 }

func (a Adagrad) Name() string { return "Adagrad" }

func (a Adagrad) Infer(in []Desc) ([]Desc, error) { return inferOptimiser(a, in, 1, 1) }

func (a Adagrad) step(out, in []Tensor64, i int, g, lr float64) {
	g += a.Decay * in[0].F[i]
	s := in[1].F[i] + g*g
	out[1].F[i] = s
	out[0].F[i] = in[0].F[i] - lr*g/(math.Sqrt(s)+a.Eps)
}

func (a Adagrad) Ref(out, in []Tensor64) {
	keep(out, in)
	if in[5].F[0] == 0 {
		return
	}
	for i := range out[0].F {
		a.step(out, in, i, in[2].F[i]*in[4].F[0], in[3].F[0])
	}
}

// RowAdagrad is Adagrad on the rows that the batch touched.
//
// Inputs p, s [N, d], G [B, d], rows [B], rates [1], scale, gate. Outputs p', s'.
type RowAdagrad struct{ Adagrad }

func (a RowAdagrad) Name() string { return "RowAdagrad" }

func (a RowAdagrad) Infer(in []Desc) ([]Desc, error) { return inferRowOptimiser(a, in, 1, 1) }

func (a RowAdagrad) Ref(out, in []Tensor64) {
	keep(out, in)
	if in[6].F[0] == 0 {
		return
	}
	d := in[0].Desc.Dim[1]
	for k, r := range in[3].I {
		for j := 0; r >= 0 && j < d; j++ {
			a.step(out, in, int(r)*d+j, in[2].F[k*d+j]*in[5].F[0], in[4].F[0])
		}
	}
}
