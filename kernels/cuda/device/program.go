//go:build gpu && linux && amd64 && cgo

package device

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"gorgonia.org/cu"

	"nearfar/kernels/cuda"
	"nearfar/kernels/cuda/driver"
)

// An Instruction is one of a program.
type Instruction struct {
	Name  string // in errors
	Work  cuda.Work
	Table cuda.Ptr // where Work.Table is to lie: the address that Bind was given
}

// Options are for tests and for looking closer.
type Options struct {
	Direct bool // every step is put into the stream anew: no graph; so too where GraphVariable is "off"
}

// A Program is instructions that are ready to run: bound, held against the kernels, and captured into a CUDA graph. It keeps addresses: the
// memory stays the caller's, and must stay. One goroutine at a time.
type Program struct {
	device *Device
	names  []string
	steps  []step
	begin  []int         // of each instruction's steps, and the end of the last
	graph  *driver.Graph // nil where there is nothing to run, and with Direct

	in, out []Transfer   // of the Step under way
	once    func() error // step, bound once: a step allocates nothing
	begins  bool         // something of the program is in the stream, beside the inputs
	closed  bool
}

// Load makes a program. Its tables are uploaded; nothing of it is run.
func (d *Device) Load(code []Instruction, o Options) (*Program, error) {
	p := &Program{device: d}
	p.once = p.step
	if err := d.do(func() error { return p.load(code, o) }); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *Program) load(code []Instruction, o Options) error {
	d := p.device
	for at, i := range code {
		p.names = append(p.names, i.Name)
		p.begin = append(p.begin, len(p.steps))
		for _, s := range i.Work.Steps {
			bound, err := d.bind(s, uint32(len(p.steps)+1))
			if err != nil {
				return fmt.Errorf("%s: %v: %w", i.Name, s, err)
			}
			bound.instruction = at
			p.steps = append(p.steps, bound)
		}
	}
	p.begin = append(p.begin, len(p.steps))
	if err := p.upload(code); err != nil {
		return err
	}
	if !o.Direct && !d.direct && len(p.steps) > 0 {
		if err := d.warm(p.steps); err != nil {
			return err
		}
		var err error
		if p.graph, err = driver.Capture(d.stream, func() error { return p.enqueue(0, len(p.names)) }); err != nil {
			return &CaptureError{err}
		}
	}
	d.programs[p] = true
	return nil
}

func (p *Program) upload(code []Instruction) error {
	var err error
	for _, i := range code {
		if err = p.device.toDevice(Transfer{i.Table, i.Work.Table}); err != nil {
			err = fmt.Errorf("%s, its table: %w", i.Name, err)
			break
		}
	}
	if failed := p.device.finish(); err == nil {
		err = failed
	}
	runtime.KeepAlive(code) // the copies know only its addresses
	return err
}

// Step copies the inputs to the device, runs the program, and copies the outputs from it: all of a training step, in one hop. The host's memory
// should be of AllocHost, so that the copies make no detour.
func (p *Program) Step(in, out []Transfer) error {
	p.in, p.out = in, out
	err := p.device.do(p.once)
	runtime.KeepAlive(p) // with in and out, of which the copies know only the addresses
	return err
}

func (p *Program) step() error {
	return p.watch(func() error {
		for _, t := range p.in {
			if err := p.device.toDevice(t); err != nil {
				return fmt.Errorf("the inputs: %w", err)
			}
		}
		if p.graph != nil {
			if err := p.graph.Launch(p.device.stream); err != nil {
				return err
			}
			p.begins = true
		} else if err := p.enqueue(0, len(p.names)); err != nil {
			return err
		}
		for _, t := range p.out {
			if err := p.device.toHost(t); err != nil {
				return fmt.Errorf("the outputs: %w", err)
			}
		}
		return nil
	})
}

// Run runs the instructions from .. to-1, without a graph.
func (p *Program) Run(from, to int) error {
	if from < 0 || from > to || to > len(p.names) {
		return fmt.Errorf("instructions %d to %d of a program that has %d", from, to-1, len(p.names))
	}
	return p.device.do(func() error { return p.watch(func() error { return p.enqueue(from, to) }) })
}

