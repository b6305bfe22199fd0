// Package cpu computes the vocabulary of package kernels on the processor: in plain Go, for float32 and float64, and with
// assembly inside the loops that carry training, where the processor has the instructions.
//
// A kernel is bound to its operands once and then run any number of times. Running allocates nothing, and the result does not
// depend on how many threads share the chunks of a phase.
package cpu

import (
	"fmt"
	"slices"
	"strings"

	"nearfar/kernels"
)

// Tensor is a view of memory that stays where it is; exactly one slice is non-nil.
type Tensor struct {
	Desc kernels.Desc
	F32  []float32
	F64  []float64
	I32  []int32
	B16  []uint16 // bfloat16
}

// Set is a choice of inner loops. It is a plain value; two sets can be used side by side.
type Set struct{ level level }

// level is an instruction set.
type level uint8

const (
	plain  level = iota
	avx2         // AVX2 with FMA
	avx512       // AVX-512 F, BW, DQ and VL, and avx2
)

// Generic is plain Go.
func Generic() Set { return Set{plain} }

// Best is the fastest set that this processor can run.
func Best() Set { return Set{detect()} }

// Sets are what this processor can run, the slowest first.
func Sets() (sets []Set) {
	for l := plain; l <= detect(); l++ {
		sets = append(sets, Set{l})
	}
	return sets
}

// Named is the set of a name; the best for no name. What this processor cannot run is an error.
func Named(name string) (Set, error) {
	if name == "" {
		return Best(), nil
	}
	var names []string
	for _, s := range Sets() {
		if s.Name() == name {
			return s, nil
		}
		names = append(names, s.Name())
	}
	return Set{}, fmt.Errorf("there are no kernels %q on this processor: it has %s", name, strings.Join(names, ", "))
}

// Name is "generic", "avx2" or "avx512".
func (s Set) Name() string { return [...]string{"generic", "avx2", "avx512"}[s.level] }

// Offers reports whether the set has the kernel for these descriptions.
func (s Set) Offers(k kernels.Kernel, out, in []kernels.Desc) bool {
	_, err := s.bind(k, outlines(out), outlines(in), &arena{})
	return err == nil
}

// Scratch is the number of bytes of working memory that k needs. Instructions run one at a time and can share it.
func (s Set) Scratch(k kernels.Kernel, out, in []kernels.Desc) int64 {
	var a arena
	s.bind(k, outlines(out), outlines(in), &a)
	return int64(a.used)
}

// Bind resolves k on its operands. scratch has at least Scratch bytes and starts at a multiple of 64.
//
// An output may be the same memory as an input where the kernel is a Map (an input of the output's shape), Put (the table),
// ScatterAdd with Onto (the base), SignedNoise (the table) or an optimiser (the parameter and its state). Put and the row optimisers then touch
// only their rows.
func (s Set) Bind(k kernels.Kernel, out, in []Tensor, scratch []byte) (Work, error) {
	for _, t := range slices.Concat(out, in) {
		if have := len(t.F32) + len(t.F64) + len(t.I32) + len(t.B16); have != t.Desc.Elems() {
			return nil, fmt.Errorf("cpu: %s: a tensor %v comes with memory for %d elements", k.Name(), t.Desc, have)
		}
	}
	if need := s.Scratch(k, descs(out), descs(in)); int64(len(scratch)) < need {
		return nil, fmt.Errorf("cpu: %s: %d bytes of scratch, %d are needed", k.Name(), len(scratch), need)
	}
	return s.bind(k, out, in, &arena{memory: scratch})
}

// outlines are tensors without memory: binding them tells what a kernel takes from the arena, and nothing can run.
func outlines(ds []kernels.Desc) []Tensor {
	ts := make([]Tensor, len(ds))
	for i, d := range ds {
		ts[i].Desc = d
	}
	return ts
}

func descs(ts []Tensor) []kernels.Desc {
	ds := make([]kernels.Desc, len(ts))
	for i, t := range ts {
		ds[i] = t.Desc
	}
	return ds
}

func (s Set) bind(k kernels.Kernel, out, in []Tensor, a *arena) (Work, error) {
	want, err := k.Infer(descs(in))
	if err != nil {
		return nil, err
	}
	if have := descs(out); !slices.Equal(want, have) {
		return nil, fmt.Errorf("cpu: %s: outputs are %v, not %v", k.Name(), want, have)
	}
	var w Work
	if want[0].Type == kernels.Float64 {
		w = bindAs[float64](s, k, out, in, a)
	} else {
		w = bindAs[float32](s, k, out, in, a)
	}
	if w == nil {
		return nil, fmt.Errorf("cpu: the %s set has no %s for %v", s.Name(), k.Name(), descs(in))
	}
	return w, nil
}

// bindAs is the table of the set: one method of call for each family. The result is nil where there is none.
func bindAs[T float](s Set, k kernels.Kernel, out, in []Tensor, a *arena) Work {
	c := &call[T]{set: s, out: views[T](out), in: views[T](in), arena: a}
	switch k := k.(type) {
	case kernels.Map:
		return c.mapping(k)
	case kernels.Reduce:
		return c.reduce(k)
	case kernels.Softmax:
		return c.softmax(k)
	case kernels.TopK:
		return c.topK(k)
	case kernels.Fill:
		return c.fill(k)
	case kernels.Reshape:
		return c.reshape()
	case kernels.Concat:
		return c.concat(k)
	case kernels.Slice:
		return c.slice(k)
	case kernels.Pad:
		return c.pad(k)
	case kernels.Permute:
		return c.permute(k)
	case kernels.Gather:
		return c.gather()
	case kernels.ScatterAdd:
		return c.scatterAdd(k)
	case kernels.SegmentSum:
		return c.segmentSum()
	case kernels.Put:
		return c.put()
	case kernels.RowDot:
		return c.rowDot()
	case kernels.NormaliseRows:
		return c.normaliseRows(k)
	case kernels.NormaliseRowsGrad:
		return c.normaliseRowsGrad()
	case kernels.SpMM:
		return c.spmm(k)
	case kernels.MatMul:
		return c.matMul(k)
	case kernels.LogSumExp:
		return c.logSumExp(k)
	case kernels.LogSumExpGrad:
		return c.logSumExpGrad(k)
	case kernels.LogSumExpWithGrad:
		return c.logSumExpWithGrad(k)
	case kernels.Random:
		return c.random(k)
	case kernels.SignedNoise:
		return c.signedNoise(k)
	case kernels.Adam:
		return c.adam(k)
	case kernels.RowAdam:
		return c.rowAdam(k)
	case kernels.SGD:
		return c.sgd(k)
	case kernels.Adagrad:
		return c.adagrad(k)
	case kernels.RowAdagrad:
		return c.rowAdagrad(k)
	}
	return nil
}
