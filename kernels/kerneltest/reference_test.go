package kerneltest

import (
	"slices"

	"nearfar/kernels"
)

// refSet is the honest set: Ref in float64, rounded once where float32 is asked. A broken set is made of it by planting a bug.
type refSet struct {
	before func(k kernels.Kernel, in []kernels.Tensor64)                     // changes what Ref reads
	after  func(k kernels.Kernel, out, in []Tensor, threads int)             // changes what it wrote
	ref    func(k kernels.Kernel, out, in []kernels.Tensor64, b32 bool) bool // stands in for Ref
	bind   func(in []Tensor)
}

func (refSet) Name() string { return "Ref" }

func (refSet) Offers(kernels.Kernel, []kernels.Desc, []kernels.Desc) bool { return true }

func (s refSet) Bind(k kernels.Kernel, out, in []Tensor, threads int) (func() error, error) {
	if s.bind != nil {
		s.bind(in)
	}
	return func() error {
		wide := make([]kernels.Tensor64, len(in))
		for i, t := range in {
			wide[i] = kernels.Tensor64{Desc: t.Desc, F: slices.Clone(t.F64), I: slices.Clone(t.I32)}
			if t.F32 != nil || t.B16 != nil {
				wide[i].F = make([]float64, t.Desc.Elems())
				for j := range wide[i].F {
					wide[i].F[j] = t.at(j)
				}
			}
		}
		if s.before != nil {
			s.before(k, wide)
		}
		results := make([]kernels.Tensor64, len(out))
		for i, t := range out {
			results[i] = kernels.NewTensor64(t.Desc)
		}
		if s.ref == nil || !s.ref(k, results, wide, len(out) > 0 && out[0].F32 != nil) {
			k.Ref(results, wide)
		}
		for i, t := range out {
			write(t, results[i])
		}
		if s.after != nil {
			s.after(k, out, in, threads)
		}
		return nil
	}, nil
}
