// Package cpu is the device that is always there: plans run by the pure-Go kernels (and their assembly, where the processor has it) on a
// fixed number of goroutines. Results do not depend on how many.
package cpu

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"time"
	"unsafe"

	"nearfar/engine"
	"nearfar/kernels"
	kernelset "nearfar/kernels/cpu"
)

// Device runs plans on the processor.
type Device struct {
	set  kernelset.Set
	pool *pool
}

// New makes a device of so many threads (0: all processors) over a kernel set.
func New(threads int, set kernelset.Set) *Device {
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	return &Device{set: set, pool: newPool(threads)}
}

// Name is "cpu" and the instruction set, which decides the last bits.
func (d *Device) Name() string { return "cpu/" + d.set.Name() }

// Kernels is the kernel set.
func (d *Device) Kernels() kernelset.Set { return d.set }

// Threads is the number of threads.
func (d *Device) Threads() int { return d.pool.threads }

// Offers tells whether the kernel set has k.
func (d *Device) Offers(k kernels.Kernel, out, in []kernels.Desc) bool {
	return d.set.Offers(k, out, in)
}

// Alloc gives zeroed memory, aligned to a cache line.
func (d *Device) Alloc(bytes int64, what string) (m engine.Mem, err error) {
	if bytes < 0 || bytes > math.MaxInt {
		return nil, fmt.Errorf("%s: %d bytes of memory", what, bytes)
	}
	return memory(alignedBytes(bytes)), nil
}

const cacheLine = 64

func alignedBytes(n int64) []byte {
	align := alignment(n)
	b := make([]byte, n+align)
	skip := -int64(uintptr(unsafe.Pointer(&b[0]))) & (align - 1)
	b = b[skip : skip+n : skip+n]
	advise(b)
	return b
}

// Close ends the device's goroutines.
func (d *Device) Close() error {
	d.pool.close()
	return nil
}

type memory []byte

func (m memory) Write(off int64, b []byte) error {
	if off < 0 || off+int64(len(b)) > int64(len(m)) {
		return fmt.Errorf("a write of %d bytes at %d into %d", len(b), off, len(m))
	}
	copy(m[off:], b)
	return nil
}

func (m memory) Read(b []byte, off int64) error {
	if off < 0 || off+int64(len(b)) > int64(len(m)) {
		return fmt.Errorf("a read of %d bytes at %d from %d", len(b), off, len(m))
	}
	copy(b, m[off:])
	return nil
}

func (m memory) Free() error { return nil }

// exec is a loaded plan: for each instruction, its work on its operands.
type exec struct {
	plan    *engine.Plan
	pool    *pool
	work    []kernelset.Work
	in, out [][]kernelset.Tensor
}

// Load resolves the kernels. One block of scratch serves all instructions, since they run one after another.
func (d *Device) Load(p *engine.Plan, b engine.Binding) (engine.Exec, error) {
	arena := memory(alignedBytes(p.Arena))
	memoryOf := func(id engine.BufID) ([]byte, error) {
		buf := p.Bufs[id]
		var block engine.Mem = arena
		switch buf.Kind {
		case engine.Input:
			block = b.Inputs
		case engine.Output:
			block = b.Outputs
		case engine.Resident:
			block = b.Entry(buf.Name)
		}
		m, ok := block.(memory)
		if !ok {
			return nil, fmt.Errorf("%s %s is not in this device's memory", buf.Kind, buf.Name)
		}
		return m[buf.Offset:][:buf.Desc.Bytes():buf.Desc.Bytes()], nil
	}
	views := func(ids []engine.BufID) ([]kernelset.Tensor, error) {
		t := make([]kernelset.Tensor, len(ids))
		for i, id := range ids {
			m, err := memoryOf(id)
			if err != nil {
				return nil, err
			}
			t[i].Desc = p.Bufs[id].Desc
			switch t[i].Desc.Type {
			case kernels.Float32:
				t[i].F32 = engine.View[float32](m)
			case kernels.Float64:
				t[i].F64 = engine.View[float64](m)
			case kernels.Int32:
				t[i].I32 = engine.View[int32](m)
			case kernels.BFloat16:
				t[i].B16 = engine.View[uint16](m)
			}
		}
		return t, nil
	}
	var most int64
	for _, i := range p.Code {
		most = max(most, d.set.Scratch(i.K, p.Descs(i.Out), p.Descs(i.In)))
	}
	scratch := alignedBytes(most)
	e := &exec{plan: p, pool: d.pool, work: []kernelset.Work{}}
	for at, i := range p.Code {
		in, err := views(i.In)
		if err != nil {
			return nil, err
		}
		out, err := views(i.Out)
		if err != nil {
			return nil, err
		}
		w, err := d.set.Bind(i.K, out, in, scratch)
		if err != nil {
			return nil, fmt.Errorf("instruction %d (%s): %w", at, i.From, err)
		}
		e.work, e.in, e.out = append(e.work, w), append(e.in, in), append(e.out, out)
	}
	return e, nil
}

// Run runs the plan once.
func (e *exec) Run(ctx context.Context) error {
	if e.work == nil {
		return errClosed
	}
	for _, w := range e.work {
		for _, p := range w {
			e.pool.run(p)
		}
	}
	return nil
}

// Profile is Run with a clock round each instruction.
func (e *exec) Profile(context.Context) ([]time.Duration, error) {
	if e.work == nil {
		return nil, errClosed
	}
	times := make([]time.Duration, len(e.work))
	for i, w := range e.work {
		start := time.Now()
		for _, p := range w {
			e.pool.run(p)
		}
		times[i] = time.Since(start)
	}
	return times, nil
}

// Probe runs the plan again and looks at every result. It is called after a step that the guard kept from changing any state, so the operands are
// those of that step.
func (e *exec) Probe(ctx context.Context) (int, error) {
	for at, w := range e.work {
		in := nonFinite(e.in[at])
		for _, p := range w {
			e.pool.run(p)
		}
		if nonFinite(e.out[at]).Guilty(in, len(e.in[at])) {
			return at, ctx.Err()
		}
	}
	return -1, ctx.Err()
}

func nonFinite(ts []kernelset.Tensor) (n engine.NonFinite) {
	for _, t := range ts {
		n = n.And(engine.FindNonFinite(t.F32)).And(engine.FindNonFinite(t.F64))
	}
	return n
}

var errClosed = errors.New("the program is closed")

// Close ends the exec; the device goes on.
func (e *exec) Close() error {
	if e.work == nil {
		return errClosed
	}
	e.work, e.in, e.out = nil, nil, nil
	return nil
}
