package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"nearfar/kernels"
)

// Program is a compiled step over a Store. It is not re-entrant.
type Program struct {
	Plan    *Plan
	Scalars []string // names of what each step reports, no two equal

	store           *Store
	exec            Exec
	inputs, outputs Mem
	feeding         *feeding
	report          int64 // place in the output block of the scalars, behind which the guard stands
	guarded         bool
	row             []float64
	rowBytes        staging
	closed          bool
}

func compile(b *Builder, s Step, options []PlanOption) (*Program, error) {
	f := newFeeding(b.feeds, b.Store.Float)
	c := liftStep(b, s)
	if b.Store.Half {
		if err := c.halve(); err != nil {
			return nil, err
		}
	}
	plan := makePlan(c, f.ports, options)
	plan.Input = f.bytes
	p := &Program{Plan: plan, store: b.Store, feeding: f, guarded: len(b.guards) > 0}
	for _, n := range s.Scalars {
		p.Scalars = append(p.Scalars, n.Name)
	}
	if out, err := p.output(reportName); err == nil {
		p.report, p.row = out.Offset, make([]float64, out.Desc.Elems())
	}
	if err := p.load(b.Store); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func (p *Program) load(s *Store) (err error) {
	if p.inputs, err = s.Device.Alloc(max(p.Plan.Input, alignment), "the input block"); err != nil {
		return err
	}
	if p.outputs, err = s.Device.Alloc(max(p.Plan.Out, alignment), "the output block"); err != nil {
		return err
	}
	if err = p.feeding.stage(s.Device, s.Float); err != nil {
		return err
	}
	if p.rowBytes, err = stage(s.Device, int64(len(p.row)*s.Float.Size()), "the scalars of a step"); err != nil {
		return err
	}
	p.exec, err = s.Device.Load(p.Plan, Binding{Inputs: p.inputs, Outputs: p.outputs, Entry: func(name string) Mem { return s.byName[name].mem }})
	return err
}

// NonFiniteError says that a step's loss or gradient was NaN or infinite. The step changed nothing.
type NonFiniteError struct {
	Step uint64
	// Instruction is the first that made something infinite or NaN of finite numbers, as explain numbers them; -1 where the device cannot tell.
	Instruction int
	From        string
}

func (e *NonFiniteError) Error() string {
	where := "the device cannot tell where"
	if e.Instruction >= 0 {
		where = fmt.Sprintf("first in instruction %d (%s)", e.Instruction, e.From)
	}
	return fmt.Sprintf("step %d is not finite, %s: lower -lr, or what makes the loss large (a small -tau, a large -lambda, -reg or -init-std); the parameters are those before the step", e.Step, where)
}

// Run runs steps from, from+1, .. from+n-1, and reports each one's scalars in order, in a slice that the next step uses
// again. While a step runs, the inputs of the next are filled. It ends early with the context's error, between two steps, and with a
// *NonFiniteError. A Feed that is slow to Fill does not keep a cancelled Run: its goroutine ends by itself, and the next Run, or Close, waits
// for it.
//
// Scalars and guard are read after every step, not once in a while: the guard keeps the states of its own step only, so that a step which is not
// finite must be the last.
func (p *Program) Run(ctx context.Context, from uint64, n int, report func(t uint64, scalars []float64)) error {
	if p.closed {
		return errClosed
	}
	if n <= 0 {
		return noSteps(n)
	}
	p.feeding.start(from, n)
	defer p.feeding.stop()
	run := p.run
	if s, ok := p.exec.(Stepper); ok {
		run = s.Step
	}
	for t := from; t < from+uint64(n); t++ {
		if err := p.step(ctx, t, run); err != nil {
			return err
		}
		if report != nil {
			report(t, p.row[:len(p.Scalars)])
		}
	}
	return nil
}

var errClosed = errors.New("the program is closed")

func noSteps(n int) error {
	if n < 0 {
		return fmt.Errorf("a run of %d steps", n)
	}
	return nil
}

// Profile runs step t, updates included, and gives the time of each instruction of Plan.Code. It is an error where the device keeps no times.
func (p *Program) Profile(ctx context.Context, t uint64) (times []time.Duration, err error) {
	if p.closed {
		return nil, errClosed
	}
	profiler, ok := p.exec.(Profiler)
	if !ok {
		return nil, fmt.Errorf("the device %s keeps no times", p.store.Device.Name())
	}
	p.feeding.start(t, 1)
	defer p.feeding.stop()
	err = p.step(ctx, t, func(ctx context.Context, in []Piece, report Piece) (err error) {
		if err := p.write(in); err != nil {
			return err
		}
		if times, err = profiler.Profile(ctx); err != nil {
			return err
		}
		return p.read(report)
	})
	return times, err
}

// step runs one step and reads its scalars.
func (p *Program) step(ctx context.Context, t uint64, run func(ctx context.Context, in []Piece, report Piece) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	in, err := p.feeding.take(ctx, t)
	if err != nil {
		return err
	}
	if err := run(ctx, in, Piece{p.report, p.rowBytes.bytes}); err != nil {
		return fmt.Errorf("step %d: %w", t, err)
	}
	p.readRow()
	if p.guarded && p.row[len(p.row)-1] != 1 {
		return p.explainNonFinite(ctx, t)
	}
	return nil
}

// run is a Stepper's Step on a device that has none.
func (p *Program) run(ctx context.Context, in []Piece, report Piece) error {
	if err := p.write(in); err != nil {
		return err
	}
	if err := p.exec.Run(ctx); err != nil {
		return err
	}
	return p.read(report)
}

func (p *Program) write(in []Piece) error {
	for _, piece := range in {
		if err := p.inputs.Write(piece.At, piece.Bytes); err != nil {
			return err
		}
	}
	return nil
}

func (p *Program) read(report Piece) error {
	if len(report.Bytes) == 0 {
		return nil
	}
	return p.outputs.Read(report.Bytes, report.At)
}

// readRow makes numbers of the report.
func (p *Program) readRow() {
	if p.store.Float == kernels.Float64 {
		copy(p.row, View[float64](p.rowBytes.bytes))
		return
	}
	for i, v := range View[float32](p.rowBytes.bytes) {
		p.row[i] = float64(v)
	}
}

func (p *Program) explainNonFinite(ctx context.Context, t uint64) error {
	e := &NonFiniteError{Step: t, Instruction: -1}
	if pr, ok := p.exec.(Prober); ok {
		i, err := pr.Probe(ctx)
		if err != nil {
			return err
		}
		if e.Instruction = i; i >= 0 {
			e.From = p.Plan.Code[i].From
			return e
		}
	}
	e.Instruction, e.From = p.readsNonFinite()
	return e
}

// readsNonFinite finds the first instruction that reads an input or a state that is NaN or infinite. -Inf is an answer in a bias and is passed
// over.
func (p *Program) readsNonFinite() (instruction int, from string) {
	bad := map[BufID]bool{}
	for id, b := range p.Plan.Bufs {
		if mem := p.outside(b); mem != nil && b.Desc.Type.IsFloat() && b.From <= b.To {
			raw := aligned(b.Desc.Bytes())
			if mem.Read(raw, b.Offset) != nil {
				continue
			}
			bad[BufID(id)] = FindNonFinite(widen(raw, b.Desc)).Bad
		}
	}
	for at, i := range p.Plan.Code {
		for _, id := range i.In {
			if bad[id] {
				return at, fmt.Sprintf("%s of %s, which was not finite before the step", i.From, p.Plan.Bufs[id].Name)
			}
		}
	}
	return -1, ""
}

// outside is the memory of a buffer that a step finds: an input's or a state's.
func (p *Program) outside(b Buf) Mem {
	switch b.Kind {
	case Input:
		return p.inputs
	case Resident:
		return p.store.byName[b.Name].mem
	}
	return nil
}

// Output reads a tensor of the last step as float32.
func (p *Program) Output(name string, dst []float32) error {
	b, err := p.output(name)
	if err == nil && len(dst) != b.Desc.Elems() {
		err = fmt.Errorf("output %s is %v, not %d numbers", name, b.Desc, len(dst))
	}
	if err != nil {
		return err
	}
	return p.OutputPart(name, dst)
}

// OutputPart reads the first len(dst) elements of an output.
func (p *Program) OutputPart(name string, dst []float32) error {
	b, err := p.output(name)
	if err == nil && len(dst) > b.Desc.Elems() {
		err = fmt.Errorf("output %s is %v, which has no %d numbers", name, b.Desc, len(dst))
	}
	if err != nil {
		return err
	}
	if b.Desc.Type == kernels.Float32 {
		return p.outputs.Read(bytesOf(dst), b.Offset)
	}
	w, err := p.Output64(name)
	if err != nil {
		return err
	}
	for i := range dst {
		dst[i] = float32(w[i])
	}
	return nil
}

func (p *Program) output(name string) (Buf, error) {
	for _, b := range p.Plan.Bufs {
		if b.Kind == Output && b.Name == name {
			return b, nil
		}
	}
	return Buf{}, fmt.Errorf("the program has no output %q", name)
}

// Output64 reads a tensor of the last step as float64; indices too.
func (p *Program) Output64(name string) ([]float64, error) {
	b, err := p.output(name)
	if err != nil {
		return nil, err
	}
	raw := aligned(b.Desc.Bytes())
	if err := p.outputs.Read(raw, b.Offset); err != nil {
		return nil, err
	}
	return widen(raw, b.Desc), nil
}

// Close ends the program and then frees its memory; the Store's stays.
func (p *Program) Close() error {
	p.closed = true
	errs := []error{p.feeding.close(), p.rowBytes.close()}
	if p.exec != nil {
		errs = append(errs, p.exec.Close())
	}
	for _, m := range []Mem{p.inputs, p.outputs} {
		if m != nil {
			errs = append(errs, m.Free())
		}
	}
	return errors.Join(errs...)
}
