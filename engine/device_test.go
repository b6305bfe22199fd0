package engine_test

import (
	"fmt"
	"testing"

	"nearfar/engine"
	"nearfar/engine/cpu"
	"nearfar/engine/op"
	"nearfar/engine/paranoid"
	"nearfar/kernels"
	kernelset "nearfar/kernels/cpu"
)

// The processor computes what the references compute.
func TestCPUAgreesWithParanoid(t *testing.T) {
	for name, m := range gallery {
		for _, set := range []kernelset.Set{kernelset.Generic(), kernelset.Best()} {
			t.Run(name+"/"+set.Name(), func(t *testing.T) {
				want := start(t, paranoid.New(1), kernels.Float64, m).steps(0, 5)
				agree(t, "float64", start(t, cpu.New(2, set), kernels.Float64, m).steps(0, 5), want, 1e-9)
				want32 := start(t, paranoid.New(1), kernels.Float32, m).steps(0, 2)
				agree(t, "float32", start(t, cpu.New(2, set), kernels.Float32, m).steps(0, 2), want32, 2e-3)
			})
		}
	}
}

// The number of threads never changes a bit.
func TestThreadsChangeNothing(t *testing.T) {
	for name, m := range gallery {
		for _, set := range []kernelset.Set{kernelset.Generic(), kernelset.Best()} {
			for _, float := range []kernels.DType{kernels.Float32, kernels.Float64} {
				t.Run(fmt.Sprint(name, "/", set.Name(), "/", float), func(t *testing.T) {
					one := start(t, cpu.New(1, set), float, m).steps(0, 5)
					for _, threads := range []int{2, 3} {
						agree(t, fmt.Sprint(threads, " threads"), start(t, cpu.New(threads, set), float, m).steps(0, 5), one, 0)
					}
				})
			}
		}
	}
}

// At a temperature of 0.01 the logits of unit vectors spread over 200: no float32 holds e^-200, so that no bound may be used.
func TestLowTemperature(t *testing.T) {
	m := func(b *engine.Builder) engine.Step {
		x, y := b.Param("x", engine.Gaussian(1), batch, width), b.Param("y", engine.Gaussian(1), 3*batch, width)
		lse := op.LogSumExp(op.NormaliseRows(x), op.NormaliseRows(op.Scale(y, -1)), op.Similarity{Scale: 100, Unit: true})
		// Rows that are opposite to every column: all logits are near -100.
		z := op.NormaliseRows(op.Add(op.Scale(x, 0), op.Fill(b.Graph, 1, b.Float(width))))
		far := op.LogSumExp(z, op.Neg(op.Reshape(op.Slice(z, 0, 0, 1), 1, width)), op.Similarity{Scale: 100, Unit: true})
		return engine.Optimise(b, engine.Objective{{Name: "near", Weight: 1, Value: op.Sum(lse)}, {Name: "far", Weight: 1, Value: op.Sum(far)}}, engine.SGD(1e-4, 0))
	}
	want := start(t, paranoid.New(1), kernels.Float64, m).steps(0, 1)
	for _, set := range []kernelset.Set{kernelset.Generic(), kernelset.Best()} {
		r := start(t, cpu.New(1, set), kernels.Float32, m).steps(0, 1)
		close(t, set.Name(), r.rows[0], want.rows[0], 1e-4)
	}
}
