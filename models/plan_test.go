package models

import (
	"maps"
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

// Where a loss reads a batch's rows alone, the last layer, its noise and the readout are computed for them alone, list by list, and nothing changes
// to the bit.
func TestRowsPerStep(t *testing.T) {
	train, _ := blocks(t, 40, 50, 4)
	const nodes = 90
	type counts struct{ products, ofRows, noise, noiseOfRows, zeroRows int } // of all nodes, and of rows; with zero rows
	for _, c := range []struct {
		name string
		args []string
		want counts
	}{
		{"lightgcn", nil, counts{5, 3, 0, 0, 1}},
		{"simgcl", nil, counts{7, 7, 4, 4, 1}}, // three last layers: of users, positives and negatives, and twice of distinct users and positives
		{"xsimgcl", nil, counts{5, 5, 2, 5, 1}},
		{"sgl", nil, counts{16, 5, 0, 0, 2}}, // all nodes of the second view are negatives
		{"sgl", []string{"-negatives=batch"}, counts{15, 7, 0, 0, 3}},
		{"sgl", []string{"-negatives=batch-merged", "-augment=rw"}, counts{15, 7, 0, 0, 3}},
		{"lightgcn", []string{"-batch=64"}, counts{6, 0, 0, 0, 0}}, // more rows than there are nodes
	} {
		m := newModel(t, c.name, Data{Train: train, Seed: 1}, append([]string{"-dim=8", "-batch=6"}, c.args...)...)
		step := func(b *engine.Builder) engine.Step { return engine.Optimise(b, m.Train(b), engine.Adam(1e-3)) }
		for _, platform := range platforms() {
			pruned := build(t, platform.on(t), step)
			var got counts
			for _, i := range pruned.Plan.Code {
				all := pruned.Plan.Bufs[i.Out[0]].Desc.Dim[0] == nodes
				switch k := i.K.(type) {
				case kernels.SpMM:
					*pick(all, &got.products, &got.ofRows)++
					if k.ZeroRows {
						got.zeroRows++
					}
				case kernels.SignedNoise:
					*pick(all, &got.noise, &got.noiseOfRows)++
					if k.Rows == all {
						t.Errorf("%s: noise of all nodes by a list", c.name)
					}
				}
			}
			if got != c.want {
				t.Errorf("%s %v on %s: %+v, want %+v", c.name, c.args, platform.name, got, c.want)
			}
			want := run(t, build(t, platform.on(t), step, engine.WithoutRowPruning), 4)
			for i, row := range run(t, pruned, 4) {
				if !maps.Equal(row, want[i]) {
					t.Errorf("%s %v on %s, step %d: %v, without row pruning %v", c.name, c.args, platform.name, i, row, want[i])
				}
			}
		}
	}
}

func pick[T any](first bool, a, b T) T {
	if first {
		return a
	}
	return b
}
