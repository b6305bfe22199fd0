package awkward

import (
	"math"
	"testing"

	"nearfar/engine"
	"nearfar/engine/op"
	"nearfar/kernels"
)

// A recursion is a program that changes states, and the same change in plain Go.
type recursion struct {
	name  string
	build func(m *model) []engine.Update
	// next gives the states after a step from those before it and what the step showed. It may write into before.
	next func(t uint64, before, shown values) values
}

func recursions() []recursion {
	return []recursion{
		{"row adam", rowAdam, nextRowAdam},
		{"row adagrad", rowAdagrad, nextRowAdagrad},
		{"streaming logq", streaming, nextStreaming},
		{"momentum, queue", momentumAndQueue, nextMomentumAndQueue},
		{"unit prototypes", unitPrototypes, nextUnitPrototypes},
	}
}

func TestStatesFollowTheirRecursions(t *testing.T) {
	const steps = 7
	for _, r := range recursions() {
		for _, d := range devices() {
			t.Run(r.name+"/"+d.name, func(t *testing.T) {
				s := engine.NewStore(d.open(), kernels.Float64, 5)
				defer s.Device.Close()
				var states, shown []string
				p, err := engine.Build(s, func(b *engine.Builder) engine.Step {
					m := &model{Builder: b}
					u := r.build(m)
					for _, x := range u {
						states = append(states, x.State.Name())
					}
					for _, x := range m.shown {
						shown = append(shown, x.Name)
					}
					return engine.Step{Updates: u, Outputs: m.shown}
				})
				if err != nil {
					t.Fatal(err)
				}
				defer p.Close()
				read := func() values {
					v := values{}
					for _, name := range states {
						x, _, err := s.Read64(name)
						if err != nil {
							t.Fatal(err)
						}
						v[name] = append([]float64(nil), x...)
					}
					return v
				}
				before := read()
				for step := range uint64(steps) {
					if err := p.Run(t.Context(), step, 1, nil); err != nil {
						t.Fatal(err)
					}
					outputs := values{}
					for _, name := range shown {
						if outputs[name], err = p.Output64(name); err != nil {
							t.Fatal(err)
						}
					}
					after := read()
					checkEqual(t, d.name, after, r.next(step, before, outputs), 1e-12)
					before = after
				}
			})
		}
	}
}

const sN, sB, sD = 9, 5, 2

// touched is a table of which a batch's rows are trained: the gradient of the gathered rows, summed by row.
func touched(m *model) (table, g *op.Node, ids op.Index) {
	table = m.matrix("table", sN, sD)
	ids = m.index("ids", sB, sN, true)
	m.show("rows", m.asReal(ids.Rows))
	e := op.Gather(table, ids)
	loss := op.Sum(op.Mul(op.Tanh(e), m.data("probe", sB, sD)))
	g = m.show("g", op.SegmentSum(m.grad(loss, e)[0], ids))
	return table, g, ids
}

var adam = kernels.Adam{B1: .8, B2: .9, Eps: 1e-6}

func rowAdam(m *model) []engine.Update {
	table, g, ids := touched(m)
	first, second := m.State("table/m", engine.Zeros, sN, sD), m.State("table/v", engine.Zeros, sN, sD)
	rates := m.Schedule("rates", 3, func(t uint64, out []float64) {
		out[0], out[1], out[2] = .1, 1/(1-math.Pow(adam.B1, float64(t+1))), 1/(1-math.Pow(adam.B2, float64(t+1)))
	})
	next := op.OptimiserStep(kernels.RowAdam{Adam: adam}, table, first, second, g, ids.Rows, rates, m.Scalar(1), m.Scalar(1))
	return []engine.Update{{State: table, Next: next[0]}, {State: first, Next: next[1]}, {State: second, Next: next[2]}}
}

func nextRowAdam(t uint64, v, shown values) values {
	for k, row := range shown["rows"] {
		for j := 0; row >= 0 && j < sD; j++ {
			e, g := int(row)*sD+j, shown["g"][k*sD+j]
			v["table/m"][e] = adam.B1*v["table/m"][e] + (1-adam.B1)*g
			v["table/v"][e] = adam.B2*v["table/v"][e] + (1-adam.B2)*g*g
			mean, square := v["table/m"][e]/(1-math.Pow(adam.B1, float64(t+1))), v["table/v"][e]/(1-math.Pow(adam.B2, float64(t+1)))
			v["table"][e] -= .1 * mean / (math.Sqrt(square) + adam.Eps)
		}
	}
	return v
}

func rowAdagrad(m *model) []engine.Update {
	table, g, ids := touched(m)
	sum := m.State("table/s", engine.Constant(.1), sN, sD)
	next := op.OptimiserStep(kernels.RowAdagrad{Adagrad: kernels.Adagrad{Eps: 1e-10}}, table, sum, g, ids.Rows, m.Const("rate", []float64{.3}, 1), m.Scalar(1), m.Scalar(1))
	return []engine.Update{{State: table, Next: next[0]}, {State: sum, Next: next[1]}}
}

