package cpu_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"nearfar/engine"
	"nearfar/engine/cpu"
	"nearfar/engine/op"
	"nearfar/engine/paranoid"
	"nearfar/kernels"
	kernelset "nearfar/kernels/cpu"
)

func TestAlloc(t *testing.T) {
	d := cpu.New(1, kernelset.Generic())
	defer d.Close()
	for _, n := range []int64{0, 1, 64, 1000} {
		m, err := d.Alloc(n, "x")
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, n)
		if err := m.Read(b, 0); err != nil {
			t.Fatal(err)
		}
		for _, v := range b {
			if v != 0 {
				t.Fatal("memory is not zero")
			}
		}
		if m.Write(0, make([]byte, n+1)) == nil || m.Write(-1, nil) == nil || m.Read(make([]byte, 1), n) == nil {
			t.Errorf("%d bytes: an access outside passed", n)
		}
		if err := m.Free(); err != nil {
			t.Error(err)
		}
	}
	if _, err := d.Alloc(-1, "queue"); err == nil || !strings.Contains(err.Error(), "queue") {
		t.Errorf("a negative size: %v", err)
	}
}

// total is a program over n numbers: s' = s·2 and their sum.
func total(n int) func(b *engine.Builder) engine.Step {
	return func(b *engine.Builder) engine.Step {
		s := b.State("s", engine.Constant(1), n)
		return engine.Step{Updates: []engine.Update{{State: s, Next: op.Scale(s, 2)}}, Scalars: []engine.Named{{Name: "sum", Value: op.Sum(s)}}}
	}
}

func build(t *testing.T, d engine.Device, n int) *engine.Program {
	t.Helper()
	p, err := engine.Build(engine.NewStore(d, kernels.Float64, 1), total(n))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestName(t *testing.T) {
	d := cpu.New(3, kernelset.Generic())
	defer d.Close()
	if d.Name() != "cpu/generic" || d.Threads() != 3 {
		t.Errorf("%s with %d threads", d.Name(), d.Threads())
	}
	all := cpu.New(0, kernelset.Generic())
	defer all.Close()
	if all.Threads() < 1 {
		t.Errorf("%d threads", all.Threads())
	}
}

// Several programs share a device's goroutines at one time.
func TestProgramsShareADevice(t *testing.T) {
	d := cpu.New(3, kernelset.Best())
	defer d.Close()
	var wait sync.WaitGroup
	for k := range 4 {
		n := 50_000 * (k + 1)
		p := build(t, d, n)
		wait.Go(func() {
			err := p.Run(context.Background(), 0, 20, func(step uint64, row []float64) {
				if want := float64(n) * float64(uint64(1)<<step); row[0] != want {
					t.Errorf("step %d of %d numbers: %v, want %v", step, n, row[0], want)
				}
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
}

func TestForeignMemoryIsAnError(t *testing.T) {
	d := cpu.New(1, kernelset.Generic())
	defer d.Close()
	own, err := d.Alloc(4096, "own")
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := paranoid.New(1).Alloc(4096, "elsewhere")
	if err != nil {
		t.Fatal(err)
	}
	p, err := engine.Build(engine.NewStore(d, kernels.Float64, 1), func(b *engine.Builder) engine.Step { // an input and an entry
		t := b.Schedule("t", 1, func(t uint64, out []float64) { out[0] = float64(t) })
		return engine.Step{Outputs: []engine.Named{{Name: "x", Value: op.Add(t, b.State("s", engine.Zeros, 4))}}}
	})
	if err != nil {
		t.Fatal(err)
	}
	plan := p.Plan
	load := func(inputs, entries engine.Mem) error {
		_, err := d.Load(plan, engine.Binding{Inputs: inputs, Outputs: own, Entry: func(string) engine.Mem { return entries }})
		return err
	}
	for _, err := range []error{load(foreign, own), load(own, foreign)} {
		if err == nil || !strings.Contains(err.Error(), "not in this device's memory") {
			t.Errorf("memory of another device: %v", err)
		}
	}
	if err := load(own, own); err != nil {
		t.Error(err)
	}
}

func TestProfile(t *testing.T) {
	d := cpu.New(1, kernelset.Generic())
	defer d.Close()
	p := build(t, d, 100_000)
	if err := p.Run(context.Background(), 0, 1, nil); err != nil {
		t.Fatal(err)
	}
	times, err := p.Profile(context.Background(), 1)
	if err != nil || len(times) != len(p.Plan.Code) {
		t.Fatalf("%d times for %d instructions, %v", len(times), len(p.Plan.Code), err)
	}
	var sum int64
	for _, d := range times {
		sum += int64(d)
	}
	if sum <= 0 {
		t.Error("100,000 numbers took no time")
	}
	// The profiled step is a step: the state has doubled twice.
	if err := p.Run(context.Background(), 2, 1, func(_ uint64, row []float64) {
		if row[0] != 4*100_000 {
			t.Errorf("the sum is %v, want 400,000", row[0])
		}
	}); err != nil {
		t.Error(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if p.Close() == nil {
		t.Error("a program is closed twice without an error")
	}
	if err := p.Run(context.Background(), 0, 1, nil); err == nil {
		t.Error("a closed program runs")
	}
	if _, err := p.Profile(context.Background(), 0); err == nil {
		t.Error("a closed program is profiled")
	}
}

// What the kernels see starts at a cache line.
func TestAlignment(t *testing.T) {
	d := cpu.New(1, kernelset.Generic())
	defer d.Close()
	p := build(t, d, 33)
	for id, b := range p.Plan.Bufs {
		if b.Offset%int64(unsafe.Sizeof([64]byte{})) != 0 {
			t.Errorf("buffer %d is at %d", id, b.Offset)
		}
	}
}
