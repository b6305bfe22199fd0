package paranoid

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"unsafe"

	"nearfar/engine"
	"nearfar/kernels"
)

type exec struct {
	plan   *engine.Plan
	device *Device
	blocks map[string]*memory
	before [][]int // for each instruction, those that must come first
	runs   uint64
	busy   atomic.Bool
	closed bool
}

// Load checks the plan and finds what forces the order of its instructions.
func (d *Device) Load(p *engine.Plan, b engine.Binding) (engine.Exec, error) {
	if err := check(p); err != nil {
		return nil, fmt.Errorf("a plan that breaks its contract: %w", err)
	}
	e := &exec{plan: p, device: d, blocks: map[string]*memory{"arena": {what: "the arena", bytes: words(max(p.Arena, 1))}}}
	bind := func(block string, m engine.Mem) error {
		own, ok := m.(*memory)
		if !ok || own == nil || own.device != d {
			return fmt.Errorf("%s is not memory of this device", block)
		}
		e.blocks[block] = own
		return nil
	}
	if err := errors.Join(bind("input", b.Inputs), bind("output", b.Outputs)); err != nil {
		return nil, err
	}
	for _, buf := range p.Bufs {
		if buf.Kind == engine.Resident {
			if err := bind("store/"+buf.Name, b.Entry(buf.Name)); err != nil {
				return nil, err
			}
		}
	}
	for id, buf := range p.Bufs {
		if at := placeOf(p, engine.BufID(id)); buf.From <= buf.To {
			if _, err := e.blocks[at.block].part(at.from, int(at.to-at.from)); err != nil {
				return nil, fmt.Errorf("buffer %d: %w", id, err)
			}
		}
	}
	e.before = dependencies(p)
	return e, nil
}

// dependencies are read after write, write after read and write after write, on bytes.
func dependencies(p *engine.Plan) [][]int {
	reads, writes := make([][]place, len(p.Code)), make([][]place, len(p.Code))
	for at, i := range p.Code {
		for _, id := range i.In {
			reads[at] = append(reads[at], placeOf(p, id))
		}
		for _, id := range i.Out {
			writes[at] = append(writes[at], placeOf(p, id))
		}
	}
	meet := func(a, b []place) bool {
		for _, x := range a {
			for _, y := range b {
				if x.overlaps(y) {
					return true
				}
			}
		}
		return false
	}
	before := make([][]int, len(p.Code))
	for j := range p.Code {
		for i := range j {
			if meet(writes[i], reads[j]) || meet(reads[i], writes[j]) || meet(writes[i], writes[j]) {
				before[j] = append(before[j], i)
			}
		}
	}
	return before
}

// shuffled is an order of the instructions that keeps the dependencies and nothing else.
func (e *exec) shuffled(r *rand.Rand) []int {
	missing := make([]int, len(e.before))
	after := make([][]int, len(e.before))
	var ready, order []int
	for j, b := range e.before {
		missing[j] = len(b)
		for _, i := range b {
			after[i] = append(after[i], j)
		}
		if len(b) == 0 {
			ready = append(ready, j)
		}
	}
	for len(ready) > 0 {
		k := r.IntN(len(ready))
		at := ready[k]
		ready[k] = ready[len(ready)-1]
		ready = ready[:len(ready)-1]
		order = append(order, at)
		for _, j := range after[at] {
			if missing[j]--; missing[j] == 0 {
				ready = append(ready, j)
			}
		}
	}
	return order
}

// Run runs the plan in another order each time.
func (e *exec) Run(ctx context.Context) error {
	e.runs++
	order := e.shuffled(rand.New(rand.NewPCG(e.device.seed, e.runs)))
	return e.inOrder(order, func(int, []kernels.Tensor64, []kernels.Tensor64) bool { return true })
}

// Probe runs the plan in its own order up to the first instruction that makes something infinite or NaN of finite operands.
func (e *exec) Probe(ctx context.Context) (int, error) {
	order := make([]int, len(e.plan.Code))
	for i := range order {
		order[i] = i
	}
	found := -1
	err := e.inOrder(order, func(at int, out, in []kernels.Tensor64) bool {
		if nonFinite(out).Guilty(nonFinite(in), len(in)) {
			found = at
		}
		return found < 0
	})
	return found, errors.Join(err, ctx.Err())
}

func nonFinite(ts []kernels.Tensor64) (n engine.NonFinite) {
	for _, t := range ts {
		n = n.And(engine.FindNonFinite(t.F))
	}
	return n
}

