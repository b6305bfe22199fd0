package engine_test

import (
	"context"
	"maps"
	"math"
	"testing"

	"nearfar/engine"
	"nearfar/engine/cpu"
	"nearfar/engine/op"
	"nearfar/engine/paranoid"
	"nearfar/kernels"
	kernelset "nearfar/kernels/cpu"
)

// in16 is an Adam whose moments are kept in 16 bits.
func in16(o engine.Optimiser) engine.Optimiser {
	k := o.Kernel.(kernels.Adam)
	k.Moments16 = true
	o.Kernel = k
	return o
}

// slopes is a parameter whose gradient is g, whatever the parameter is.
func slopes(o engine.Optimiser, g []float64) model {
	return func(b *engine.Builder) engine.Step {
		p := b.Param("p", engine.Zeros, len(g))
		return engine.Optimise(b, engine.Objective{{Name: "far", Weight: 1, Value: op.Sum(op.Mul(p, b.Const("g", g, len(g))))}}, o)
	}
}

func repeat(v float64, n int) []float64 {
	s := make([]float64, n)
	for i := range s {
		s[i] = v
	}
	return s
}

func mean(v []float64) (m float64) {
	for _, x := range v {
		m += x / float64(len(v))
	}
	return m
}

// The second moment of a constant gradient g goes to g²: it changes by less than a bfloat16's step a step, and does not stay. After t steps it is
// g² (1 - B2^t), on the average over 2,000 parameters to 0.2%, each alone to 15%. Rounded to the nearest it would end at a third of that.
func TestMoments16DoNotFreeze(t *testing.T) {
	const g, steps = .3, 3000
	r := start(t, cpu.New(2, kernelset.Best()), kernels.Float32, slopes(in16(engine.Adam(1e-4)), repeat(g, 2000))).steps(0, steps)
	first, second := r.read("p/Adam.m"), r.read("p/Adam.v")
	want := g * g * (1 - math.Pow(.999, steps))
	if m := mean(second); math.Abs(m/want-1) > .002 {
		t.Errorf("the second moment is %v on the average, want %v", m, want)
	}
	if m := mean(first); math.Abs(m/g-1) > .002 {
		t.Errorf("the first moment is %v on the average, want %v", m, g)
	}
	for i, v := range second {
		if math.Abs(v/want-1) > .15 {
			t.Fatalf("the second moment of parameter %d is %v, want %v", i, v, want)
		}
	}
	// A step of Adam is lr long where the gradient does not change.
	if p := mean(r.read("p")); math.Abs(p/(-1e-4*steps)-1) > .01 {
		t.Errorf("the parameter has gone to %v, want %v", p, -1e-4*steps)
	}
}

// Moments in 16 bits are half as large, the rest is as it was, and a rule knows what it keeps.
func TestMoments16InTheStore(t *testing.T) {
	bytes := func(o engine.Optimiser) map[string]int64 {
		r := start(t, cpu.New(1, kernelset.Generic()), kernels.Float32, slopes(o, repeat(1, 10)))
		sizes := map[string]int64{}
		for _, e := range r.store.Entries() {
			if e.Kind == engine.State {
				sizes[e.Name] = e.Desc.Bytes()
			}
		}
		return sizes
	}
	for _, c := range []struct {
		o    engine.Optimiser
		want map[string]int64
	}{
		{in16(engine.Adam(.1)), map[string]int64{"p": 40, "p/Adam.m": 20, "p/Adam.v": 20}},
		{engine.AdamW(.1, 0), map[string]int64{"p": 40, "p/AdamW.m": 40, "p/AdamW.v": 40}},
		{engine.Adagrad(.1), map[string]int64{"p": 40, "p/Adagrad.s": 40}},
		{engine.SGD(.1, 0), map[string]int64{"p": 40}},
	} {
		got := bytes(c.o)
		if !maps.Equal(got, c.want) {
			t.Errorf("the store has the bytes %v, want %v", got, c.want)
		}
		kept := -got["p"]
		for _, n := range got {
			kept += n
		}
		if want := int64(10 * c.o.StateBytes()); kept != want {
			t.Errorf("%s keeps %d bytes beside ten parameters, and says %d", c.o.Kernel.Name(), kept, want)
		}
	}
}

