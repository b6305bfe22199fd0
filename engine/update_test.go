package engine_test

import (
	"slices"
	"testing"

	"nearfar/engine"
	"nearfar/engine/op"
	"nearfar/engine/paranoid"
	"nearfar/kernels"
)

func values(v ...float64) engine.Init { return engine.Values(v) }

// Whatever reads a state, in whatever order it is written, reads the value before the step.
func TestReadingAStateGivesTheValueBefore(t *testing.T) {
	everywhere(t, func(t *testing.T, start func(model) *run) {
		r := start(func(b *engine.Builder) engine.Step {
			s, seen := b.State("s", values(1, 2, 3, 4), 4), b.State("seen", engine.Zeros, 4)
			turned := b.State("turned", engine.Zeros, 2, 2)
			next := op.AddConst(op.Scale(s, 2), 1)
			return engine.Step{
				Updates: []engine.Update{{State: s, Next: next}, {State: seen, Next: op.Add(seen, s)}, {State: turned, Next: op.Reshape(s, 2, 2)}},
				Outputs: []engine.Named{{Name: "old", Value: s}, {Name: "new", Value: next}, {Name: "old, turned", Value: op.Reshape(s, 2, 2)}},
			}
		})
		r.steps(0, 2)
		close(t, "s", r.read("s"), []float64{7, 11, 15, 19}, 0)
		close(t, "seen", r.read("seen"), []float64{1 + 3, 2 + 5, 3 + 7, 4 + 9}, 0)
		close(t, "turned", r.read("turned"), []float64{3, 5, 7, 9}, 0)
		close(t, "old", r.output("old"), []float64{3, 5, 7, 9}, 0)
		close(t, "old, turned", r.output("old, turned"), []float64{3, 5, 7, 9}, 0)
		close(t, "new", r.output("new"), []float64{7, 11, 15, 19}, 0)
	})
}

func TestStatesExchange(t *testing.T) {
	everywhere(t, func(t *testing.T, start func(model) *run) {
		r := start(func(b *engine.Builder) engine.Step { // a, b swap; c, d, e shift through an operator and a reshape
			x, y := b.State("a", values(1, 2), 2), b.State("b", values(3, 4), 2)
			c, d, e := b.State("c", values(1, 2), 2), b.State("d", values(10, 20), 2), b.State("e", values(100, 200), 2, 1)
			return engine.Step{Updates: []engine.Update{{State: x, Next: y}, {State: y, Next: x},
				{State: c, Next: op.Add(c, d)}, {State: d, Next: c}, {State: e, Next: op.Reshape(d, 2, 1)}}}
		})
		r.steps(0, 1)
		close(t, "a", r.read("a"), []float64{3, 4}, 0)
		close(t, "b", r.read("b"), []float64{1, 2}, 0)
		close(t, "c", r.read("c"), []float64{11, 22}, 0)
		close(t, "d", r.read("d"), []float64{1, 2}, 0)
		close(t, "e", r.read("e"), []float64{10, 20}, 0)
		r.steps(1, 1)
		close(t, "a", r.read("a"), []float64{1, 2}, 0)
		close(t, "b", r.read("b"), []float64{3, 4}, 0)
	})
}

// Two states that each need the other's old value cannot both be overwritten where they stand.
func TestStatesThatReadEachOther(t *testing.T) {
	everywhere(t, func(t *testing.T, start func(model) *run) {
		r := start(func(b *engine.Builder) engine.Step {
			x, y := b.State("x", values(1, 2), 2), b.State("y", values(10, 20), 2)
			return engine.Step{Updates: []engine.Update{{State: x, Next: op.Add(op.Scale(x, 3), y)}, {State: y, Next: op.Sub(op.Exp(op.Scale(y, 0)), x)}}}
		})
		r.steps(0, 1)
		close(t, "x", r.read("x"), []float64{13, 26}, 0)
		close(t, "y", r.read("y"), []float64{0, -1}, 0)
	})
}

