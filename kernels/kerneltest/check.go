package kerneltest

import (
	"fmt"
	"math"
	"slices"

	"nearfar/kernels"
)

// checker runs the cases of one family against one set.
type checker struct {
	tb                       TB
	set                      Set
	index, offered, failures int
	declined                 map[kernels.DType]int
}

// problem is one case in one type, ready to run.
type problem struct {
	k       kernels.Kernel
	in, ref []kernels.Tensor64
	shift   int
}

func descs(ts []kernels.Tensor64) []kernels.Desc {
	d := make([]kernels.Desc, len(ts))
	for i, t := range ts {
		d[i] = t.Desc
	}
	return d
}

// typed gives the kernels that name their output's type another one.
func typed(k kernels.Kernel, t kernels.DType) kernels.Kernel {
	switch k := k.(type) {
	case kernels.Fill:
		k.Shape = k.Shape.As(t)
		return k
	case kernels.Random:
		k.Shape = k.Shape.As(t)
		return k
	}
	return k
}

// as gives the inputs in type t; for Float32 every number is rounded, so that reference and kernel read the same ones.
func as(in []kernels.Tensor64, t kernels.DType) []kernels.Tensor64 {
	out := slices.Clone(in)
	for i := range out {
		if !out[i].Desc.Type.IsFloat() {
			continue
		}
		out[i].Desc = out[i].Desc.As(t)
		if t == kernels.Float32 {
			out[i].F = slices.Clone(out[i].F)
			for j, v := range out[i].F {
				out[i].F[j] = float64(float32(v))
			}
		}
	}
	return out
}

// reference runs Ref into outputs of NaN, so that an element which Ref forgets shows too.
func reference(k kernels.Kernel, out []kernels.Desc, in []kernels.Tensor64) []kernels.Tensor64 {
	ref := make([]kernels.Tensor64, len(out))
	for i, d := range out {
		ref[i] = kernels.NewTensor64(d)
		for j := range ref[i].F {
			ref[i].F[j] = math.NaN()
		}
	}
	k.Ref(ref, in)
	return ref
}

func (c *checker) check(one Case, t kernels.DType) {
	c.tb.Helper()
	fail := func(format string, args ...any) {
		c.failures++
		c.tb.Errorf("%v %v: %s", t, one, fmt.Sprintf(format, args...))
	}
	if t == kernels.Float64 && slices.ContainsFunc(one.In, func(x kernels.Tensor64) bool { return x.Desc.Type == kernels.BFloat16 }) {
		return // stored beside float32 only
	}
	p := problem{k: typed(one.K, t), in: as(one.In, t), shift: c.index}
	out, err := p.k.Infer(descs(p.in))
	if err != nil {
		fail("the suite's own case is wrong: %v", err)
		return
	}
	if !c.set.Offers(p.k, out, descs(p.in)) {
		c.declined[t]++
		return
	}
	c.offered++
	p.ref = reference(p.k, out, p.in)

	first, err := p.run(c.set, 1, 2, nil)
	if err != nil {
		fail("1 thread: %v", err)
		return
	}
	for i, l := range limits(one, p) {
		if err := l.compare(first[i], p.ref[i]); err != nil {
			fail("output %d: %v", i, err)
		}
	}
	again := func(what string, threads, repeats int, inPlace []int) {
		got, err := p.run(c.set, threads, repeats, inPlace)
		if err != nil {
			fail("%s: %v", what, err)
			return
		}
		for i := range got {
			if j := differ(first[i], got[i]); j >= 0 {
				fail("%s: output %d [%d]: other bits than with 1 thread, out of place", what, i, j)
			}
		}
	}
	for _, threads := range []int{2, 3, 7} { // once or twice
		again(fmt.Sprintf("%d threads", threads), threads, 1+threads%2, nil)
	}
	for _, assignment := range one.InPlace {
		again(fmt.Sprintf("in place %v", assignment), 1, 1, assignment)
		again(fmt.Sprintf("in place %v, 3 threads", assignment), 3, 1, assignment)
	}
}

// run binds, fills the operands, runs, and checks everything but the values.
func (p problem) run(s Set, threads, repeats int, inPlace []int) (result []Tensor, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panics: %v", r)
		}
	}()
	in, out := make([]guarded, len(p.in)), make([]guarded, len(p.ref))
	for i, t := range p.in {
		in[i] = guard(t.Desc, p.shift+i)
		zero(in[i].view)
	}
	overwritten := make([]bool, len(in))
	for i, t := range p.ref {
		out[i] = guard(t.Desc, p.shift+i+1)
		if inPlace != nil && inPlace[i] >= 0 {
			out[i] = in[inPlace[i]]
			overwritten[inPlace[i]] = true
		}
	}
	work, err := s.Bind(p.k, views(out), views(in), threads)
	if err != nil {
		return nil, err
	}
	var once []Tensor
	for repeat := range repeats {
		before := make([]Tensor, len(in))
		for i := range out {
			poison(out[i].view)
		}
		for i, t := range p.in {
			write(in[i].view, t)
			before[i] = clone(in[i].whole)
		}
		if err := work(); err != nil {
			return nil, err
		}
		for i, g := range in {
			if !overwritten[i] && touched(g.whole, before[i]) {
				return nil, fmt.Errorf("input %d or the memory round it was modified", i)
			}
		}
		for i, g := range out {
			if err := g.written(); err != nil {
				return nil, fmt.Errorf("output %d: %w", i, err)
			}
			if repeat == 0 {
				once = append(once, clone(g.view))
			} else if differ(once[i], g.view) >= 0 {
				return nil, fmt.Errorf("output %d: the second run of the same work gives other bits", i)
			}
		}
	}
	return views(out), nil
}

// written checks the guard bands of an output and that no element is left as it was.
func (g guarded) written() error {
	n := g.view.Desc.Elems()
	band := (g.whole.Desc.Elems() - n) / 2
	for i := range g.whole.Desc.Elems() {
		inside, poison := i >= band && i < band+n, poisoned(g.view.Desc.Type, g.whole.bit(i))
		if !inside && !poison {
			return fmt.Errorf("wrote outside, at [%d] of %d", i-band, n)
		}
		if inside && poison {
			return fmt.Errorf("element [%d] of %d was not written", i-band, n)
		}
	}
	return nil
}

func views(gs []guarded) []Tensor {
	v := make([]Tensor, len(gs))
	for i, g := range gs {
		v[i] = g.view
	}
	return v
}
