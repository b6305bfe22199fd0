// Package cuda computes the vocabulary of package kernels on NVIDIA's GPUs, in float32.
//
// The kernels are the .cu files of this folder, one family a file. What is Go here lowers a kernel on its operands into steps: launches,
// products by cuBLAS, copies and clears, as data. That reads no memory and needs no device and no build tag; package device, below this one,
// carries steps out.
//
// Results depend on shapes only: sums are cut by them, never by the size of a GPU, and are added in a fixed order, without atomics. The same
// GPU, driver and cuBLAS give the same bits.
package cuda

import (
	"fmt"
	"slices"

	"nearfar/kernels"
)

// Tensor is an operand in the device's memory, at a multiple of 16: kernels move four elements at a time. Those from the device's allocator and from
// a plan's arena are at a multiple of 64.
type Tensor struct {
	Desc kernels.Desc
	At   Ptr
}

// Set is the choice of kernels. It is a plain value.
type Set struct{}

// Name is "cuda".
func (s Set) Name() string { return "cuda" }

// Memory is what a kernel's work needs beside its operands. Both addresses are multiples of 256.
type Memory struct{ Scratch, Table Ptr }

// Sizes are bytes of Memory. Instructions that run one at a time can share Scratch; a Table is of one work.
type Sizes struct{ Scratch, Table int64 }

// Offers reports whether the set has the kernel for these descriptions.
func (s Set) Offers(k kernels.Kernel, out, in []kernels.Desc) bool {
	_, err := s.lower(k, outlines(out), outlines(in), Memory{})
	return err == nil
}

// Sizes is the memory that Bind needs for k.
func (s Set) Sizes(k kernels.Kernel, out, in []kernels.Desc) Sizes {
	c, err := s.lower(k, outlines(out), outlines(in), Memory{})
	if err != nil {
		return Sizes{}
	}
	return Sizes{Scratch: c.scratch.used, Table: int64(len(c.work.Table))}
}

// Bind lowers k on its operands.
//
// An output may be the same memory as an input where the kernel is a Map (an input of the output's shape), Put (the table),
// ScatterAdd with Onto (the base), SignedNoise (the table) or an optimiser (the parameter and its state). Put and the row optimisers then touch
// only their rows.
func (s Set) Bind(k kernels.Kernel, out, in []Tensor, m Memory) (Work, error) {
	c, err := s.lower(k, out, in, m)
	if err != nil {
		return Work{}, err
	}
	return c.work, nil
}

// outlines are tensors at no address: lowering them tells sizes.
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

// call is one lowering: what a family sees, and what it adds steps to.
type call struct {
	out, in []Tensor
	scratch arena
	table   Ptr
	work    Work

	declined bool
}

// float is the size of an element in bytes; ids have the same.
const float = 4

func (s Set) lower(k kernels.Kernel, out, in []Tensor, m Memory) (*call, error) {
	want, err := k.Infer(descs(in))
	if err != nil {
		return nil, err
	}
	if have := descs(out); !slices.Equal(want, have) {
		return nil, fmt.Errorf("cuda: %s: outputs are %v, not %v", k.Name(), want, have)
	}
	for _, d := range slices.Concat(want, descs(in)) {
		if d.Type == kernels.Float64 {
			return nil, fmt.Errorf("cuda: %s: float64 is for the processor", k.Name())
		}
	}
	for _, t := range slices.Concat(out, in) {
		if t.At%16 != 0 {
			return nil, fmt.Errorf("cuda: %s: %v at %#x, which is no multiple of 16", k.Name(), t.Desc, uint64(t.At))
		}
	}
	c := &call{out: out, in: in, scratch: arena{base: m.Scratch}, table: m.Table}
	if c.family(k); c.declined {
		return nil, fmt.Errorf("cuda: there is no %s for %v", k.Name(), descs(in))
	}
	return c, nil
}

// family is the table of the set: one method of call for each family. A method that has nothing for the operands declines.
func (c *call) family(k kernels.Kernel) {
	switch k := k.(type) {
	case kernels.Map:
		c.mapping(k)
	case kernels.Reduce:
		c.reduce(k)
	case kernels.Softmax:
		c.softmax(k)
	case kernels.TopK:
		c.topK(k)
	case kernels.Fill:
		c.fill(k)
	case kernels.Reshape:
		c.copy(c.out[0].At, c.in[0].At, c.in[0].Desc.Bytes())
	case kernels.Concat:
		c.concat(k)
	case kernels.Slice:
		c.slice(k)
	case kernels.Pad:
		c.pad(k)
	case kernels.Permute:
		c.permute(k)
	case kernels.Gather:
		c.gather()
	case kernels.ScatterAdd:
		c.scatterAdd(k)
	case kernels.SegmentSum:
		c.segmentSum()
	case kernels.Put:
		c.put()
	case kernels.RowDot:
		c.rowDot()
	case kernels.NormaliseRows:
		c.normaliseRows(k)
	case kernels.NormaliseRowsGrad:
		c.normaliseRowsGrad()
	case kernels.SpMM:
		c.spmm(k)
	case kernels.MatMul:
		c.matMul(k)
	case kernels.LogSumExp:
		c.logSumExp(k)
	case kernels.LogSumExpGrad:
		c.logSumExpGrad(k)
	case kernels.LogSumExpWithGrad:
		c.logSumExpWithGrad(k)
	case kernels.Random:
		c.random(k)
	case kernels.SignedNoise:
		c.signedNoise(k)
	case kernels.Adam:
		c.adam(k)
	case kernels.RowAdam:
		c.rowAdam(k)
	case kernels.SGD:
		c.sgd(k)
	case kernels.Adagrad:
		c.adagrad(k)
	case kernels.RowAdagrad:
		c.rowAdagrad(k)
	default:
		c.decline()
	}
}

// decline says that the set has no such kernel for these operands.
func (c *call) decline() { c.declined = true }

// copy adds a copy, none where both are the same memory.
func (c *call) copy(to, from Ptr, bytes int64) {
	if bytes > 0 && (to != from || to == 0) { // outlines all lie at 0
		c.work.Steps = append(c.work.Steps, &Copy{to, from, bytes})
	}
}

func (c *call) clear(at Ptr, bytes int64) {
	if bytes > 0 {
		c.work.Steps = append(c.work.Steps, &Clear{at, bytes})
	}
}

// constant adds data to the work's table and returns its address, a multiple of 16.
func (c *call) constant(data []byte) Ptr {
	at := (len(c.work.Table) + 15) &^ 15
	c.work.Table = append(c.work.Table, make([]byte, at-len(c.work.Table))...)
	c.work.Table = append(c.work.Table, data...)
	return c.table + Ptr(at)
}

// arena hands out scratch memory.
type arena struct {
	base Ptr
	used int64
}

// take returns the address of so many elements of 4 bytes, of unspecified content, a multiple of 256.
func (a *arena) take(elements int64) Ptr {
	at := a.base + Ptr(a.used)
	a.used += (elements*float + 255) &^ 255
	return at
}
