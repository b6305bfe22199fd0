package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"

	"nearfar/engine"
	"nearfar/engine/cpu"
	"nearfar/engine/cuda"
	kernelset "nearfar/kernels/cpu"
)

// A device is one of the build's, with what its kernels are called: the processor is a device for each of its kernel sets.
type device struct {
	engine.Device
	variant string
	threads int
	host    bool   // on the processor: its sets share operands, and the host's clocks are right
	refuses string // why nothing is timed on it
}

// openDevices opens those devices of the build whose variant matches, the processor's with so many threads, and perhaps a GPU. One that a build with the
// tag gpu cannot open is said in note.
func openDevices(threads int, variant *regexp.Regexp, withGPU bool) (all []device, note string) {
	for _, s := range kernelset.Sets() {
		if variant.MatchString(s.Name()) {
			all = append(all, device{Device: cpu.New(threads, s), variant: s.Name(), threads: threads, host: true})
		}
	}
	if !withGPU || !variant.MatchString("cuda") {
		return all, ""
	}
	gpu, err := cuda.Open(cuda.Any)
	switch {
	case err == nil:
		d := device{Device: gpu, variant: "cuda", threads: 1}
		if emulated() {
			d.refuses = "the GPU is emulated: how long it takes says nothing"
		}
		all = append(all, d)
	case cuda.Expected():
		note = fmt.Sprintf("no GPU is used: %v", err)
	}
	return all, note
}

// operands are a problem's in the memory of a device. The kernel sets of the processor share them.
type operands struct {
	in     []tensor // as the host has them
	place  int      // outputs that lie on the first inputs
	names  []string
	memory map[string]engine.Mem
	plan   *engine.Plan
	block  engine.Mem // the input and the output block of a plan that has nothing in them
}

// place allocates and fills a problem's operands.
func place(d engine.Device, p problem, in []tensor) (_ *operands, err error) {
	out, err := p.k.Infer(descs(in))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.name, err)
	}
	o := &operands{in: in, place: p.inPlace, memory: map[string]engine.Mem{}, plan: &engine.Plan{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, o.free())
		}
	}()
	if o.block, err = d.Alloc(256, "no inputs"); err != nil {
		return nil, err
	}
	code := engine.Instr{K: p.k, From: p.name}
	code.FLOPs, code.Bytes = engine.Cost(p.k, out, descs(in))
	for i, t := range in {
		id, err := o.buffer(d, engine.Buf{Desc: t.Desc, Name: fmt.Sprintf("in%d", i)})
		if err != nil {
			return nil, err
		}
		code.In = append(code.In, id)
	}
	for i, desc := range out {
		b, at := engine.Buf{Desc: desc, Name: fmt.Sprintf("out%d", i)}, -1
		if i < p.inPlace {
			b.Name, at = o.names[i], i
		}
		id, err := o.buffer(d, b)
		if err != nil {
			return nil, err
		}
		if at >= 0 {
			o.plan.Bufs[id].Root = code.In[at]
		}
		code.Out, code.InPlace = append(code.Out, id), append(code.InPlace, at)
	}
	o.plan.Code = []engine.Instr{code}
	return o, o.fill()
}

func (o *operands) buffer(d engine.Device, b engine.Buf) (engine.BufID, error) {
	if o.memory[b.Name] == nil {
		m, err := d.Alloc(max(b.Desc.Bytes(), 4), b.Name)
		if err != nil {
			return 0, err
		}
		o.memory[b.Name] = m
	}
	b.Kind, b.Root = engine.Resident, engine.BufID(len(o.plan.Bufs))
	o.plan.Bufs, o.names = append(o.plan.Bufs, b), append(o.names, b.Name)
	return b.Root, nil
}

// fill writes the inputs, again where a run has written over them, and what no result is over the outputs: a kernel that writes nothing must not be
// taken for the one before it.
func (o *operands) fill() error {
	for i, id := range o.plan.Code[0].Out {
		if o.plan.Code[0].InPlace[i] < 0 {
			b := o.plan.Bufs[id]
			if err := o.memory[b.Name].Write(0, bytes.Repeat([]byte{0xff}, int(b.Desc.Bytes()))); err != nil { // NaN, -1
				return err
			}
		}
	}
	for i, t := range o.in {
		if err := o.memory[o.names[i]].Write(0, bytesOf(t)); err != nil {
			return err
		}
	}
	return nil
}

// results reads the outputs.
func (o *operands) results() ([]tensor, error) {
	var out []tensor
	for _, id := range o.plan.Code[0].Out {
		t := blank(o.plan.Bufs[id].Desc)
		if err := o.memory[o.plan.Bufs[id].Name].Read(bytesOf(t), 0); err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

func (o *operands) load(d engine.Device) (engine.Exec, error) {
	return d.Load(o.plan, engine.Binding{Inputs: o.block, Outputs: o.block, Entry: func(name string) engine.Mem { return o.memory[name] }})
}

func (o *operands) free() error {
	var errs []error
	for _, m := range o.memory {
		errs = append(errs, m.Free())
	}
	if o.block != nil {
		errs = append(errs, o.block.Free())
	}
	return errors.Join(errs...)
}

// runOf gives the runs of an exec and how they are timed: on the processor by the host's clocks, on a GPU by its own.
func runOf(d device, e engine.Exec) func(ctx context.Context, times int) (timing, error) {
	profiler, ok := e.(engine.Profiler)
	if d.host || !ok {
		return hostClocked(e.Run)
	}
	return func(ctx context.Context, times int) (t timing, err error) {
		for range times {
			each, err := profiler.Profile(ctx)
			if err != nil {
				return t, err
			}
			for _, d := range each {
				t.wall += d
			}
		}
		t.cpu = t.wall // the host waits
		return t, nil
	}
}
