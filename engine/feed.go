package engine

import "nearfar/kernels"

// A Port is one named input of a program. Float ports are described as Float32; a float64 program widens them.
type Port struct {
	Name string
	Desc kernels.Desc
}

// A Slot is the memory of one port for one step: exactly one of the slices is non-nil and has the port's Elems.
type Slot struct {
	I32 []int32
	F32 []float32
	F64 []float64
}

// Set writes element i of a float slot, in the precision of the program.
func (s Slot) Set(i int, v float64) {
	if s.F64 != nil {
		s.F64[i] = v
		return
	}
	s.F32[i] = float32(v)
}

// A Feed fills ports for step t. It is a pure function of its seed and t: the engine calls it ahead of the step, on another
// goroutine, and again after a resume. Fill must write every element, and must not allocate in the steady state.
type Feed interface {
	Ports() []Port
	Fill(t uint64, out []Slot) error
}

// Periodic is a Feed whose bytes change only when Key changes (once an epoch, say): the engine fills it only then.
type Periodic interface {
	Feed
	Key(t uint64) uint64
}
