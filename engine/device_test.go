package engine_test

import (
	"fmt"
	"testing"

	"nearfar/engine/cpu"
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
