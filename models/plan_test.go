package models

import (
	"testing"

	"nearfar/engine"
	"nearfar/kernels"
)

// The products with Â, which dominate a step, are as few as the algebra allows for three layers.
func TestProductsPerStep(t *testing.T) {
	train, _ := blocks(t, 40, 50, 4)
	for _, c := range []struct {
		name             string
		args             []string
		spmm, unfactored int
	}{
		{"bprmf", nil, 0, 0},
		{"lightgcn", nil, 6, 6},                   // 3 forward, 3 backward
		{"lightgcn", []string{"-layers=1"}, 2, 2}, // 2L
		{"sgl", []string{"-augment=ed"}, 18, 18},  // three graphs, so nothing is common
		{"sgl", []string{"-augment=rw"}, 18, 18},
		{"simgcl", nil, 10, 16}, // Â E0 is common to the three passes, and all their derivatives are one sum: 3 + 2 + 2 + 3
		{"xsimgcl", nil, 6, 6},
	} {
		store := platforms()[1].on(t)
		m := newModel(t, c.name, Data{Train: train, Seed: 1}, append(smaller(c.name), c.args...)...)
		step := func(b *engine.Builder) engine.Step { return engine.Optimise(b, m.Train(b), engine.Adam(1e-3)) }
		count := func(options ...engine.PlanOption) (n int) {
			for _, i := range build(t, store, step, options...).Plan.Code {
				if _, ok := i.K.(kernels.SpMM); ok {
					n++
				}
			}
			return n
		}
		if got := count(); got != c.spmm {
			t.Errorf("%s %v: %d products, want %d", c.name, c.args, got, c.spmm)
		}
		if got := count(engine.WithoutFactoring); got != c.unfactored {
			t.Errorf("%s %v without factoring: %d products, want %d", c.name, c.args, got, c.unfactored)
		}
	}
}