// One node may be the next value of two states, and of a state that it does not read.
func TestSharedNext(t *testing.T) {
	everywhere(t, func(t *testing.T, start func(model) *run) {
		r := start(func(b *engine.Builder) engine.Step {
			x, y, z := b.State("x", values(1, 2), 2), b.State("y", values(5, 5), 2), b.State("z", values(7, 7), 2)
			next := op.Square(op.AddConst(x, 1))
			return engine.Step{Updates: []engine.Update{{State: y, Next: next}, {State: x, Next: next}, {State: z, Next: op.Neg(next)}}}
		})
		r.steps(0, 1)
		close(t, "x", r.read("x"), []float64{4, 9}, 0)
		close(t, "y", r.read("y"), []float64{4, 9}, 0)
		close(t, "z", r.read("z"), []float64{-4, -9}, 0)
	})
}

// Put and ScatterAdd of a table into itself: the rows that they read are those before.
func TestTableIntoItself(t *testing.T) {
	everywhere(t, func(t *testing.T, start func(model) *run) {
		r := start(func(b *engine.Builder) engine.Step {
			q, s := b.State("q", values(1, 2, 3, 4), 4), b.State("s", values(1, 2, 3, 4), 4)
			at := b.Indices("turn", []int32{1, 2, 3, 0})
			return engine.Step{Updates: []engine.Update{
				{State: q, Next: op.Put(q, q, at)},
				{State: s, Next: op.Add(s, op.ScatterAdd(s, op.Only(at), 4))}}}
		})
		r.steps(0, 1)
		close(t, "q", r.read("q"), []float64{4, 1, 2, 3}, 0)
		close(t, "s", r.read("s"), []float64{5, 3, 5, 7}, 0)
	})
}

// The same over temporaries that die there.
func TestTemporaryIntoItself(t *testing.T) {
	everywhere(t, func(t *testing.T, start func(model) *run) {
		r := start(func(b *engine.Builder) engine.Step {
			s := b.State("s", values(1, 2, 3, 4), 4)
			x := op.MatMul(op.Reshape(s, 4, 1), op.Fill(b.Graph, 2, b.Float(1, 1)), false, false)
			x = op.Reshape(x, 4)
			return engine.Step{Outputs: []engine.Named{{Name: "put", Value: op.Put(x, x, b.Indices("turn", []int32{1, 2, 3, 0}))}}}
		})
		r.steps(0, 1)
		close(t, "put", r.output("put"), []float64{8, 2, 4, 6}, 0)
	})
}

// Momentum first, then encode; logits first, then enqueue: moco's two orders, against the same by hand.
func TestMocoOrders(t *testing.T) {
	everywhere(t, func(t *testing.T, start func(model) *run) {
		r := start(moco)
		for step := range uint64(5) {
			momentum, queue, w := r.read("momentum"), slices.Clone(r.read("queue")), slices.Clone(r.read("w"))
			next := make([]float64, len(momentum))
			for i := range next {
				next[i] = .9*momentum[i] + .1*w[i]
			}
			r.steps(step, 1)
			close(t, "momentum", r.read("momentum"), next, 1e-12)
			close(t, "the queue that the logits saw", r.output("old queue"), queue, 0)
			keys := r.output("keys")
			at := int(step) * batch % (3 * batch) * width
			copy(queue[at:], keys)
			close(t, "the queue after", r.read("queue"), queue, 0)
			if momentum[0] == next[0] {
				t.Error("the momentum does not move")
			}
		}
	})
}

