package paranoid

import (
	"fmt"

	"nearfar/engine"
	"nearfar/kernels"
)

// place is where a buffer's bytes are.
type place struct {
	block    string // "arena", "input", "output", or "store/" and an entry's name
	from, to int64
}

func (p place) overlaps(q place) bool {
	return p.block == q.block && p.from < q.to && q.from < p.to
}

func placeOf(p *engine.Plan, id engine.BufID) place {
	b := p.Bufs[id]
	block := b.Kind.String()
	switch b.Kind {
	case engine.Temp:
		block = "arena"
	case engine.Resident:
		block = "store/" + b.Name
	}
	return place{block, b.Offset, b.Offset + b.Desc.Bytes()}
}

// check holds a plan to the contract of engine.Plan before it runs.
func check(p *engine.Plan) error {
	for id, b := range p.Bufs {
		if err := checkBuf(p, engine.BufID(id), b); err != nil {
			return fmt.Errorf("buffer %d (%s %s %v): %w", id, b.Kind, b.Name, b.Desc, err)
		}
	}
	if err := checkApart(p); err != nil {
		return err
	}
	written := map[engine.BufID]bool{} // roots that hold something
	for at, i := range p.Code {
		if err := checkInstr(p, at, i, written); err != nil {
			return fmt.Errorf("instruction %d (%s, from %s): %w", at, i.K.Name(), i.From, err)
		}
	}
	return nil
}

func checkBuf(p *engine.Plan, id engine.BufID, b engine.Buf) error {
	if b.Root < 0 || int(b.Root) >= len(p.Bufs) {
		return fmt.Errorf("its root is %d", b.Root)
	}
	r := p.Bufs[b.Root]
	if r.Root != b.Root || r.Kind != b.Kind || r.Offset != b.Offset || r.Name != b.Name && b.Kind == engine.Resident {
		return fmt.Errorf("its root %d is another one's (%+v)", b.Root, r)
	}
	if b.Desc.Bytes() != r.Desc.Bytes() {
		return fmt.Errorf("its root %d has %d bytes", b.Root, r.Desc.Bytes())
	}
	size := map[engine.BufKind]int64{engine.Temp: p.Arena, engine.Input: p.Input, engine.Output: p.Out}
	if limit, ok := size[b.Kind]; ok && b.From <= b.To && (b.Offset < 0 || b.Offset+b.Desc.Bytes() > limit) {
		return fmt.Errorf("bytes %d to %d of %d", b.Offset, b.Offset+b.Desc.Bytes(), limit)
	}
	if b.Offset%int64(b.Desc.Type.Size()) != 0 {
		return fmt.Errorf("the offset %d is not aligned", b.Offset)
	}
	return nil
}

// checkApart finds two roots in one place at one time.
func checkApart(p *engine.Plan) error {
	for a := range p.Bufs {
		for b := range p.Bufs[:a] {
			x, y := p.Bufs[a], p.Bufs[b]
			if x.Root != engine.BufID(a) || y.Root != engine.BufID(b) || x.To < x.From || y.To < y.From || !placeOf(p, x.Root).overlaps(placeOf(p, y.Root)) {
				continue
			}
			if x.Kind != engine.Temp || x.From <= y.To && y.From <= x.To {
				return fmt.Errorf("buffers %d and %d share memory (%+v, %+v)", b, a, y, x)
			}
		}
	}
	return nil
}

func checkInstr(p *engine.Plan, at int, i engine.Instr, written map[engine.BufID]bool) error {
	want, err := i.K.Infer(p.Descs(i.In))
	if err != nil {
		return err
	}
	if len(want) != len(i.Out) || len(i.InPlace) != len(i.Out) {
		return fmt.Errorf("%d outputs and %d claims of %d", len(i.Out), len(i.InPlace), len(want))
	}
	for k, id := range i.Out {
		if p.Bufs[id].Desc != want[k] {
			return fmt.Errorf("output %d is %v, not %v", k, p.Bufs[id].Desc, want[k])
		}
	}
	for _, id := range append(append([]engine.BufID{}, i.In...), i.Out...) {
		if b := p.Bufs[p.Bufs[id].Root]; at < b.From || at > b.To {
			return fmt.Errorf("buffer %d lives from %d to %d", id, b.From, b.To)
		}
	}
	for k, id := range i.In {
		b := p.Bufs[id]
		if (b.Kind == engine.Temp || b.Kind == engine.Output) && !written[b.Root] {
			return fmt.Errorf("input %d (buffer %d) holds nothing yet", k, id)
		}
	}
	if err := checkInPlace(p, i); err != nil {
		return err
	}
	for _, id := range i.Out {
		if p.Bufs[id].Kind == engine.Input {
			return fmt.Errorf("it writes over the input %s", p.Bufs[id].Name)
		}
		written[p.Bufs[id].Root] = true
	}
	return nil
}

// checkInPlace holds each output that lies on an input to its claim, and to what the kernel is able to do.
func checkInPlace(p *engine.Plan, i engine.Instr) error {
	for o, out := range i.Out {
		claim := i.InPlace[o]
		if claim >= len(i.In) {
			return fmt.Errorf("output %d claims input %d of %d", o, claim, len(i.In))
		}
		if claim >= 0 {
			if placeOf(p, out) != placeOf(p, i.In[claim]) || p.Bufs[out].Desc != p.Bufs[i.In[claim]].Desc {
				return fmt.Errorf("output %d claims to overwrite input %d and is elsewhere", o, claim)
			}
			if !overwrites(i.K, o, claim) {
				return fmt.Errorf("output %d cannot be written over input %d", o, claim)
			}
		}
		for k, in := range i.In {
			if k == claim || !placeOf(p, out).overlaps(placeOf(p, in)) {
				continue
			}
			if claim < 0 || !elementwise(i.K) || p.Bufs[in].Desc != p.Bufs[out].Desc || placeOf(p, in) != placeOf(p, out) {
				return fmt.Errorf("output %d overwrites input %d, which is still read", o, k)
			}
		}
		for q, other := range i.Out[:o] {
			if placeOf(p, out).overlaps(placeOf(p, other)) {
				return fmt.Errorf("outputs %d and %d share memory", q, o)
			}
		}
	}
	return nil
}

// overwrites tells whether output out of a kernel may be the memory of input in.
func overwrites(k kernels.Kernel, out, in int) bool {
	switch k := k.(type) {
	case kernels.Map:
		return true
	case kernels.Put, kernels.SignedNoise:
		return in == 0
	case kernels.ScatterAdd:
		return k.Onto && in == 0
	case kernels.Adam, kernels.SGD, kernels.Adagrad, kernels.RowAdam, kernels.RowAdagrad:
		return in == out
	}
	return false
}

// elementwise tells whether element i of the outputs needs element i of same-shaped inputs only.
func elementwise(k kernels.Kernel) bool {
	switch k.(type) {
	case kernels.Map, kernels.Adam, kernels.SGD, kernels.Adagrad:
		return true
	}
	return false
}
