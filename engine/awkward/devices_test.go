package awkward

import (
	"nearfar/engine"
	"nearfar/engine/cpu"
	"nearfar/engine/paranoid"
	kernelset "nearfar/kernels/cpu"
)

// device is one way to run a plan.
type device struct {
	name string
	open func() engine.Device
}

// oracle runs the float64 references.
func oracle() engine.Device { return paranoid.New(1) }

// devices are those that every middle runs on: two orders of the instructions, and the processor on several threads.
func devices() []device {
	return []device{
		{"paranoid/1", func() engine.Device { return paranoid.New(1) }},
		{"paranoid/2", func() engine.Device { return paranoid.New(2) }},
		{"cpu/1", func() engine.Device { return cpu.New(1, kernelset.Generic()) }},
		{"cpu/3", func() engine.Device { return cpu.New(3, kernelset.Best()) }},
	}
}