func TestUpdateMistakes(t *testing.T) {
	tests := []struct {
		name string
		m    model
		want []string
	}{
		{"two updates", func(b *engine.Builder) engine.Step {
			s := b.State("s", engine.Zeros, 2)
			return engine.Step{Updates: []engine.Update{{State: s, Next: op.Neg(s)}, {State: s, Next: op.Exp(s)}}}
		}, []string{"two updates of s"}},
		{"a shape", func(b *engine.Builder) engine.Step {
			s := b.State("s", engine.Zeros, 2)
			return engine.Step{Updates: []engine.Update{{State: s, Next: op.Sum(s)}}}
		}, []string{"update of s"}},
		{"a constant", func(b *engine.Builder) engine.Step {
			c := b.Const("c", []float64{1}, 1)
			return engine.Step{Updates: []engine.Update{{State: c, Next: op.Neg(c)}}}
		}, []string{"no state"}},
		{"no state", func(b *engine.Builder) engine.Step {
			s := op.Neg(b.State("s", engine.Zeros, 2))
			return engine.Step{Updates: []engine.Update{{State: s, Next: s}}}
		}, []string{"no state"}},
		{"an unwritten derivative", func(b *engine.Builder) engine.Step {
			s := b.Param("s", engine.Zeros, 2)
			return engine.Optimise(b, engine.Objective{{Name: "x", Weight: 1, Value: op.Largest(s, 0)}}, engine.SGD(1, 0))
		}, []string{"Max", "input 0", "not written"}},
		{"a parameter without gradient", func(b *engine.Builder) engine.Step {
			s := b.Param("s", engine.Zeros, 2)
			b.Param("idle", engine.Zeros, 2)
			return engine.Optimise(b, engine.Objective{{Name: "x", Weight: 1, Value: op.SumSquares(s)}}, engine.SGD(1, 0))
		}, []string{"idle", "does not depend"}},
		{"a stream twice", func(b *engine.Builder) engine.Step {
			return engine.Step{Outputs: []engine.Named{{Name: "x", Value: op.Add(b.Random("noise", kernels.Normal, 0, 2), b.Random("noise", kernels.Normal, 0, 2))}}}
		}, []string{"noise", "twice"}},
		{"a misfit", func(b *engine.Builder) engine.Step {
			return engine.Step{Outputs: []engine.Named{{Name: "x", Value: op.Add(b.Param("p", engine.Zeros, 2), b.Param("q", engine.Zeros, 3))}}}
		}, []string{"Map(add)"}},
		{"one name, two shapes", func(b *engine.Builder) engine.Step {
			return engine.Step{Outputs: []engine.Named{{Name: "x", Value: op.MatMul(b.Param("p", engine.Zeros, 2, 3), b.Param("p", engine.Zeros, 3, 2), false, false)}}}
		}, []string{`"p"`}},
		{"a vector as a scalar", func(b *engine.Builder) engine.Step {
			return engine.Step{Scalars: []engine.Named{{Name: "x", Value: b.Param("p", engine.Zeros, 2)}}}
		}, []string{`"x"`, "not a real scalar"}},
		{"a rate for two", func(b *engine.Builder) engine.Step {
			p, q := b.Param("p", engine.Zeros, 2), b.Param("q", engine.Zeros, 2)
			u := engine.Minimise(b, op.SumSquares(p), []*op.Node{p}, engine.SGD(1, 0))
			return engine.Step{Updates: append(u, engine.Minimise(b, op.SumSquares(q), []*op.Node{q}, engine.SGD(1, 0))...)}
		}, []string{"Optimiser.Name"}},
		{"nothing to minimise", func(b *engine.Builder) engine.Step {
			return engine.Optimise(b, engine.Objective{}, engine.SGD(1, 0))
		}, []string{"objective"}},
		{"no parameters", func(b *engine.Builder) engine.Step {
			return engine.Optimise(b, engine.Objective{{Name: "x", Weight: 1, Value: b.Scalar(1)}}, engine.SGD(1, 0))
		}, []string{"parameter"}},
		{"dropout", func(b *engine.Builder) engine.Step {
			return engine.Step{Outputs: []engine.Named{{Name: "x", Value: b.Dropout("drop", b.Param("p", engine.Zeros, 2), 1)}}}
		}, []string{"dropout", "drop"}},
		{"too many values", func(b *engine.Builder) engine.Step {
			return engine.Step{Outputs: []engine.Named{{Name: "x", Value: b.Const("c", []float64{1, 2, 3}, 2)}}}
		}, []string{"c", "3"}},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			_, err := engine.Build(engine.NewStore(paranoid.New(1), kernels.Float64, 1), c.m)
			mustSay(t, err, c.want...)
		})
	}
}