func nextRowAdagrad(_ uint64, v, shown values) values {
	for k, row := range shown["rows"] {
		for j := 0; row >= 0 && j < sD; j++ {
			e, g := int(row)*sD+j, shown["g"][k*sD+j]
			v["table/s"][e] += g * g
			v["table"][e] -= .3 * g / (math.Sqrt(v["table/s"][e]) + 1e-10)
		}
	}
	return v
}

// streaming is the estimator of Yi 2019, algorithm 2, on the device: for each item of the batch B <- (1-a)B + a(t-A), A <- t; Q = 1/B. An item that
// stands twice in the batch counts once.
func streaming(m *model) []engine.Update {
	const a = .3
	seen, gap := m.State("A", engine.Zeros, sN), m.State("B", engine.Constant(4), sN)
	ids := m.index("ids", sB, sN, true)
	m.show("rows", m.asReal(ids.Rows))
	once := op.Only(ids.Rows)
	now := m.Schedule("now", 1, func(t uint64, out []float64) { out[0] = float64(t + 1) })
	elapsed := op.Sub(now, op.Gather(seen, once))
	newGap := op.Put(gap, op.Add(op.Scale(op.Gather(gap, once), 1-a), op.Scale(elapsed, a)), ids.Rows)
	newSeen := op.Put(seen, op.BroadcastLike(now, elapsed), ids.Rows)
	m.show("bias", op.Log(op.Gather(newGap, ids))) // -log Q, as the logits of this step would read it
	return []engine.Update{{State: seen, Next: newSeen}, {State: gap, Next: newGap}}
}

func nextStreaming(t uint64, v, shown values) values {
	for _, row := range shown["rows"] {
		if i := int(row); i >= 0 {
			v["B"][i] = .7*v["B"][i] + .3*(float64(t+1)-v["A"][i])
			v["A"][i] = float64(t + 1)
		}
	}
	return v
}

// momentumAndQueue: theta_k moves first, keys are encoded with the moved one, the loss reads the queue before they enter it.
func momentumAndQueue(m *model) []engine.Update {
	const queue, momentum = 7, .9
	online := m.matrix("online", sD, sD)
	slow := m.State("slow", engine.Zeros, sD, sD)
	ring := m.State("queue", engine.Zeros, queue, sD)
	x := m.reals("x", func(t uint64, i int) float64 { return math.Sin(float64(t)*10 + float64(i)) }, sB, sD)
	m.show("x", x)
	moved := op.Add(op.Scale(slow, momentum), op.Scale(online, 1-momentum))
	keys := op.MatMul(x, moved, false, false)
	seen := m.show("sum of the queue", op.Sum(ring))
	at := m.ints("slots", sB, func(t uint64, i int) int { return (int(t)*sB + i) % queue })
	return []engine.Update{
		{State: ring, Next: op.Put(ring, keys, at)},
		{State: slow, Next: moved},
		{State: online, Next: op.Add(online, op.Mul(seen, m.Scalar(.01)))},
	}
}

func nextMomentumAndQueue(t uint64, v, shown values) values {
	sum := 0.0
	for _, x := range v["queue"] {
		sum += x
	}
	for i := range v["slow"] {
		v["slow"][i] = .9*v["slow"][i] + (1-.9)*v["online"][i]
		v["online"][i] += .01 * sum
	}
	for b := range sB {
		slot := (int(t)*sB + b) % 7
		for j := range sD {
			s := 0.0
			for i := range sD {
				s += shown["x"][b*sD+i] * v["slow"][i*sD+j]
			}
			v["queue"][slot*sD+j] = s
		}
	}
	return v
}

// unitPrototypes renormalises what an optimiser made, and keeps the optimiser's own states.
func unitPrototypes(m *model) []engine.Update {
	c := m.matrix("prototypes", sN, sD)
	loss := op.Sum(op.Mul(op.NormaliseRows(c), m.data("probe", sN, sD)))
	m.show("g", m.grad(loss, c)[0])
	updates := engine.Minimise(m.Builder, loss, []*op.Node{c}, engine.Optimiser{Kernel: kernels.SGD{Momentum: .5}, LR: .2, Clip: 1})
	for i, u := range updates {
		if u.State == c {
			updates[i].Next = op.NormaliseRows(u.Next)
		}
	}
	return updates
}

func nextUnitPrototypes(_ uint64, v, shown values) values {
	norm := 0.0
	for _, g := range shown["g"] {
		norm += g * g
	}
	scale := min(1, 1/(math.Sqrt(norm)+1e-6))
	b := v["prototypes/SGD.b"]
	for i, g := range shown["g"] {
		b[i] = .5*b[i] + scale*g
		v["prototypes"][i] -= .2 * b[i]
	}
	v["prototypes"] = unitRows(v["prototypes"], sD)
	return v
}
