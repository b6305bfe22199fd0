package engine_test

import (
	"errors"
	"testing"

	"nearfar/engine"
	"nearfar/engine/paranoid"
	"nearfar/kernels"
)

var errFull = errors.New("the device is full")

// failing is a device whose Alloc or Load fails after so many calls; its memory says what was not freed.
type failing struct {
	*paranoid.Device
	allocs int // that succeed; negative: all
	load   bool
	writes bool
}

type unwritable struct{ engine.Mem }

func (unwritable) Write(int64, []byte) error { return errFull }

func (d *failing) Alloc(bytes int64, what string) (engine.Mem, error) {
	if d.allocs == 0 {
		return nil, errFull
	}
	d.allocs--
	m, err := d.Device.Alloc(bytes, what)
	if d.writes {
		return unwritable{m}, err
	}
	return m, err
}

func (d *failing) Load(p *engine.Plan, b engine.Binding) (engine.Exec, error) {
	if d.load {
		return nil, errFull
	}
	return d.Device.Load(p, b)
}

// Whatever fails while a program is built, the memory that it had is free again, and the store can be closed.
func TestFailedBuildFreesItsMemory(t *testing.T) {
	build := func(d *failing) (*engine.Store, error) {
		s := engine.NewStore(d, kernels.Float64, 1)
		_, err := engine.Build(s, simGCL)
		return s, err
	}
	const enough = 1000
	count := &failing{Device: paranoid.New(1), allocs: enough}
	if _, err := build(count); err != nil {
		t.Fatal(err)
	}
	used := enough - count.allocs
	for n := range used {
		check(t, &failing{Device: paranoid.New(1), allocs: n}, build)
	}
	check(t, &failing{Device: paranoid.New(1), allocs: -1, load: true}, build)
	check(t, &failing{Device: paranoid.New(1), allocs: -1, writes: true}, build)
}

func check(t *testing.T, d *failing, build func(*failing) (*engine.Store, error)) {
	t.Helper()
	s, err := build(d)
	if !errors.Is(err, errFull) {
		t.Errorf("the error is %v, want the device's", err)
	}
	if err := errors.Join(s.Close(), d.Close()); err != nil {
		t.Errorf("%+v: %v", d, err)
	}
}