// What an optimiser, a Put and an average overwrite, they overwrite where it stands.
func TestInPlace(t *testing.T) {
	inPlace := func(r *run, kernel string) (outs, claimed int) {
		for _, i := range r.program.Plan.Code {
			if i.K.Name() != kernel {
				continue
			}
			for k := range i.Out {
				outs++
				if i.InPlace[k] >= 0 && r.program.Plan.Bufs[i.Out[k]].Kind == engine.Resident {
					claimed++
				}
			}
		}
		return outs, claimed
	}
	r := start(t, paranoid.New(1), kernels.Float64, simGCL)
	if outs, claimed := inPlace(r, "Adam"); outs != 3 || claimed != 3 {
		t.Errorf("Adam has %d outputs, %d in place; want p, m and v", outs, claimed)
	}
	r = start(t, paranoid.New(1), kernels.Float64, simGCL, engine.WithoutInPlace)
	if _, claimed := inPlace(r, "Adam"); claimed != 0 {
		t.Errorf("WithoutInPlace leaves %d outputs in place", claimed)
	}
	r = start(t, paranoid.New(1), kernels.Float64, moco)
	if outs, claimed := inPlace(r, "SGD"); outs != 4 || claimed != 4 {
		t.Errorf("SGD has %d outputs, %d in place; want p and b of two parameters", outs, claimed)
	}
	// The old queue is an output of moco, so that its Put alone cannot be in place.
	if outs, claimed := inPlace(r, "Put"); outs != 2 || claimed != 1 {
		t.Errorf("%d of %d Puts are in place; want the filled marks", claimed, outs)
	}
}

// A temporary [4 1] that a Map reads as [4 1] and as [1 4] is not the memory of anything; one that dies in a Put into itself neither. A chain of
// Maps needs one buffer.
func TestTemporariesInPlace(t *testing.T) {
	column := func(b *engine.Builder) *op.Node { // [4 1], computed, so that it is a temporary
		return op.MatMul(b.State("s", values(1, 2, 3, 4), 4, 1), op.Fill(b.Graph, 2, b.Float(1, 1)), false, false)
	}
	everywhere(t, func(t *testing.T, start func(model) *run) {
		r := start(func(b *engine.Builder) engine.Step {
			s := b.State("wide", values(1, 2, 3, 4), 1, 4)
			x := op.MatMul(op.Fill(b.Graph, 2, b.Float(4, 1)), s, false, false) // [4 4], rows of 2 4 6 8
			turned := op.Reshape(op.Slice(op.Reshape(x, 16, 1), 0, 0, 16), 2, 2, 2, 2)
			return engine.Step{Outputs: []engine.Named{{Name: "y", Value: op.Add(turned, op.Reshape(op.Slice(x, 0, 0, 1), 1, 1, 2, 2))}}}
		}).steps(0, 1)
		close(t, "y", r.output("y"), []float64{4, 8, 12, 16, 4, 8, 12, 16, 4, 8, 12, 16, 4, 8, 12, 16}, 0)
	})
	r := start(t, paranoid.New(1), kernels.Float64, func(b *engine.Builder) engine.Step {
		x := column(b)
		for range 5 {
			x = op.Exp(op.Neg(x))
		}
		return engine.Step{Outputs: []engine.Named{{Name: "y", Value: x}}}
	}, engine.WithoutMapFusion)
	inPlace := 0
	for _, i := range r.program.Plan.Code {
		if i.InPlace[0] >= 0 {
			inPlace++
		}
	}
	if inPlace != 10 {
		t.Errorf("%d of 10 Maps write over what they read last", inPlace)
	}
}

// An update that reads its state under another shape, or whose state someone else reads so, is no reason for a wrong order.
func TestReshapedStates(t *testing.T) {
	everywhere(t, func(t *testing.T, start func(model) *run) {
		r := start(func(b *engine.Builder) engine.Step {
			s, seen := b.State("s", values(1, 2, 3, 4), 2, 2), b.State("seen", engine.Zeros, 4)
			both := b.State("both", values(1, 2, 3, 4), 4, 1)
			return engine.Step{Updates: []engine.Update{
				{State: s, Next: op.Scale(s, 10)},
				{State: seen, Next: op.Add(op.Sum(op.MatMul(op.Reshape(s, 4, 1), op.Reshape(s, 1, 4), false, false), 1), op.Exp(op.Scale(seen, 0)))},
				{State: both, Next: op.Add(both, op.Reshape(op.Sum(op.Mul(both, op.Reshape(both, 1, 4)), 1), 4, 1))},
			}}
		}).steps(0, 1)
		close(t, "s", r.read("s"), []float64{10, 20, 30, 40}, 0)
		close(t, "seen", r.read("seen"), []float64{11, 21, 31, 41}, 0)
		close(t, "both", r.read("both"), []float64{11, 22, 33, 44}, 0)
	})
}
