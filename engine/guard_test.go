package engine_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"nearfar/engine"
	"nearfar/engine/op"
	"nearfar/kernels"
)

// poisoned is a feed of weights, one of which is NaN at one step.
type poisoned struct{ at uint64 }

func (p *poisoned) Ports() []engine.Port {
	return []engine.Port{{Name: "poison", Desc: (&triples{}).Ports()[12].Desc}}
}

func (p *poisoned) Fill(t uint64, out []engine.Slot) error {
	for i := range batch {
		out[0].Set(i, 1)
	}
	if t == p.at {
		out[0].Set(2, math.NaN())
	}
	return nil
}

// nonFinite runs steps, expects the step at to be refused, and checks that it changed no state.
func nonFinite(t *testing.T, r *run, at uint64) *engine.NonFiniteError {
	t.Helper()
	r.steps(0, int(at))
	before := r.states()
	err := r.program.Run(context.Background(), at, 3, r.keep)
	var refused *engine.NonFiniteError
	if !errors.As(err, &refused) {
		t.Fatalf("the error is %v, want a NonFiniteError", err)
	}
	if refused.Step != at {
		t.Errorf("step %d is refused, want %d", refused.Step, at)
	}
	for name, v := range r.states() {
		close(t, name, v, before[name], 0)
	}
	if len(r.rows) != int(at) {
		t.Errorf("%d steps are reported, want %d", len(r.rows), at)
	}
	return refused
}

func TestNaNLeavesEveryState(t *testing.T) {
	everywhere(t, func(t *testing.T, start func(model) *run) {
		r := start(func(b *engine.Builder) engine.Step { // moco, with NaN among the keys and the loss
			s := moco(b)
			p := b.Param("p", engine.Constant(2), batch)
			bad := b.Feed(&poisoned{at: 2})[0]
			o := engine.Adam(.1)
			s.Updates = append(s.Updates, engine.Minimise(b, op.Sum(op.Mul(op.Square(p), bad)), []*op.Node{p}, o)...)
			average, recent := b.State("average", engine.Zeros, batch), b.State("recent", engine.Zeros, 3*batch)
			s.Updates = append(s.Updates, engine.Update{State: average, Next: op.Add(op.Scale(average, .5), bad)},
				engine.Update{State: recent, Next: op.Put(recent, bad, b.Feed(ring{})[0])})
			return s
		})
		e := nonFinite(t, r, 2)
		if e.Instruction < 0 || !strings.Contains(e.From, "poison") {
			t.Errorf("the error names instruction %d (%s), want one that reads the port", e.Instruction, e.From)
		}
	})
}

func TestNaNNamesItsInstruction(t *testing.T) {
	everywhere(t, func(t *testing.T, start func(model) *run) {
		// p falls by 1 a step; at -1 its root is NaN.
		r := start(func(b *engine.Builder) engine.Step {
			p, absent := b.Param("p", engine.Constant(1.5), 3), b.Const("absent", []float64{0, math.Inf(-1), 0}, 3)
			root := op.Sqrt(op.MatMul(op.Reshape(p, 3, 1), op.Fill(b.Graph, 1, b.Float(1, 1)), false, false))
			return engine.Optimise(b, engine.Objective{{Name: "sum", Weight: 1, Value: op.Sum(p)},
				{Name: "root", Weight: 0, Value: op.Sum(op.Detach(root))},
				{Name: "lse", Weight: 0, Value: op.LogSumExpAlong(op.Detach(op.Add(p, absent)), 0)}}, engine.SGD(1, 0))
		})
		e := nonFinite(t, r, 2)
		if e.Instruction < 0 || !strings.Contains(e.From, "sqrt") {
			t.Errorf("the error names instruction %d (%s), want the root", e.Instruction, e.From)
		}
		if k := r.program.Plan.Code[e.Instruction].K.Name(); !strings.Contains(k, "sqrt") {
			t.Errorf("instruction %d is %s", e.Instruction, k)
		}
		if !strings.Contains(e.Error(), "step 2") {
			t.Errorf("the message is %q", e)
		}
	})
}

// Logarithm of 0: -Inf out of finite numbers is guilty, although -Inf among operands is not.
func TestInfinityNamesItsInstruction(t *testing.T) {
	everywhere(t, func(t *testing.T, start func(model) *run) {
		r := start(func(b *engine.Builder) engine.Step {
			p := b.Param("p", engine.Constant(1), 3)
			log := op.Log(op.Mul(p, op.Reshape(op.Sum(p), 1)))
			return engine.Optimise(b, engine.Objective{{Name: "p", Weight: .5, Value: op.SumSquares(p)}, {Name: "log", Weight: 0, Value: op.Sum(op.Detach(log))}}, engine.SGD(1, 0))
		})
		if e := nonFinite(t, r, 1); !strings.Contains(e.From, "log") {
			t.Errorf("the error names instruction %d (%s), want the logarithm", e.Instruction, e.From)
		}
	})
}

// A program that minimises nothing has no guard: it ranks, and NaN is its caller's.
func TestNoGuardWithoutMinimise(t *testing.T) {
	everywhere(t, func(t *testing.T, start func(model) *run) {
		r := start(func(b *engine.Builder) engine.Step {
			s := b.State("s", engine.Constant(-1), 2)
			return engine.Step{Scalars: []engine.Named{{Name: "root", Value: op.Sum(op.Sqrt(s))}}}
		}).steps(0, 2)
		if !math.IsNaN(r.rows[1][0]) {
			t.Errorf("the scalar is %v", r.rows[1][0])
		}
	})
}

// A model's own gate is respected, and the guard is multiplied into it: NaN leaves the state whatever the gate says.
func TestGuardJoinsAModelsGate(t *testing.T) {
	everywhere(t, func(t *testing.T, start func(model) *run) {
		r := start(func(b *engine.Builder) engine.Step {
			p, own := b.Param("p", engine.Constant(2), batch), b.State("own", engine.Constant(2), batch)
			shut := b.State("shut", engine.Constant(2), batch)
			bad := b.Feed(&poisoned{at: 2})[0]
			s := engine.Step{Updates: engine.Minimise(b, op.Sum(op.Mul(op.Square(p), bad)), []*op.Node{p}, engine.SGD(.1, 0))}
			rate := b.Schedule("rate", 1, func(_ uint64, out []float64) { out[0] = 1 })
			for state, gate := range map[*op.Node]float64{own: 1, shut: 0} {
				next := op.OptimiserStep(kernels.SGD{}, state, bad, rate, b.Scalar(1), b.Scalar(gate))
				s.Updates = append(s.Updates, engine.Update{State: state, Next: next[0]})
			}
			return s
		})
		nonFinite(t, r, 2)
		if v := r.read("own"); v[2] != 0 { // 2 - 1 - 1, and not NaN
			t.Errorf("a gate of 1 moves the state to %v in two steps, want 0", v[2])
		}
		close(t, "a gate of 0", r.read("shut"), []float64{2, 2, 2, 2, 2, 2, 2}, 0)
	})
}
