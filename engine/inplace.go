package engine

import (
	"slices"

	"nearfar/kernels"
)

// What may be written over what: updates over their states, and temporaries over those that die there.

// overwriteStates finds the updates that may write over their state: the kernel can, and every other reader of the state can come first.
// The readers are then ordered before it.
func (l *layout) overwriteStates() {
	l.overwritten = map[*value]*value{}
	if !l.inPlace {
		return
	}
	for _, u := range l.updates {
		n := u.next.def
		if n == nil || l.overwritten[u.next] != nil {
			continue
		}
		if at := overwrites(n, u.next.out, u.state); at < 0 {
			continue
		}
		var readers []*inst
		free := true
		for _, r := range l.readers(u.state) {
			if r == n {
				continue
			}
			if dependsOnInst(r, n) {
				free = false
			}
			readers = append(readers, r)
		}
		// The old value under another name must not outlive the update.
		if !free || l.isRootBeside(u.state) {
			continue
		}
		n.after = append(n.after, readers...)
		l.overwritten[u.next] = u.state
	}
	l.sort()
}

// readers are the instructions that read a value's memory, under any shape.
func (l *layout) readers(v *value) (r []*inst) {
	for _, n := range l.insts {
		if !slices.Contains(n.in, v) {
			continue
		}
		r = append(r, n)
		if _, alias := n.k.(kernels.Reshape); alias {
			r = append(r, l.readers(n.out[0])...)
		}
	}
	return r
}

// isRootBeside tells whether a state's old value, under any shape, is itself asked for.
func (l *layout) isRootBeside(state *value) bool {
	return slices.ContainsFunc(l.roots(), func(r **value) bool { return memory(*r) == state })
}

// memory is the value whose memory v is, behind reshapes.
func memory(v *value) *value {
	for v.def != nil {
		if _, alias := v.def.k.(kernels.Reshape); !alias {
			break
		}
		v = v.def.in[0]
	}
	return v
}

func dependsOnInst(r, n *inst) bool {
	for _, o := range r.out {
		if dependsOn(o, n) {
			return true
		}
	}
	return false
}

// overwrites gives the input, which is state, over which a kernel may write output out; -1 for none.
func overwrites(n *inst, out int, state *value) int {
	at := slices.Index(n.in, state)
	if at < 0 {
		return -1
	}
	if isOptimiser(n.k) && at != out || !isOptimiser(n.k) && (!mayOverwrite(n.k, at) || state.desc != n.out[0].desc) {
		return -1
	}
	for k, v := range n.in {
		if k != at && memory(v) == state && !mayAlsoRead(n.k, v.desc, state.desc) {
			return -1
		}
	}
	return at
}

// mayAlsoRead tells whether a kernel that overwrites one operand, over, may read the same memory as another, in: where it works element by element
// and both have one shape. Anything else would read what is already written.
func mayAlsoRead(k kernels.Kernel, in, over kernels.Desc) bool {
	switch k.(type) {
	case kernels.Map, kernels.Adam, kernels.SGD, kernels.Adagrad:
		return in == over
	}
	return false
}

// mayOverwrite tells whether a kernel may write its output over its input `in`, where that has the output's shape.
func mayOverwrite(k kernels.Kernel, in int) bool {
	switch k := k.(type) {
	case kernels.Map:
		return true
	case kernels.ScatterAdd:
		return k.Onto && in == 0
	case kernels.Put, kernels.SignedNoise:
		return in == 0
	}
	return false
}

// overwriteTemps lets an instruction write over a temporary that it is the last to read.
func (l *layout) overwriteTemps() {
	l.live()
	for at := range l.plan.Code {
		i := &l.plan.Code[at]
		out := i.Out[0]
		if i.InPlace[0] >= 0 || l.plan.Bufs[out].Kind != Temp || l.root(out) != out {
			continue
		}
		k := slices.IndexFunc(i.In, func(in BufID) bool { return l.dies(in, at) && l.plan.Bufs[in].Desc == l.plan.Bufs[out].Desc })
		if k < 0 || !mayOverwrite(i.K, k) || l.readsBeside(i, k) {
			continue
		}
		r := l.root(i.In[k])
		l.plan.Bufs[out].Root, i.InPlace[0] = r, k
		l.plan.Bufs[r].To = max(l.plan.Bufs[r].To, l.plan.Bufs[out].To)
	}
}

// dies tells whether a buffer is a temporary that nobody reads after instruction at.
func (l *layout) dies(id BufID, at int) bool {
	r := l.plan.Bufs[l.root(id)]
	return r.Kind == Temp && r.To == at
}

// readsBeside tells whether an instruction that overwrites input k still reads its memory as another input.
func (l *layout) readsBeside(i *Instr, k int) bool {
	over := i.In[k]
	for other, in := range i.In {
		if other != k && l.root(in) == l.root(over) && !mayAlsoRead(i.K, l.plan.Bufs[in].Desc, l.plan.Bufs[over].Desc) {
			return true
		}
	}
	return false
}
