package engine

import (
	"cmp"
	"slices"

	"nearfar/kernels"
)

// PlanOption switches a rewrite off, for tests that hold a plan to its plain form.
type PlanOption uint8

const (
	WithoutFactoring PlanOption = iota
	WithoutFolding              // of constants
	WithoutRowPruning
	WithoutZeroRows     // marked
	WithoutRowGradients // Adam of a table's gradient by rows
	WithoutNoise        // as one kernel
	WithoutMapFusion
	WithoutOnePass // LogSumExp and its gradient apart
	WithoutReuse   // every temporary in memory of its own
	WithoutInPlace
)

// makePlan rewrites, orders and places a program.
func makePlan(c *code, ports []inputPort, options []PlanOption) *Plan {
	on := func(o PlanOption) bool { return !slices.Contains(options, o) }
	if on(WithoutFolding) {
		c.foldFills()
	}
	if on(WithoutFactoring) {
		c.factorSums()
	}
	if on(WithoutFolding) {
		c.foldConstants()
	}
	if on(WithoutRowPruning) {
		c.pruneRows()
	}
	if on(WithoutZeroRows) {
		c.markZeroRows()
	}
	c.halveWhole()
	if on(WithoutRowGradients) {
		c.useRowGradients()
	}
	if on(WithoutNoise) {
		c.fuseNoise()
	}
	if on(WithoutMapFusion) {
		c.fuseMaps()
	}
	if on(WithoutOnePass) {
		c.fuseLogSumExp()
	}
	l := layout{code: c, plan: &Plan{}, bufs: map[*value]BufID{}, ports: ports, inPlace: on(WithoutInPlace), reuse: on(WithoutReuse)}
	l.overwriteStates()
	l.instructions()
	l.copies()
	if l.inPlace {
		l.overwriteTemps()
	}
	l.place()
	return l.plan
}

// inputPort is one port's place in the input block.
type inputPort struct {
	leaf   leaf
	offset int64
}

// layout gives values their memory.
type layout struct {
	*code
	plan           *Plan
	bufs           map[*value]BufID
	inPlace, reuse bool
	ports          []inputPort
	overwritten    map[*value]*value // an update's next value -> the state whose memory it takes
}

func (l *layout) newBuf(b Buf) BufID {
	id := BufID(len(l.plan.Bufs))
	b.Root = id
	l.plan.Bufs = append(l.plan.Bufs, b)
	return id
}

// buf is the buffer of a value, made at its first use.
func (l *layout) buf(v *value) BufID {
	if id, ok := l.bufs[v]; ok {
		return id
	}
	b := Buf{Desc: v.desc, Name: v.name}
	switch {
	case v.leaf != nil && v.leaf.kind == Resident:
		b.Kind = Resident
	case v.leaf != nil:
		b.Kind = Input
		for _, p := range l.ports {
			if p.leaf == *v.leaf {
				b.Offset = p.offset
			}
		}
	}
	id := l.newBuf(b)
	l.bufs[v] = id
	return id
}

// root is the buffer whose memory id is.
func (l *layout) root(id BufID) BufID {
	for l.plan.Bufs[id].Root != id {
		id = l.plan.Bufs[id].Root
	}
	return id
}

// instructions writes the code out in order.
func (l *layout) instructions() {
	for _, n := range l.insts {
		if _, alias := n.k.(kernels.Reshape); alias {
			id := l.newBuf(Buf{Desc: n.out[0].desc})
			l.plan.Bufs[id].Root = l.root(l.buf(n.in[0]))
			l.bufs[n.out[0]] = id
			continue
		}
		i := Instr{K: n.k, From: n.from}
		i.FLOPs, i.Bytes = Cost(n.k, descs(n.out), edgesRead(n))
		for _, v := range n.in {
			i.In = append(i.In, l.buf(v))
		}
		for _, v := range n.out {
			id := l.buf(v)
			place := -1
			if state := l.overwritten[v]; state != nil {
				l.plan.Bufs[id].Root = l.root(l.buf(state))
				place = slices.Index(n.in, state)
			}
			i.Out = append(i.Out, id)
			i.InPlace = append(i.InPlace, place)
		}
		l.plan.Code = append(l.plan.Code, i)
	}
}