// inOrder runs instructions, with every temporary poisoned before its first and after its last instruction. see returns false to end early.
func (e *exec) inOrder(order []int, see func(at int, out, in []kernels.Tensor64) bool) error {
	if e.closed {
		return errors.New("the program is closed")
	}
	if !e.busy.CompareAndSwap(false, true) {
		return errors.New("two goroutines run one program")
	}
	defer e.busy.Store(false)
	p := e.plan
	poison(e.blocks["arena"].bytes)
	for id, b := range p.Bufs {
		if b.Kind == engine.Output {
			m, err := e.bytes(engine.BufID(id))
			if err != nil {
				return err
			}
			poison(m)
		}
	}
	last := map[engine.BufID]int{} // root -> place in order
	for n, at := range order {
		for _, ids := range [][]engine.BufID{p.Code[at].In, p.Code[at].Out} {
			for _, id := range ids {
				last[p.Bufs[id].Root] = n
			}
		}
	}
	for n, at := range order {
		i := p.Code[at]
		in, out, err := e.compute(i)
		if err != nil {
			return fmt.Errorf("instruction %d (%s, from %s): %w", at, i.K.Name(), i.From, err)
		}
		if !see(at, out, in) {
			return nil
		}
		for _, ids := range [][]engine.BufID{i.In, i.Out} {
			for _, id := range ids {
				if r := p.Bufs[id].Root; p.Bufs[r].Kind == engine.Temp && last[r] == n {
					m, err := e.bytes(id)
					if err != nil {
						return err
					}
					poison(m)
				}
			}
		}
	}
	return nil
}

// compute runs one instruction on copies of its operands, after a look at their ids. A reference that panics has read an index that is none.
func (e *exec) compute(i engine.Instr) (in, out []kernels.Tensor64, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	for _, id := range i.In {
		m, err := e.bytes(id)
		if err != nil {
			return nil, nil, err
		}
		in = append(in, load(e.plan.Bufs[id].Desc, m))
	}
	if err := checkIndices(i.K, in); err != nil {
		return nil, nil, err
	}
	for _, id := range i.Out {
		t := kernels.NewTensor64(e.plan.Bufs[id].Desc)
		for k := range t.F {
			t.F[k] = math.NaN() // unspecified content
		}
		for k := range t.I {
			t.I[k] = math.MaxInt32
		}
		out = append(out, t)
	}
	i.K.Ref(out, in)
	for k, id := range i.Out {
		m, err := e.bytes(id)
		if err != nil {
			return nil, nil, err
		}
		store(m, out[k])
	}
	return in, out, nil
}

func (e *exec) bytes(id engine.BufID) ([]byte, error) {
	at := placeOf(e.plan, id)
	return e.blocks[at.block].part(at.from, int(at.to-at.from))
}

// Close ends the program.
func (e *exec) Close() error {
	if e.closed {
		return errors.New("the program is closed already")
	}
	e.closed = true
	return nil
}

// poisonWord is NaN as a float32, NaN twice over as a float64, and no index as an int32.
const poisonWord = math.MaxInt32

func poison(b []byte) {
	for i, w := 0, engine.View[int32](b[:len(b)/4*4]); i < len(w); i++ {
		w[i] = poisonWord
	}
}

// load copies memory into a reference tensor.
func load(d kernels.Desc, m []byte) kernels.Tensor64 {
	t := kernels.NewTensor64(d)
	switch d.Type {
	case kernels.Int32:
		copy(t.I, engine.View[int32](m))
	case kernels.Float64:
		copy(t.F, engine.View[float64](m))
	case kernels.Float32:
		for i, v := range engine.View[float32](m) {
			t.F[i] = float64(v)
		}
	case kernels.BFloat16:
		for i, v := range engine.View[uint16](m) {
			t.F[i] = float64(kernels.FromBFloat16(v))
		}
	}
	return t
}

// store is the reverse of load.
func store(m []byte, t kernels.Tensor64) {
	switch t.Desc.Type {
	case kernels.Int32:
		copy(engine.View[int32](m), t.I)
	case kernels.Float64:
		copy(engine.View[float64](m), t.F)
	case kernels.Float32:
		w := engine.View[float32](m)
		for i, v := range t.F {
			w[i] = float32(v)
		}
	case kernels.BFloat16:
		w := engine.View[uint16](m)
		for i, v := range t.F {
			w[i] = kernels.ToBFloat16(float32(v))
		}
	}
}

// asBytes sees numbers as bytes.
func asBytes(w []float64) []byte {
	if len(w) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&w[0])), 8*len(w))
}
