package engine

import (
	"fmt"
	"math"
	"strings"

	"nearfar/engine/op"
	"nearfar/kernels"
)

// The plan's own form of a program: instructions over values. After the lift nobody reads Gorgonia's graph.

// value is one tensor: an output of an instruction, or a leaf.
type value struct {
	id   int
	desc kernels.Desc
	def  *inst // nil for a leaf
	out  int   // which output of def
	leaf *leaf
	name string // of a leaf
}

// inst is one kernel call.
type inst struct {
	k     kernels.Kernel
	in    []*value
	out   []*value
	from  string
	after []*inst // must run before this one although it gives it nothing: readers of a state that it overwrites
}

// code is a program on its way to a plan.
type code struct {
	device  Device
	insts   []*inst
	outputs []namedValue
	updates []stateUpdate
	ids     int
}

type namedValue struct {
	name string
	v    *value
}

type stateUpdate struct{ state, next *value }

func (c *code) newValue(d kernels.Desc) *value {
	c.ids++
	return &value{id: c.ids, desc: d}
}

// emit makes an instruction. The operands have been checked when the graph was built, so a misfit here is a broken invariant.
func (c *code) emit(k kernels.Kernel, from string, in ...*value) *inst {
	descs := make([]kernels.Desc, len(in))
	for i, v := range in {
		descs[i] = v.desc
	}
	out, err := k.Infer(descs)
	if err != nil {
		panic(fmt.Sprintf("engine: a rewrite made %v (from %s)", err, from))
	}
	n := &inst{k: k, in: in, from: from}
	for i, d := range out {
		v := c.newValue(d)
		v.def, v.out = n, i
		n.out = append(n.out, v)
	}
	c.insts = append(c.insts, n)
	return n
}

// roots are the values that a program is run for.
func (c *code) roots() (r []**value) {
	for i := range c.outputs {
		r = append(r, &c.outputs[i].v)
	}
	for i := range c.updates {
		r = append(r, &c.updates[i].next)
	}
	return r
}

// sort keeps what the roots need, operands first.
func (c *code) sort() {
	c.insts = nil
	state := map[*inst]int{}
	var visit func(n *inst)
	visit = func(n *inst) {
		switch state[n] {
		case 1:
			panic("engine: a cycle in a program: " + n.from)
		case 2:
			return
		}
		state[n] = 1
		for _, b := range n.after {
			visit(b)
		}
		for _, v := range n.in {
			if v.def != nil {
				visit(v.def)
			}
		}
		state[n] = 2
		c.insts = append(c.insts, n)
	}
	for _, r := range c.roots() {
		if (*r).def != nil {
			visit((*r).def)
		}
	}
}

// uses counts, for each value, the instructions that read it; a root counts as one more.
func (c *code) uses() map[*value]int {
	u := map[*value]int{}
	for _, n := range c.insts {
		seen := map[*value]bool{}
		for _, v := range n.in {
			if !seen[v] {
				u[v]++
				seen[v] = true
			}
		}
	}
	for _, r := range c.roots() {
		u[*r]++
	}
	return u
}

// replace puts one value in the place of another everywhere.
func (c *code) replace(old, by *value) {
	for _, n := range c.insts {
		for i, v := range n.in {
			if v == old {
				n.in[i] = by
			}
		}
	}
	for _, r := range c.roots() {
		if *r == old {
			*r = by
		}
	}
}

// lifter reads Gorgonia's graph into code, with exact value numbering: equal kernels over equal operands are one instruction.
type lifter struct {
	*code
	b      *Builder
	values map[*op.Node]*value
	known  map[numbered]*inst
}

type numbered struct {
	k        kernels.Kernel
	operands string
	negative uint32 // which constants of k are -0: it is == 0, and another number
}

func number(k kernels.Kernel, in []*value) numbered {
	var key strings.Builder
	for _, v := range in {
		fmt.Fprintf(&key, "%d ", v.id)
	}
	return numbered{k, key.String(), negativeZeros(k)}
}

// negativeZeros marks the constants of a kernel that are -0. (Parameters of other kernels mean the same with either sign.)
func negativeZeros(k kernels.Kernel) (mask uint32) {
	is := func(v float64) bool { return v == 0 && math.Signbit(v) }
	switch k := k.(type) {
	case kernels.Fill:
		if is(k.Value) {
			return 1
		}
	case kernels.Map:
		for i, c := range k.Code {
			if is(c.Imm) {
				mask |= 1 << i
			}
		}
	}
	return mask
}

func (l *lifter) lift(n *op.Node) *value {
	if v := l.values[n]; v != nil {
		return v
	}
	v := l.liftNew(n)
	l.values[n] = v
	return v
}

func (l *lifter) liftNew(n *op.Node) *value {
	def, in, _, ok := op.Operator(n)
	if !ok {
		if name, foreign := op.Foreign(n); foreign {
			l.b.fail(fmt.Errorf("%s is Gorgonia's own operator: nearfar runs those of package op only", name))
		}
		lf, known := l.b.leaves[n]
		if !known {
			l.b.fail(fmt.Errorf("%q is no parameter, state, constant or port of this program", n.Name()))
		}
		v := l.newValue(op.Desc(n))
		v.leaf, v.name = &lf, n.Name()
		return v
	}
	operands := make([]*value, len(in))
	for i, c := range in {
		operands[i] = l.lift(c)
	}
	at := number(def.Base(), operands)
	if i := l.known[at]; i != nil {
		return i.out[op.OutputIndex(n)]
	}
	i := l.emit(def.Base(), def.Name(), operands...)
	if !l.runs(i) {
		c, ok := def.(op.Composite)
		if !ok {
			l.b.fail(fmt.Errorf("the device %s does not have %s for %v, and the operator has no form in smaller ones", l.device.Name(), def.Name(), descs(operands)))
		}
		return l.lift(c.Expand(in)[op.OutputIndex(n)])
	}
	l.known[at] = i
	return i.out[op.OutputIndex(n)]
}

// runs tells whether the device computes an instruction. Reshape is an alias and needs no device.
func (c *code) runs(i *inst) bool {
	if _, alias := i.k.(kernels.Reshape); alias {
		return true
	}
	return c.device.Offers(i.k, descs(i.out), descs(i.in))
}

func descs(v []*value) []kernels.Desc {
	d := make([]kernels.Desc, len(v))
	for i := range v {
		d[i] = v[i].desc
	}
	return d
}

// liftStep reads a step into code.
func liftStep(b *Builder, s Step) *code {
	l := &lifter{code: &code{device: b.Store.Device}, b: b, values: map[*op.Node]*value{}, known: map[numbered]*inst{}}
	for _, o := range s.Outputs {
		l.outputs = append(l.outputs, namedValue{o.Name, l.lift(o.Value)})
	}
	for _, u := range s.Updates {
		l.updates = append(l.updates, stateUpdate{l.lift(u.State), l.lift(u.Next)})
	}
	l.sort()
	return l.code
}
