//go:build gpu && linux && amd64 && cgo

package cuda

import (
	"context"
	"errors"
	"fmt"
	"time"

	"nearfar/engine"
	"nearfar/kernels"
	kernelset "nearfar/kernels/cuda"
	"nearfar/kernels/cuda/device"
)

// exec is a loaded plan.
type exec struct {
	gpu     *device.Device
	program *device.Program
	blocks  []kernelset.Ptr // of the plan's own memory
	in, out [][]kernelset.Tensor

	inputs, outputs *memory
	uploads         []device.Transfer // of a step, in slices that the next step uses again
	downloads       [1]device.Transfer
}

var (
	_ engine.Stepper  = (*exec)(nil)
	_ engine.Prober   = (*exec)(nil)
	_ engine.Profiler = (*exec)(nil)
)

// Load places the plan's temporaries in one allocation, scratch memory for any instruction in another, the tables of all in a third, lowers
// every instruction on its operands, and captures a step.
func (d *Device) Load(p *engine.Plan, b engine.Binding) (_ engine.Exec, err error) {
	e := &exec{gpu: d.gpu}
	defer func() {
		if err != nil {
			err = lost(errors.Join(advised(err, "this GPU"), e.free()))
		}
	}()
	if e.inputs, err = d.own(b.Inputs, "the input block"); err != nil {
		return nil, err
	}
	if e.outputs, err = d.own(b.Outputs, "the output block"); err != nil {
		return nil, err
	}
	arena, err := e.alloc(p.Arena, "the temporaries of a step")
	if err != nil {
		return nil, err
	}
	memories, err := e.memories(d.set, p)
	if err != nil {
		return nil, err
	}
	code := make([]device.Instruction, len(p.Code))
	for at, i := range p.Code {
		name := fmt.Sprintf("instruction %d (%s)", at, i.From)
		in, err := d.tensors(p, b, arena, i.In)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out, err := d.tensors(p, b, arena, i.Out)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		w, err := d.set.Bind(i.K, out, in, memories[at])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		e.in, e.out = append(e.in, in), append(e.out, out)
		code[at] = device.Instruction{Name: name, Work: w, Table: memories[at].Table}
	}
	e.program, err = d.gpu.Load(code, device.Options{Direct: d.direct})
	if err != nil {
		return nil, err
	}
	return e, nil
}

// own is memory of this device behind the interface.
func (d *Device) own(m engine.Mem, what string) (*memory, error) {
	own, ok := m.(*memory)
	if !ok || own.gpu != d.gpu || own.freed {
		return nil, fmt.Errorf("%s is not in this device's memory", what)
	}
	return own, nil
}

// memories allocates what the instructions need beside their operands: one after another they share scratch memory, and each has its table.
func (e *exec) memories(set kernelset.Set, p *engine.Plan) ([]kernelset.Memory, error) {
	const alignment = 256
	m := make([]kernelset.Memory, len(p.Code))
	var scratch, tables int64
	for at, i := range p.Code {
		s := set.Sizes(i.K, p.Descs(i.Out), p.Descs(i.In))
		scratch = max(scratch, s.Scratch)
		m[at].Table = kernelset.Ptr(tables)
		tables += (s.Table + alignment - 1) &^ (alignment - 1)
	}
	shared, err := e.alloc(scratch, "the scratch memory of the kernels")
	if err != nil {
		return nil, err
	}
	first, err := e.alloc(tables, "the tables of the kernels")
	if err != nil {
		return nil, err
	}
	for at := range m {
		m[at].Scratch = shared
		m[at].Table += first
	}
	return m, nil
}

// alloc gives memory that is freed with the exec.
func (e *exec) alloc(bytes int64, what string) (kernelset.Ptr, error) {
	p, err := e.gpu.Alloc(bytes, what)
	if err == nil {
		e.blocks = append(e.blocks, p)
	}
	return p, err
}

