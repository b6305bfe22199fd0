//go:build gpu && linux && amd64 && cgo

package device

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"nearfar/kernels/cuda"
	"nearfar/kernels/cuda/driver"
	"nearfar/kernels/cuda/emu/control"
)

// A kernel that leaves its memory: the error says which, the device answers everything with it from then on, and can be closed.
func TestFailedKernel(t *testing.T) {
	e := control.Need(t)
	for name, c := range map[string]struct {
		before func(k *toy)                  // it is loaded
		after  func(d *Device, k *toy) error // and before it runs
		where  string
	}{
		"a kernel": {func(k *toy) { k.code[1].Work.Steps[0].(*cuda.Launch).Args[2].Bits = 1 << 20 }, nil, "dot: row_dot<<<[1 1 1], 256, 0>>>"},
		"a product": {nil, func(d *Device, k *toy) error { return d.Free(k.m) },
			"dot: row_dot<<<[1 1 1], 256, 0>>> (or in what was next: product: clear of 160 bytes; product: product [5 x 8] [8 x 8] x 1; sum: scatter_unsorted<<<[1 1 1], 128, 0>>>): cuStreamSynchronize: "},
		"no kernel yet": {func(k *toy) {
			k.code = append([]Instruction{{Name: "first", Work: cuda.Work{Steps: []cuda.Step{&cuda.Clear{At: k.sum, Bytes: 4}}}}}, k.code...)
		}, func(d *Device, k *toy) error { return d.Free(k.sum) },
			"before the first kernel left its mark (or in what was next: first: clear of 4 bytes; gather: gather4<<<[1 1 1], 256, 0>>>): cuStreamSynchronize: "},
	} {
		t.Run(name, func(t *testing.T) {
			before := e.Live()
			d := open(t)
			k, err := newToy(d)
			if err != nil {
				t.Fatal(err)
			}
			whole, err := d.Load(k.code, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if c.before != nil {
				c.before(k)
			}
			p, err := d.Load(k.code, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Write(k.id, control.Words[int32](0, 1, 2, 3, 4)); err != nil {
				t.Fatal(err)
			}
			if c.after != nil {
				if err := c.after(d, k); err != nil {
					t.Fatal(err)
				}
			}
			first := p.Step(nil, nil)
			var run *RunError
			if !errors.As(first, &run) || !strings.Contains(first.Error(), c.where) {
				t.Fatalf("the error is %v (%#v)", first, run)
			}
			t.Log(first)
			within(t, time.Second, func() {
				_, profile := p.Profile()
				_, alloc := d.Alloc(1, "something")
				_, load := d.Load(nil, Options{})
				for _, err := range []error{p.Step(nil, nil), whole.Step(nil, nil), p.Run(0, 1), profile, alloc, load, d.Write(k.x, make([]byte, 4)), d.Read(make([]byte, 4), k.x)} {
					if err != first {
						t.Errorf("later calls say %v", err)
					}
				}
				if err := errors.Join(p.Close(), whole.Close(), d.Free(k.x), d.Close(), d.Free(k.y), d.Close()); err != nil {
					t.Errorf("closing: %v", err)
				}
			})
			if after := e.Live(); !maps.Equal(after, before) {
				t.Errorf("left: %v, before %v", after, before)
			}
		})
	}
}

// A step that fails before anything of it began leaves the device and its memory: the next one gives what it would have given. One that fails later
// may have changed anything.
func TestFailureBeforeTheStep(t *testing.T) {
	e := control.Need(t)
	want := runToy(t, Options{})
	for _, c := range []struct {
		name string
		call int // of a step, which is copy, graph, copy, wait
		code driver.Result
		lost bool
	}{
		{"the input", 1, driver.InvalidValue, false},
		{"the input, by a code that ends the context", 1, driver.IllegalAddress, true},
		{"the graph", 2, driver.OutOfMemory, false},
		{"the graph, by a code that ends the context", 2, driver.Unknown, true},
		{"the output", 3, driver.InvalidValue, true},
		{"the wait", 4, driver.InvalidValue, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := open(t)
			k, err := newToy(d)
			if err != nil {
				t.Fatal(err)
			}
			p := must(t)(d.Load(k.code, Options{}))
			host, out := make([]byte, 4*toyChosen), make([]byte, 4*toyChosen)
			e.Fail(c.call, int(c.code))
			err = p.Step([]Transfer{{k.id, host}}, []Transfer{{k.dots, out}})
			if !errors.Is(err, c.code) || errors.Is(err, ErrLost) != c.lost {
				t.Fatalf("the error is %v, lost %v", err, errors.Is(err, ErrLost))
			}
			got, err := k.steps(d, p, 4)
			switch {
			case c.lost && !errors.Is(err, ErrLost):
				t.Errorf("later it is %v", err)
			case !c.lost && (err != nil || !bytes.Equal(got, want)):
				t.Errorf("later steps are %v (%v), want %v", got, err, want)
			}
		})
	}
}

// A step that cannot be captured is named, and it is said what that is and what can be done; the device goes on. cuBLAS's word for it is the one for
// a kernel that failed, which would end the device.
func TestUncapturedStep(t *testing.T) {
	e := control.Need(t)
	d := open(t)
	k, err := newToy(d)
	if err != nil {
		t.Fatal(err)
	}
	must(t)(d.Load(k.code, Options{})) // the functions are there
	for call, c := range map[int]struct {
		where string
		code  driver.Result
	}{ // behind the wait for the tables, the first products (5) and the begin of the capture
		8:  {"gather: gather4<<<", driver.CaptureUnsupported},
		9:  {"dot: row_dot<<<", driver.CaptureUnsupported},
		11: {"product: product [5 x 8] [8 x 8] x 1: cublasGemmStridedBatchedEx: CUBLAS_STATUS_EXECUTION_FAILED", driver.IllegalAddress},
	} {
		e.Fail(call, int(c.code))
		_, err := d.Load(k.code, Options{})
		e.Fail(0, 0)
		if err == nil || errors.Is(err, ErrLost) || !strings.Contains(err.Error(), "capturing a step: "+c.where) || !strings.Contains(err.Error(), GraphVariable+"=off") {
			t.Errorf("call %d: the error is %v", call, err)
		}
	}
	if _, err := k.steps(d, must(t)(d.Load(k.code, Options{})), 1); err != nil {
		t.Error(err)
	}
}

// The user's way round a driver that cannot capture a program.
func TestGraphsOff(t *testing.T) {
	if err := driver.Available(); err != nil {
		t.Skipf("%v; with the emulated driver: make test-gpu", err)
	}
	steps := func() []byte {
		d, err := Open(0)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		k, err := newToy(d)
		if err != nil {
			t.Fatal(err)
		}
		p := must(t)(d.Load(k.code, Options{}))
		if captured := p.graph != nil; captured == d.direct {
			t.Errorf("%s=%s, captured: %v", GraphVariable, os.Getenv(GraphVariable), captured)
		}
		got, err := k.steps(d, p, 3)
		if err != nil {
			t.Error(err)
		}
		return got
	}
	graph := steps()
	t.Setenv(GraphVariable, "off")
	if direct := steps(); !bytes.Equal(direct, graph) {
		t.Errorf("without graphs %v, with %v", direct, graph)
	}
	t.Setenv(GraphVariable, "no")
	if d, err := Open(0); err == nil || !strings.Contains(err.Error(), "want off") {
		t.Errorf("%v, opened: %v", err, d != nil)
	}
}

func TestRunOutOfRange(t *testing.T) {
	d := open(t)
	k, err := newToy(d)
	if err != nil {
		t.Fatal(err)
	}
	p := must(t)(d.Load(k.code, Options{Direct: true}))
	for _, r := range [][2]int{{-1, 1}, {2, 1}, {0, len(k.code) + 1}} {
		if err := p.Run(r[0], r[1]); err == nil || errors.Is(err, ErrLost) {
			t.Errorf("%v: the error is %v", r, err)
		}
	}
}

// life is all that a device can do, once. Whatever fails in it, everything is closed.
func life() (err error) {
	d, err := Open(0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	k, err := newToy(d)
	if err != nil {
		return err
	}
	k.code[0].Work.Table, k.code[0].Table = make([]byte, 16), k.y
	p, err := d.Load(k.code, Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	if _, err := k.steps(d, p, 3); err != nil {
		return err
	}
	if _, err := p.Profile(); err != nil {
		return err
	}
	if err := errors.Join(d.Clear(k.y, 16), p.Run(0, 2)); err != nil {
		return err
	}
	_, err = d.Alloc(64, "something that stays")
	return err
}

// Every call that fails is an error that names it; nothing hangs, and nothing is left but what that very call was to give back.
func TestEveryCallFails(t *testing.T) {
	e := control.Need(t)
	if err := life(); err != nil { // cuBLAS is loaded once
		t.Fatal(err)
	}
	start := e.Calls()
	if err := life(); err != nil {
		t.Fatal(err)
	}
	calls := e.Calls() - start
	seen := map[string]int{}
	for at, code := range []driver.Result{driver.Unknown, driver.OutOfMemory, driver.IllegalAddress} {
		const stride = 5 // for the other two
		for n := 1; n <= calls; n++ {
			if at > 0 && n%stride != at {
				continue
			}
			call, _ := e.FailOne(t, n, code, life)
			seen[call]++
		}
	}
	if len(seen) < 25 {
		t.Errorf("only these calls are named: %v", seen)
	}
	t.Logf("%d calls in a life; named in errors: %v", calls, fmt.Sprint(seen))
}