func (l *layout) copyTo(id, from BufID, what string) {
	d := []kernels.Desc{l.plan.Bufs[from].Desc}
	var k kernels.Kernel = kernels.Unary(kernels.Copy)
	if !d[0].Type.IsFloat() { // a Map makes real numbers
		k = kernels.Reshape{Shape: d[0]}
	}
	f, b := Cost(k, d, d)
	l.plan.Code = append(l.plan.Code, Instr{K: k, Out: []BufID{id}, In: []BufID{from}, InPlace: []int{-1}, FLOPs: f, Bytes: b, From: what})
}

// copies ends the program: outputs go to the output block, and next values that could not be written over their state are copied there,
// all after every other instruction, so that whoever reads a state reads the value before the step.
func (l *layout) copies() {
	for _, o := range l.outputs {
		d := o.v.desc
		id := l.newBuf(Buf{Desc: d, Kind: Output, Name: o.name, Offset: l.plan.Out})
		l.plan.Out += align(d.Bytes())
		l.copyTo(id, l.buf(o.v), "output "+o.name)
	}
	// A next value that is itself the memory of a state (a swap, a shift of states) is taken aside before any state changes.
	source := make([]BufID, len(l.updates))
	for i, u := range l.updates {
		source[i] = l.buf(u.next)
		if l.overwritten[u.next] == nil && l.plan.Bufs[l.root(source[i])].Kind == Resident && l.root(source[i]) != l.root(l.buf(u.state)) {
			aside := l.newBuf(Buf{Desc: u.next.desc})
			l.copyTo(aside, source[i], "update of "+u.state.name+", aside")
			source[i] = aside
		}
	}
	for i, u := range l.updates {
		if l.overwritten[u.next] != u.state && l.root(source[i]) != l.root(l.buf(u.state)) {
			l.copyTo(l.buf(u.state), source[i], "update of "+u.state.name)
		}
	}
}

// live finds the first and last instruction of each root.
func (l *layout) live() {
	for id := range l.plan.Bufs {
		l.plan.Bufs[id].From, l.plan.Bufs[id].To = len(l.plan.Code), -1
	}
	for at, i := range l.plan.Code {
		for _, id := range append(slices.Clone(i.In), i.Out...) {
			b := &l.plan.Bufs[l.root(id)]
			b.From, b.To = min(b.From, at), max(b.To, at)
		}
	}
}

const alignment = 64

func align(n int64) int64 { return (n + alignment - 1) / alignment * alignment }

// place gives temporaries their offsets in the arena: the largest first, each at the lowest offset where nothing that lives at the same time
// stands.
func (l *layout) place() {
	l.live()
	var temps []BufID
	for id, b := range l.plan.Bufs {
		if b.Root == BufID(id) && b.Kind == Temp && b.To >= 0 {
			temps = append(temps, BufID(id))
		}
	}
	slices.SortStableFunc(temps, func(a, b BufID) int { return cmp.Compare(l.plan.Bufs[b].Desc.Bytes(), l.plan.Bufs[a].Desc.Bytes()) })
	var placed []BufID // by offset
	for _, id := range temps {
		b := &l.plan.Bufs[id]
		size := align(b.Desc.Bytes())
		at := int64(0)
		for _, o := range placed {
			p := l.plan.Bufs[o]
			if l.reuse && (p.To < b.From || b.To < p.From) {
				continue
			}
			if p.Offset >= at+size {
				break
			}
			at = max(at, p.Offset+align(p.Desc.Bytes()))
		}
		b.Offset = at
		l.plan.Arena = max(l.plan.Arena, at+size)
		k, _ := slices.BinarySearchFunc(placed, at, func(o BufID, at int64) int { return cmp.Compare(l.plan.Bufs[o].Offset, at) })
		placed = slices.Insert(placed, k, id)
	}
	// Everyone knows its memory directly.
	for id := range l.plan.Bufs {
		r := l.root(BufID(id))
		b := &l.plan.Bufs[id]
		b.Root, b.Offset, b.Kind, b.From, b.To = r, l.plan.Bufs[r].Offset, l.plan.Bufs[r].Kind, l.plan.Bufs[r].From, l.plan.Bufs[r].To
		if b.Kind != Temp {
			b.Name = l.plan.Bufs[r].Name
		}
	}
}