// tensors are the buffers of a plan where they lie. A buffer that shares another's memory has that one's place in the plan already.
func (d *Device) tensors(p *engine.Plan, b engine.Binding, arena kernelset.Ptr, ids []engine.BufID) ([]kernelset.Tensor, error) {
	ts := make([]kernelset.Tensor, len(ids))
	for i, id := range ids {
		buf := p.Bufs[id]
		block, bytes := arena, p.Arena
		if buf.Kind != engine.Temp {
			var m engine.Mem
			switch buf.Kind {
			case engine.Input:
				m = b.Inputs
			case engine.Output:
				m = b.Outputs
			case engine.Resident:
				m = b.Entry(buf.Name)
			}
			own, err := d.own(m, fmt.Sprintf("%v %s", buf.Kind, buf.Name))
			if err != nil {
				return nil, err
			}
			block, bytes = own.at, own.bytes
		}
		if buf.Offset < 0 || buf.Offset+buf.Desc.Bytes() > bytes {
			return nil, fmt.Errorf("%v %s %v at %d of %d bytes", buf.Kind, buf.Name, buf.Desc, buf.Offset, bytes)
		}
		ts[i] = kernelset.Tensor{Desc: buf.Desc, At: block + kernelset.Ptr(buf.Offset)}
	}
	return ts, nil
}

// Run runs the plan once.
func (e *exec) Run(ctx context.Context) error { return e.Step(ctx, nil, engine.Piece{}) }

// Step is one hop to the device: the inputs, the graph, the report. It is not cancelled: the engine looks between two steps.
func (e *exec) Step(_ context.Context, in []engine.Piece, report engine.Piece) error {
	if e.program == nil {
		return errClosed
	}
	e.uploads = e.uploads[:0]
	for _, p := range in {
		if err := e.inputs.holds("write", p.At, p.Bytes); err != nil {
			return err
		}
		e.uploads = append(e.uploads, device.Transfer{At: e.inputs.at + kernelset.Ptr(p.At), Host: p.Bytes})
	}
	if err := e.outputs.holds("read", report.At, report.Bytes); err != nil {
		return err
	}
	e.downloads[0] = device.Transfer{At: e.outputs.at + kernelset.Ptr(report.At), Host: report.Bytes}
	return lost(e.program.Step(e.uploads, e.downloads[:]))
}

// Profile runs the plan once, with an event of CUDA between instructions.
func (e *exec) Profile(context.Context) ([]time.Duration, error) {
	if e.program == nil {
		return nil, errClosed
	}
	times, err := e.program.Profile()
	return times, lost(err)
}

// Probe runs the plan again, instruction by instruction, and looks at every operand and result. It is called after a step that the guard kept from
// changing any state, so the operands are those of that step.
func (e *exec) Probe(ctx context.Context) (int, error) {
	if e.program == nil {
		return -1, errClosed
	}
	at, err := e.probe(ctx)
	return at, lost(err)
}

func (e *exec) probe(ctx context.Context) (int, error) {
	for at := range e.in {
		if err := ctx.Err(); err != nil {
			return -1, err
		}
		in, err := e.nonFinite(e.in[at])
		if err != nil {
			return -1, err
		}
		if err := e.program.Run(at, at+1); err != nil {
			return -1, err
		}
		out, err := e.nonFinite(e.out[at])
		if err != nil {
			return -1, err
		}
		if out.Guilty(in, len(e.in[at])) {
			return at, nil
		}
	}
	return -1, nil
}

func (e *exec) nonFinite(ts []kernelset.Tensor) (n engine.NonFinite, err error) {
	for _, t := range ts {
		if t.Desc.Type != kernels.Float32 {
			continue
		}
		v := make([]byte, t.Desc.Bytes())
		if err := e.gpu.Read(v, t.At); err != nil {
			return n, err
		}
		n = n.And(engine.FindNonFinite(engine.View[float32](v)))
	}
	return n, nil
}

var errClosed = errors.New("the program is closed")

// Close ends the exec and frees its memory; the device goes on.
func (e *exec) Close() error {
	if e.program == nil {
		return errClosed
	}
	return lost(e.free())
}

func (e *exec) free() error {
	var errs []error
	if e.program != nil {
		errs = append(errs, e.program.Close())
		e.program = nil
	}
	for _, p := range e.blocks {
		errs = append(errs, e.gpu.Free(p))
	}
	e.blocks = nil
	return errors.Join(errs...)
}
