package kerneltest

import (
	"fmt"

	"nearfar/kernels"
)

// An Expectation is what Ref gives for a kernel on some float32 inputs, and how far a kernel set may be from it: the suite's tolerance, for who has
// inputs of his own.
type Expectation struct {
	ref    []kernels.Tensor64
	limits []limit
}

// Expect computes the reference and the tolerance. It takes several times as long as Ref.
func Expect(k kernels.Kernel, in []kernels.Tensor64) (*Expectation, error) {
	p := problem{k: typed(k, kernels.Float32), in: as(in, kernels.Float32)}
	out, err := p.k.Infer(descs(p.in))
	if err != nil {
		return nil, err
	}
	p.ref = reference(p.k, out, p.in)
	return &Expectation{p.ref, limits(Case{K: p.k, In: p.in}, p)}, nil
}

// Check holds results to the expectation. An output without memory is not looked at.
func (e *Expectation) Check(out []Tensor) error {
	if len(out) != len(e.ref) {
		return fmt.Errorf("%d outputs, want %d", len(out), len(e.ref))
	}
	for i, t := range out {
		if t.F32 == nil && t.I32 == nil && t.B16 == nil {
			continue
		}
		if !t.Desc.SameShape(e.ref[i].Desc) {
			return fmt.Errorf("output %d is %v, want %v", i, t.Desc, e.ref[i].Desc)
		}
		if err := e.limits[i].compare(t, e.ref[i]); err != nil {
			return fmt.Errorf("output %d: %w", i, err)
		}
	}
	return nil
}