// watch runs what put puts into the stream and waits for it. What fails while the program runs fails the device, since how far the work came is not
// known. What fails before, as a copy of an input or the graph's launch, leaves the memory as it was, to be read: the caller can save it.
func (p *Program) watch(put func() error) error {
	if p.closed {
		return errProgramClosed
	}
	d := p.device
	d.setMark(0)
	p.begins = false
	err := put()
	failed := driver.Call("cuStreamSynchronize", d.stream.Synchronize()) // behind an error too: what is under way uses the caller's memory
	switch {
	case err == nil && failed == nil:
		return nil
	case err == nil:
		err = p.located(failed)
	case p.begun() > 0:
		err = fmt.Errorf("%w; the last kernel to begin was %s", err, p.describe(p.begun()-1))
	case failed == nil && !p.begins:
		return err
	}
	return d.fail(err)
}

var errProgramClosed = errors.New("the program is closed")

// enqueue puts the steps of instructions into the stream, or into the graph that is being captured.
func (p *Program) enqueue(from, to int) error {
	for i := p.begin[from]; i < p.begin[to]; i++ {
		if err := p.device.enqueue(&p.steps[i]); err != nil {
			return fmt.Errorf("%s: %w", p.describe(i), err)
		}
		p.begins = true
	}
	return nil
}

// describe names a step.
func (p *Program) describe(i int) string {
	s := &p.steps[i]
	return fmt.Sprintf("%s: %v", p.names[s.instruction], s.Step)
}

// begun counts the steps up to the kernel that began last.
func (p *Program) begun() int { return min(int(p.device.mark()), len(p.steps)) }

// located says where the work was when it failed: in the last kernel that left a mark, or in what was next, up to the kernel behind it. A kernel's mark
// is the store of one thread, and another thread can fail first; products, copies and clears leave none.
func (p *Program) located(err error) error {
	begun := p.begun()
	var next []string
	for i := begun; i < len(p.steps); i++ {
		next = append(next, p.describe(i))
		if p.steps[i].launch != nil {
			break
		}
	}
	e := &RunError{Instruction: -1, Where: "before the first kernel left its mark", Err: err}
	if begun > 0 {
		e.Instruction, e.Where = p.steps[begun-1].instruction, p.describe(begun-1)
	}
	if len(next) > 0 {
		e.Where += " (or in what was next: " + strings.Join(next, "; ") + ")"
	}
	return e
}

// Profile runs the program once, without a graph, and gives the time of each instruction.
func (p *Program) Profile() (times []time.Duration, err error) {
	err = p.device.do(func() (err error) {
		times, err = p.profile()
		return err
	})
	return times, err
}

func (p *Program) profile() (times []time.Duration, err error) {
	events := make([]cu.Event, 0, len(p.names)+1)
	defer func() {
		for i := range events {
			if failed := driver.Call("cuEventDestroy", cu.DestroyEvent(&events[i])); err == nil {
				err = failed
			}
		}
	}()
	for range len(p.names) + 1 {
		e, err := cu.MakeEvent(cu.DefaultEvent)
		if err != nil {
			return nil, driver.Call("cuEventCreate", err)
		}
		events = append(events, e)
	}
	err = p.watch(func() error {
		for at := range events {
			if at > 0 {
				if err := p.enqueue(at-1, at); err != nil {
					return err
				}
			}
			if err := driver.Call("cuEventRecord", events[at].Record(p.device.stream)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for at := range p.names {
		ms, err := events[at].Elapsed(events[at+1])
		if err != nil {
			return nil, driver.Call("cuEventElapsedTime", err)
		}
		times = append(times, time.Duration(ms*float64(time.Millisecond)))
	}
	return times, nil
}

// Close frees the program; its memory is the caller's.
func (p *Program) Close() error {
	return p.device.undo(func() error {
		if p.closed {
			return errProgramClosed
		}
		p.closed = true
		delete(p.device.programs, p)
		return p.graph.Destroy()
	})
}
