package engine_test

import (
	"testing"

	"nearfar/engine"
	"nearfar/engine/op"
	"nearfar/engine/paranoid"
	"nearfar/kernels"
)

// One name is one kind of thing.
func TestNamesAreOfOneKind(t *testing.T) {
	shown := func(n ...*op.Node) engine.Step {
		s := engine.Step{}
		for i, x := range n {
			s.Outputs = append(s.Outputs, engine.Named{Name: string(rune('a' + i)), Value: op.Sum(x)})
		}
		return s
	}
	tests := []struct {
		name string
		m    model
		want []string
	}{
		{"a port taken by a parameter", func(b *engine.Builder) engine.Step {
			return shown(b.Feed(&clock{})[0], b.Param("t", engine.Zeros))
		}, []string{`"t"`, "port"}},
		{"a parameter taken by a port", func(b *engine.Builder) engine.Step {
			return shown(b.Param("t", engine.Zeros), b.Feed(&clock{})[0])
		}, []string{`"t"`, "port"}},
		{"two feeds with one port", func(b *engine.Builder) engine.Step {
			return shown(b.Feed(&clock{})[0], b.Feed(&clock{})[0])
		}, []string{`"t"`, "port"}},
		{"a state and a constant", func(b *engine.Builder) engine.Step {
			return shown(b.State("s", engine.Zeros, 1), b.Const("s", []float64{0}, 1))
		}, []string{`"s"`, "state", "constant"}},
		{"two scalars", func(b *engine.Builder) engine.Step {
			return engine.Step{Scalars: []engine.Named{{Name: "x", Value: b.Scalar(1)}, {Name: "x", Value: b.Scalar(2)}}}
		}, []string{"scalars", `"x"`}},
		{"a term that is the total", func(b *engine.Builder) engine.Step {
			p := b.Param("p", engine.Zeros, 2)
			return engine.Optimise(b, engine.Objective{{Name: "loss", Weight: 1, Value: op.SumSquares(p)}}, engine.SGD(1, 0))
		}, []string{"scalars", `"loss"`}},
		{"two outputs", func(b *engine.Builder) engine.Step {
			return engine.Step{Outputs: []engine.Named{{Name: "x", Value: b.Scalar(1)}, {Name: "x", Value: b.Scalar(2)}}}
		}, []string{"outputs", `"x"`}},
		{"values of another length", func(b *engine.Builder) engine.Step {
			return shown(b.Param("p", engine.Values([]float64{1, 2}), 3))
		}, []string{"2 numbers", "[3]"}},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			d := paranoid.New(1)
			s := engine.NewStore(d, kernels.Float64, 1)
			_, err := engine.Build(s, c.m)
			mustSay(t, err, c.want...)
			for _, err := range []error{s.Close(), d.Close()} {
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// A state that is asked for as a parameter later is one, and trains.
func TestParamAfterState(t *testing.T) {
	everywhere(t, func(t *testing.T, start func(model) *run) {
		r := start(func(b *engine.Builder) engine.Step {
			b.State("p", engine.Constant(2), 1)
			p := b.Param("p", engine.Constant(2), 1)
			if n := b.Params(); len(n) != 1 || n[0] != p {
				t.Errorf("the parameters are %v", n)
			}
			return engine.Optimise(b, engine.Objective{{Name: "square", Weight: 1, Value: op.SumSquares(p)}}, engine.SGD(.25, 0))
		}).steps(0, 1)
		close(t, "p", r.read("p"), []float64{1}, 0)
	})
}

// The guard is no scalar: a model may have one of any name.
func TestScalarsAreTheModels(t *testing.T) {
	r := start(t, paranoid.New(1), kernels.Float64, func(b *engine.Builder) engine.Step {
		p := b.Param("p", engine.Constant(3), 1)
		return engine.Optimise(b, engine.Objective{{Name: "finite", Weight: 2, Value: op.SumSquares(p)}}, engine.SGD(0, 0))
	}).steps(0, 1)
	if n := r.program.Scalars; len(n) != 2 || n[0] != "loss" || n[1] != "finite" {
		t.Errorf("the scalars are %q", n)
	}
	close(t, "scalars", r.rows[0], []float64{18, 9}, 0)
}

// Two programs with as many scalars each keep their own.
func TestProgramsKeepTheirScalars(t *testing.T) {
	d := paranoid.New(1)
	s := engine.NewStore(d, kernels.Float64, 1)
	build := func(v float64) *engine.Program {
		p, err := engine.Build(s, func(b *engine.Builder) engine.Step {
			return engine.Step{Scalars: []engine.Named{{Name: "x", Value: b.Scalar(v)}}}
		})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	one, two := build(1), build(2)
	for range 2 {
		for want, p := range map[float64]*engine.Program{1: one, 2: two} {
			if err := p.Run(t.Context(), 0, 1, func(_ uint64, row []float64) { close(t, "x", row, []float64{want}, 0) }); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := len(s.Entries()); n != 0 {
		t.Errorf("scalars make %d entries in the store", n)
	}
}
