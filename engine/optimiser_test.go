package engine_test

import (
	"fmt"
	"math"
	"testing"

	"nearfar/engine"
	"nearfar/engine/op"
	"nearfar/kernels"
)

// rule is an optimiser as its paper has it, on one number.
type rule func(t int, p, g, lr float64) float64

func adam(decay float64, decoupled bool) rule {
	var m, v float64
	return func(t int, p, g, lr float64) float64 {
		if decoupled {
			p -= lr * decay * p
		} else {
			g += decay * p
		}
		m, v = .9*m+.1*g, .999*v+.001*g*g
		return p - lr*(m/(1-math.Pow(.9, float64(t+1))))/(math.Sqrt(v/(1-math.Pow(.999, float64(t+1))))+1e-8)
	}
}

func sgd(momentum, decay float64, nesterov bool) rule {
	var b float64
	return func(_ int, p, g, lr float64) float64 {
		g += decay * p
		b = momentum*b + g
		if nesterov {
			return p - lr*(g+momentum*b)
		}
		return p - lr*b
	}
}

func adagrad() rule {
	var s float64
	return func(_ int, p, g, lr float64) float64 {
		s += g * g
		return p - lr*g/(math.Sqrt(s)+1e-10)
	}
}

func TestOptimisers(t *testing.T) {
	const lr = .1
	nesterov := engine.Optimiser{Kernel: kernels.SGD{Momentum: .9, Decay: .01, Nesterov: true}, LR: lr}
	decayed := engine.Optimiser{Kernel: kernels.Adam{B1: .9, B2: .999, Eps: 1e-8, Decay: .05}, LR: lr}
	scheduled := engine.Adam(lr)
	scheduled.Rate = engine.StepDecay(.5, 2)
	clipped := engine.SGD(lr, .9)
	clipped.Clip = .7
	loose := engine.Adam(lr)
	loose.Clip = 1e6
	tests := []struct {
		name string
		o    engine.Optimiser
		rule func() rule
	}{
		{"Adam", engine.Adam(lr), func() rule { return adam(0, false) }},
		{"Adam with L2", decayed, func() rule { return adam(.05, false) }},
		{"AdamW", engine.AdamW(lr, .05), func() rule { return adam(.05, true) }},
		{"SGD", engine.SGD(lr, 0), func() rule { return sgd(0, 0, false) }},
		{"momentum", engine.SGD(lr, .9), func() rule { return sgd(.9, 0, false) }},
		{"Nesterov", nesterov, func() rule { return sgd(.9, .01, true) }},
		{"Adagrad", engine.Adagrad(lr), func() rule { return adagrad() }},
		{"a schedule", scheduled, func() rule { return adam(0, false) }},
		{"clipped", clipped, func() rule { return sgd(.9, 0, false) }},
		{"a bound that is not reached", loose, func() rule { return adam(0, false) }},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, start func(model) *run) {
				// ½ Σ a p² + ½ Σ b q²: the gradients are a p and b q.
				a, b := []float64{1, 2, .5}, []float64{3, .1}
				p, q := []float64{1, -2, 3}, []float64{.5, -4}
				r := start(func(bd *engine.Builder) engine.Step {
					x, y := bd.Param("p", engine.Values(p), 3), bd.Param("q", engine.Values(q), 2)
					half := func(w, v *op.Node) *op.Node { return op.Scale(op.Sum(op.Mul(w, op.Square(v))), .5) }
					return engine.Optimise(bd, engine.Objective{{Name: "p", Weight: 1, Value: half(bd.Const("a", a, 3), x)}, {Name: "q", Weight: 1, Value: half(bd.Const("b", b, 2), y)}}, c.o)
				})
				values, slopes := append(append([]float64{}, p...), q...), append(append([]float64{}, a...), b...)
				rules := make([]rule, len(values))
				for i := range rules {
					rules[i] = c.rule()
				}
				for step := range 6 {
					r.steps(uint64(step), 1)
					scale, norm := 1.0, 0.0
					for i, v := range values {
						norm += slopes[i] * v * slopes[i] * v
					}
					if c.o.Clip > 0 {
						scale = min(1, c.o.Clip/(math.Sqrt(norm)+1e-6))
					}
					rate := lr
					if c.o.Rate != nil {
						rate *= c.o.Rate(uint64(step))
					}
					for i, v := range values {
						values[i] = rules[i](step, v, scale*slopes[i]*v, rate)
					}
					close(t, fmt.Sprint("p after step ", step), r.read("p"), values[:3], 1e-12)
					close(t, fmt.Sprint("q after step ", step), r.read("q"), values[3:], 1e-12)
				}
			})
		})
	}
}

// Two optimisers in one program, for two losses.
func TestTwoOptimisers(t *testing.T) {
	everywhere(t, func(t *testing.T, start func(model) *run) {
		r := start(func(b *engine.Builder) engine.Step {
			p, q := b.Param("p", engine.Constant(1), 2), b.Param("q", engine.Constant(1), 2)
			fast, slow := engine.SGD(.5, 0), engine.SGD(.25, 0)
			fast.Name, slow.Name = "fast", "slow"
			both := op.Scale(op.SumSquares(op.Add(p, q)), .5)
			return engine.Step{Updates: append(engine.Minimise(b, both, []*op.Node{p}, fast), engine.Minimise(b, both, []*op.Node{q}, slow)...)}
		}).steps(0, 1)
		close(t, "p", r.read("p"), []float64{0, 0}, 0) // both step from the values before
		close(t, "q", r.read("q"), []float64{.5, .5}, 0)
	})
}

func TestSchedules(t *testing.T) {
	tests := []struct {
		name string
		s    engine.Schedule
		want map[uint64]float64
	}{
		{"steps", engine.StepDecay(.5, 3), map[uint64]float64{0: 1, 2: 1, 3: .5, 6: .25}},
		{"never", engine.StepDecay(.5, 0), map[uint64]float64{0: 1, 9: 1}},
		{"cosine", engine.CosineDecay(4, 12, .1), map[uint64]float64{0: .25, 3: 1, 4: 1, 8: .55, 12: .1, 99: .1}},
		{"cosine without warm-up", engine.CosineDecay(0, 10, 0), map[uint64]float64{0: 1, 5: .5, 10: 0}},
		{"warm-up alone", engine.CosineDecay(10, 5, 0), map[uint64]float64{4: .5, 9: 1, 11: 0}},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			for at, want := range c.want {
				if got := c.s(at); math.Abs(got-want) > 1e-12 {
					t.Errorf("step %d: %v, want %v", at, got, want)
				}
			}
		})
	}
}
