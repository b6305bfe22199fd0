//go:build gpu && linux && amd64 && cgo

package cuda

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"nearfar/engine"
	"nearfar/engine/op"
	"nearfar/kernels"
	"nearfar/kernels/cuda/device"
	"nearfar/kernels/cuda/driver"
	"nearfar/kernels/cuda/emu/control"
)

// chosen is a feed of row numbers with their inverse; slow is one that changes every third step.
type chosen struct{}

func (chosen) Ports() (p []engine.Port) {
	for _, n := range []int{5, 5, 6, 5} {
		p = append(p, engine.Port{Name: fmt.Sprint("part ", len(p)), Desc: kernels.Of(kernels.Int32, n)})
	}
	return p
}

func (chosen) Fill(t uint64, out []engine.Slot) error {
	first := int32(t % 3)
	copy(out[0].I32, []int32{first, 5, -1, first, 4})
	copy(out[1].I32, []int32{first, 4, 5, -1, -1})
	copy(out[2].I32, []int32{0, 2, 3, 4, 4, 4})
	copy(out[3].I32, []int32{0, 3, 4, 1, 0})
	return nil
}

type slow struct{}

func (slow) Ports() []engine.Port {
	return []engine.Port{{Name: "slot", Desc: kernels.Of(kernels.Int32, 5)}}
}
func (slow) Key(t uint64) uint64 { return t / 3 }
func (s slow) Fill(t uint64, out []engine.Slot) error {
	for i := range out[0].I32 {
		out[0].I32[i] = int32((int(s.Key(t)) + i) % 7)
	}
	return nil
}

// queue is a program that rows.cu is enough for: rows of X go into a queue, and X takes what the queue held there.
func queue(b *engine.Builder) engine.Step {
	x, q := b.State("x", engine.Gaussian(1), 6, 4), b.State("queue", engine.Gaussian(1), 7, 4)
	ids := b.Feed(chosen{})
	at := op.Index{ID: ids[0], Rows: ids[1], Seg: ids[2], Perm: ids[3]}
	slots := b.Feed(slow{})[0]
	rows := op.Gather(x, at)
	return engine.Step{Updates: []engine.Update{
		{State: x, Next: op.Put(x, op.Gather(q, op.Only(slots)), at.Rows)},
		{State: q, Next: op.Put(q, rows, slots)},
	}}
}

