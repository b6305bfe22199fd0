package engine_test

import (
	"context"
	"fmt"
	"math"
	"testing"

	"nearfar/engine"
	"nearfar/engine/cpu"
	"nearfar/engine/paranoid"
	"nearfar/kernels"
	kernelset "nearfar/kernels/cpu"
)

type model func(b *engine.Builder) engine.Step

// run is one program over a store of its own, which the test frees.
type run struct {
	t       *testing.T
	store   *engine.Store
	program *engine.Program
	rows    [][]float64 // the scalars of each step so far
}

func start(t *testing.T, d engine.Device, float kernels.DType, m model, options ...engine.PlanOption) *run {
	t.Helper()
	r := &run{t: t, store: engine.NewStore(d, float, 11)}
	p, err := engine.Build(r.store, m, options...)
	if err != nil {
		t.Fatal(err)
	}
	r.program = p
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if err := r.store.Close(); err != nil {
			t.Error(err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *run) steps(from uint64, n int) *run {
	r.t.Helper()
	if err := r.program.Run(context.Background(), from, n, r.keep); err != nil {
		r.t.Fatal(err)
	}
	return r
}

func (r *run) keep(_ uint64, row []float64) { r.rows = append(r.rows, append([]float64{}, row...)) }

func (r *run) read(name string) []float64 {
	r.t.Helper()
	v, _, err := r.store.Read64(name)
	if err != nil {
		r.t.Fatal(err)
	}
	return v
}

func (r *run) output(name string) []float64 {
	r.t.Helper()
	v, err := r.program.Output64(name)
	if err != nil {
		r.t.Fatal(err)
	}
	return v
}

// count counts the plan's instructions of a kernel; "" is every one.
func (r *run) count(kernel string) (n int) {
	for _, i := range r.program.Plan.Code {
		if kernel == "" || i.K.Name() == kernel {
			n++
		}
	}
	return n
}

// states copies every State of the store.
func (r *run) states() map[string][]float64 {
	s := map[string][]float64{}
	for _, e := range r.store.Entries() {
		if e.Kind == engine.State {
			s[e.Name] = append([]float64{}, r.read(e.Name)...)
		}
	}
	return s
}

// agree compares the reported scalars and every State within a relative tolerance; 0 is bit for bit.
func agree(t *testing.T, what string, a, b *run, tolerance float64) {
	t.Helper()
	if len(a.rows) != len(b.rows) {
		t.Fatalf("%s: %d and %d steps", what, len(a.rows), len(b.rows))
	}
	for i := range a.rows {
		close(t, fmt.Sprintf("%s, scalars of step %d", what, i), a.rows[i], b.rows[i], tolerance)
	}
	x, y := a.states(), b.states()
	if len(x) != len(y) {
		t.Fatalf("%s: %d and %d states", what, len(x), len(y))
	}
	for name := range x {
		close(t, what+", "+name, x[name], y[name], tolerance)
	}
}

func close(t *testing.T, what string, got, want []float64, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d numbers, want %d", what, len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] && !(math.Abs(got[i]-want[i]) <= tolerance*(1+math.Abs(want[i]))) {
			t.Errorf("%s: element %d is %.17g, want %.17g", what, i, got[i], want[i])
			return
		}
	}
}

// devices are makers of every device that a test of semantics runs on.
var devices = []struct {
	name string
	make func() engine.Device
}{
	{"paranoid", func() engine.Device { return paranoid.New(1) }},
	{"cpu", func() engine.Device { return cpu.New(2, kernelset.Generic()) }},
	{"cpu best", func() engine.Device { return cpu.New(2, kernelset.Best()) }},
}

// everywhere runs a test on each device, with in-place updates and without.
func everywhere(t *testing.T, f func(t *testing.T, start func(m model) *run)) {
	for _, d := range devices {
		for name, options := range map[string][]engine.PlanOption{"in place": nil, "copied": {engine.WithoutInPlace}} {
			t.Run(d.name+"/"+name, func(t *testing.T) {
				f(t, func(m model) *run { return start(t, d.make(), kernels.Float64, m, options...) })
			})
		}
	}
}