// Moments are rounded by the seed, the step and the element alone: threads, orders, copies instead of updates in place and a snapshot in between change no
// bit.
func TestMoments16AreReproducible(t *testing.T) {
	m := func(b *engine.Builder) engine.Step {
		table, w := b.Param("table", engine.Gaussian(.5), 1000*tall, width+1), b.Param("w", engine.Gaussian(.5), width+1, 3)
		x := op.MatMul(op.Gather(table, b.Index(&triples{}, "user")), w, false, false)
		return engine.Optimise(b, engine.Objective{{Name: "far", Weight: 1, Value: op.Sum(op.Tanh(x))}}, in16(engine.Adam(.01)))
	}
	for _, set := range kernelset.Sets() {
		on := func(threads int, options ...engine.PlanOption) *run {
			return start(t, cpu.New(threads, set), kernels.Float32, m, options...)
		}
		one := on(1).steps(0, 6)
		if one.byRows() != 1 {
			t.Fatal("the table's gradient is not by rows")
		}
		agree(t, set.Name()+": two threads", on(2).steps(0, 6), one, 0)
		agree(t, set.Name()+": three threads", on(3).steps(0, 6), one, 0)
		agree(t, set.Name()+": copied", on(1, engine.WithoutInPlace).steps(0, 6), one, 0)
		agree(t, set.Name()+": scattered", on(1, engine.WithoutRowGradients).steps(0, 6), one, 0)

		before, after := on(1).steps(0, 3), on(2)
		states, constants, err := before.store.Snapshot()
		if err == nil {
			err = after.store.Restore(states, constants)
		}
		if err != nil {
			t.Fatal(err)
		}
		after.rows = before.rows
		agree(t, set.Name()+": resumed", after.steps(3, 3), one, 0)
	}
	first := start(t, paranoid.New(1), kernels.Float32, m).steps(0, 3)
	agree(t, "another order", start(t, paranoid.New(2), kernels.Float32, m).steps(0, 3), first, 0)
}

// Two parameters with the same gradient, and one of two runs, are rounded by words of their own: where a moment may become one of two numbers, some are
// not the same.
func TestMoments16HaveStreamsOfTheirOwn(t *testing.T) {
	const n = 100
	moments := func(seed uint64) (p, q []float64) {
		s := engine.NewStore(cpu.New(1, kernelset.Best()), kernels.Float32, seed)
		defer s.Close()
		program, err := engine.Build(s, func(b *engine.Builder) engine.Step {
			sum := op.Add(b.Param("p", engine.Zeros, n), b.Param("q", engine.Zeros, n))
			return engine.Optimise(b, engine.Objective{{Name: "far", Weight: 1, Value: op.Sum(op.Scale(sum, .3))}}, in16(engine.Adam(.1)))
		})
		if err != nil {
			t.Fatal(err)
		}
		defer program.Close()
		if err := program.Run(context.Background(), 0, 1, nil); err != nil {
			t.Fatal(err)
		}
		p, _, _ = s.Read64("p/Adam.v")
		q, _, _ = s.Read64("q/Adam.v")
		return p, q
	}
	p, q := moments(11)
	other, _ := moments(12)
	for what, x := range map[string][]float64{"another parameter": q, "another seed": other} {
		differ := 0
		for i := range p {
			if p[i] != x[i] {
				differ++
			}
		}
		if differ < n/10 || differ > n*9/10 {
			t.Errorf("%s: %d of %d moments differ", what, differ, n)
		}
	}
}

// A snapshot of moments in 32 bits is not taken for one in 16.
func TestMoments16OfAnotherRun(t *testing.T) {
	wide := start(t, cpu.New(1, kernelset.Generic()), kernels.Float32, slopes(engine.Adam(.1), repeat(1, 10)))
	states, constants, err := wide.store.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, cpu.New(1, kernelset.Generic()), kernels.Float32, slopes(in16(engine.Adam(.1)), repeat(1, 10)))
	mustSay(t, r.store.Restore(states, constants), "p/Adam.m", "float32[10]", "bfloat16[10]")
}

// In float64, in which derivatives are checked, moments stay exact.
func TestMoments16InFloat64(t *testing.T) {
	m := func(o engine.Optimiser) *run {
		return start(t, paranoid.New(1), kernels.Float64, slopes(o, []float64{.3, -2, 1e-5})).steps(0, 5)
	}
	agree(t, "in float64", m(in16(engine.Adam(.1))), m(engine.Adam(.1)), 0)
}

// A step that is not finite leaves moments as they are.
func TestNaNLeavesMoments16(t *testing.T) {
	r := start(t, cpu.New(2, kernelset.Best()), kernels.Float32, func(b *engine.Builder) engine.Step {
		p := b.Param("p", engine.Constant(2), batch)
		return engine.Optimise(b, engine.Objective{{Name: "far", Weight: 1, Value: op.Sum(op.Mul(op.Square(p), b.Feed(&poisoned{at: 2})[0]))}}, in16(engine.Adam(.1)))
	})
	nonFinite(t, r, 2)
}