// train builds a program, runs it, and returns the states. Whatever fails, everything is closed.
func train(d engine.Device, m func(b *engine.Builder) engine.Step, steps int, see func(*engine.Program) error, options ...engine.PlanOption) (states []engine.Saved, err error) {
	s := engine.NewStore(d, kernels.Float32, 11)
	defer func() { err = errors.Join(err, s.Close()) }()
	p, err := engine.Build(s, m, options...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	if err := p.Run(context.Background(), 0, steps, nil); err != nil {
		return nil, err
	}
	if see != nil {
		if err := see(p); err != nil {
			return nil, err
		}
	}
	states, _, err = s.Snapshot()
	return states, err
}

func same(a, b []engine.Saved) bool {
	return slices.EqualFunc(a, b, func(a, b engine.Saved) bool { return a.Name == b.Name && string(a.Data) == string(b.Data) })
}

// A program of the engine, with feeds that change every step and now and then, on the GPU: the processor's bits, since it only moves.
func TestProgram(t *testing.T) {
	want, err := train(processorDevice(), queue, 10, nil)
	if err != nil {
		t.Fatal(err)
	}
	d := open(t)
	got, err := train(d, queue, 10, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !same(got, want) {
		t.Errorf("the states are\n%v, want\n%v", got, want)
	}
	d.direct = true
	if got, err := train(d, queue, 10, nil); err != nil || !same(got, want) {
		t.Errorf("without a graph: %v, want %v: %v", got, want, err)
	}
}

// A step of the engine is one copy of its inputs (two where the slow feed changed), one graph, one wait. Nothing is allocated.
func TestProgramStepsInOneHop(t *testing.T) {
	e := control.Need(t)
	_, err := train(open(t), queue, 1, func(p *engine.Program) error {
		calls := func(from uint64, n int) int {
			before := e.Calls()
			if err := p.Run(context.Background(), from, n, nil); err != nil {
				t.Fatal(err)
			}
			return e.Calls() - before
		}
		live := e.Live()
		if n := calls(0, 30); n != 30*3+10 {
			t.Errorf("30 steps, of which the slow feed changes in 10, are %d calls, want 100", n)
		}
		if now := e.Live(); !maps.Equal(now, live) {
			t.Errorf("steps change what is alive: %v, before %v", now, live)
		}
		allocations := func(n int) float64 { return testing.AllocsPerRun(5, func() { calls(0, n) }) }
		if short, long := allocations(10), allocations(210); long > short+2 { // the runtime has its own now and then
			t.Errorf("10 steps make %v allocations in Go and 210 make %v", short, long)
		}
		times, err := p.Profile(context.Background(), 7)
		if err != nil || len(times) != len(p.Plan.Code) || slices.Contains(times, 0) {
			t.Errorf("the profile is %v: %v", times, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What fails in a step says in which, and is told again whatever is asked; closing is clean, and the memory is gone.
func TestFailedStep(t *testing.T) {
	e := control.Need(t)
	before := e.Live()
	d, err := Open(Any)
	if err != nil {
		t.Fatal(err)
	}
	_, err = train(d, queue, 2, func(p *engine.Program) error {
		e.Fail(4, int(driver.LaunchFailed)) // two copies, the graph, the wait
		defer e.Fail(0, 0)
		err := p.Run(context.Background(), 7, 1, nil)
		var failed *device.RunError
		if !errors.As(err, &failed) || !strings.HasPrefix(err.Error(), "step 7: ") || !errors.Is(err, driver.LaunchFailed) {
			t.Errorf("the error is %v", err)
		}
		again := p.Run(context.Background(), 8, 1, nil)
		if !errors.Is(again, failed) {
			t.Errorf("later it is %v, want %v", again, failed)
		}
		_, profile := p.Profile(context.Background(), 9)
		_, alloc := d.Alloc(1, "something")
		_, _, staging := d.(engine.Stager).Staging(1, "something")
		for i, err := range []error{err, again, profile, alloc, staging} {
			if !errors.Is(err, engine.ErrDeviceLost) || strings.Contains(err.Error(), engine.ErrDeviceLost.Error()) {
				t.Errorf("answer %d of a lost device is %v", i, err)
			}
		}
		return err
	})
	if err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("the errors of the run, the program and the store: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if after := e.Live(); !maps.Equal(after, before) {
		t.Errorf("left %v, before %v", after, before)
	}
}

// A run is cancelled between two steps, and goes on later.
func TestCancel(t *testing.T) {
	want, err := train(processorDevice(), queue, 4, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := train(open(t), queue, 2, func(p *engine.Program) error {
		ctx, cancel := context.WithCancel(context.Background())
		err := p.Run(ctx, 2, 100, func(step uint64, _ []float64) {
			if step == 3 {
				cancel()
			}
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the error is %v, want the context's", err)
		}
		return nil
	})
	if err != nil || !same(got, want) {
		t.Errorf("%v: the states are %v, want %v", err, got, want)
	}
}

// Every call of the driver or of cuBLAS that fails, from opening the device to closing it, is an error that names the call; nothing hangs or
// crashes, and nothing is left but what that very call was to give back.
func TestEveryCallFails(t *testing.T) {
	e := control.Need(t)
	life := func() (err error) {
		d, err := Open(0)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, d.Close()) }()
		_, err = train(d, queue, 3, nil)
		return err
	}
	if err := life(); err != nil { // cuBLAS is loaded once
		t.Fatal(err)
	}
	start := e.Calls()
	if err := life(); err != nil {
		t.Fatal(err)
	}
	calls := e.Calls() - start
	for n := 1; n <= calls; n++ {
		code := []driver.Result{driver.Unknown, driver.OutOfMemory, driver.IllegalAddress, driver.InvalidContext}[n%4]
		if _, err := e.FailOne(t, n, code, life); strings.Contains(err.Error(), "\n") {
			t.Errorf("call %d of %d fails with %v: told more than once: %v", n, calls, code, err)
		}
	}
}
