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

// Tensors without elements are tensors: a sum of nothing is 0, and nobody waits for the chunks of nothing.
func TestEmptyTensors(t *testing.T) {
	m := func(b *engine.Builder) engine.Step {
		x := b.State("x", values(1, 2, 3, 4, 5, 6), 3, 2)
		none := op.Gather(x, op.Only(b.Indices("none", nil))) // [0 2]
		return engine.Step{Outputs: []engine.Named{
			{Name: "gathered", Value: none},
			{Name: "exp", Value: op.Exp(none)},
			{Name: "no rows", Value: op.MatMul(none, x, false, true)},     // [0 2]·[2 3]
			{Name: "no inner", Value: op.MatMul(none, none, true, false)}, // [2 0]·[0 2]
			{Name: "scattered", Value: op.ScatterAdd(none, op.Only(b.Indices("none", nil)), 2)},
			{Name: "sum", Value: op.Sum(none)},
			{Name: "there", Value: op.Sum(x)},
		}}
	}
	for _, float := range []kernels.DType{kernels.Float32, kernels.Float64} {
		devices := map[string]engine.Device{"paranoid": paranoid.New(1)}
		for _, threads := range []int{1, 2} {
			for _, set := range []kernelset.Set{kernelset.Generic(), kernelset.Best()} {
				devices[fmt.Sprint(set.Name(), "/", threads)] = cpu.New(threads, set)
			}
		}
		for name, d := range devices {
			t.Run(fmt.Sprint(name, "/", float), func(t *testing.T) {
				r := start(t, d, float, m).steps(0, 2)
				for name, want := range map[string][]float64{"gathered": {}, "exp": {}, "no rows": {}, "no inner": {0, 0, 0, 0}, "scattered": {0, 0, 0, 0},
					"sum": {0}, "there": {21}} {
					close(t, name, r.output(name), want, 0)
				}
			})
		}
	}
}
