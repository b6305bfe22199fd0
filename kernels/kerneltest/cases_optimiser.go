package kerneltest

import (
	"math"
	"slices"

	"nearfar/kernels"
	"nearfar/kernels/philox"
)

// step is what all optimisers are tried on: a parameter, its state, a gradient, and a closed gate over a gradient of NaN.
type step struct {
	k      kernels.Kernel
	states int
	rates  kernels.Tensor64
	clock  []kernels.Tensor64 // one, where moments are rounded by it
}

// adamRates are the rates of Adam's step t.
func adamRates(lr float64, t int) kernels.Tensor64 {
	return vector(lr, 1/(1-math.Pow(.9, float64(t))), 1/(1-math.Pow(.999, float64(t))))
}

func (g *gen) state(s step, sigma float64, shape []int) (in []kernels.Tensor64) {
	in = append(in, g.normal(sigma, shape...))
	for i := range s.states {
		state := g.normal(.1, shape...)
		if _, sgd := s.k.(kernels.SGD); i == s.states-1 && !sgd { // the sum of squares
			for j, v := range state.F {
				state.F[j] = v * v
			}
		}
		if len(s.clock) > 0 {
			state = bfloat16(state)
		}
		in = append(in, state)
	}
	return in
}

func bfloat16(t kernels.Tensor64) kernels.Tensor64 {
	t.Desc = t.Desc.As(kernels.BFloat16)
	for i, v := range t.F {
		t.F[i] = float64(kernels.FromBFloat16(kernels.ToBFloat16(float32(v))))
	}
	return t
}

// inPlace overwrites the parameter and its state.
func (s step) inPlace() [][]int {
	a := make([]int, s.states+1)
	for i := range a {
		a[i] = i
	}
	return [][]int{a}
}

func (g *gen) dense(s step) (cases []Case) {
	shapes := [][]int{{}, {3, 5}, {2, 3, 4}, {257, 40}}
	for _, n := range sizes {
		shapes = append(shapes, []int{n})
	}
	for _, shape := range shapes {
		add := func(sigma, slope, scale, gate float64, bad bool) {
			grad := g.normal(slope, shape...)
			if bad {
				grad = with(grad, nan, len(grad.F)-1)
			}
			cases = append(cases, Case{K: s.k, In: slices.Concat(g.state(s, sigma, shape), []kernels.Tensor64{grad}, s.clock, []kernels.Tensor64{s.rates, scalar(scale), scalar(gate)}), InPlace: s.inPlace(),
				Exact: gate == 0})
		}
		add(1, 1, 1, 1, false)
		add(1e-4, 1e-2, .5, 1, false) // the update is larger than the parameter
		add(1, 1e-12, 1, 1, false)
		add(1, 1, 1, 1, true)
		add(1, 1, 1, 0, true)
		add(1, 1, nan, 0, true)
		add(1, 0, 1, 1, false)
	}
	return cases
}

func (g *gen) rows(s step) (cases []Case) {
	tables(func(n, b int, table, rows []int) {
		if len(table) != 2 {
			return
		}
		for i, gate := range []float64{1, 1, 0} {
			id := g.distinct(n, b)
			slices.Sort(id[:min(n, b)])
			if i == 1 {
				id = slices.Repeat([]int32{-1}, b)
				id[0] = int32(n - 1)
			}
			grad := g.normal(.1, rows...)
			switch {
			case gate == 0:
				grad = with(grad, nan, 0)
			case id[b-1] < 0:
				grad = withRow(grad, b-1, nan) // behind the distinct rows: never read
			}
			cases = append(cases, Case{K: s.k, In: slices.Concat(g.state(s, .01, table), []kernels.Tensor64{grad, ints(id...)}, s.clock, []kernels.Tensor64{s.rates, scalar(.7), scalar(gate)}),
				InPlace: s.inPlace(), Exact: gate == 0})
		}
	})
	return cases
}

func adams() (steps []kernels.Adam) {
	for _, decay := range []float64{0, .01} {
		for _, decoupled := range []bool{false, true} {
			steps = append(steps, kernels.Adam{B1: .9, B2: .999, Eps: 1e-8, Decay: decay, Decoupled: decoupled})
		}
	}
	return steps
}

func adamCases(g *gen) (cases []Case) {
	for i, a := range adams() {
		cases = append(cases, g.dense(step{k: a, states: 2, rates: adamRates(1e-3, 1+i*50)})...)
	}
	cases = append(cases, g.dense(step{moments16(adams()[3]), 2, adamRates(1e-3, 7), clock16})...)
	return cases
}

// moments16 is a with moments in 16 bits, which clock16 rounds.
func moments16(a kernels.Adam) kernels.Adam {
	a.Moments16, a.Stream = true, philox.Name("moments")
	return a
}

var clock16 = []kernels.Tensor64{ints(7, 1<<30, -2, 1)}

func rowAdamCases(g *gen) (cases []Case) {
	for i, a := range adams()[1:3] { // AdamW without decay, Adam with
		for _, dense := range []bool{false, true} {
			cases = append(cases, g.rows(step{k: kernels.RowAdam{Adam: a, Dense: dense}, states: 2, rates: adamRates(1e-3, 1+i*50)})...)
			cases = append(cases, g.rows(step{kernels.RowAdam{Adam: moments16(a), Dense: dense}, 2, adamRates(1e-3, 1+i*50), clock16})...)
		}
	}
	return cases
}

func sgdCases(g *gen) (cases []Case) {
	for _, k := range []kernels.SGD{{}, {Decay: .01}, {Momentum: .9}, {Momentum: .9, Decay: .01}, {Momentum: .9, Nesterov: true}, {Nesterov: true}} {
		cases = append(cases, g.dense(step{k: k, states: k.States(), rates: vector(.1)})...)
	}
	return cases
}

func adagradCases(g *gen) (cases []Case) {
	for _, k := range []kernels.Adagrad{{Eps: 1e-10}, {Eps: 1e-8, Decay: .01}} {
		cases = append(cases, g.dense(step{k: k, states: 1, rates: vector(.1)})...)
	}
	return cases
}

func rowAdagradCases(g *gen) (cases []Case) {
	for _, k := range []kernels.Adagrad{{Eps: 1e-10}, {Eps: 1e-8, Decay: .01}} {
		cases = append(cases, g.rows(step{k: kernels.RowAdagrad{Adagrad: k}, states: 1, rates: vector(.1, 5)})...)
	}
	return cases
}
