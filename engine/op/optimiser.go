package op

import "nearfar/kernels"

// stepDef is an optimiser's step as an operator. It is the end of a program: a gradient through it is an error (take a virtual
// step, Sub(theta, Scale(g, alpha)), for a bilevel loss).
type stepDef struct{ kernels.Kernel }

func (d stepDef) Base() kernels.Kernel { return d.Kernel }
func (d stepDef) Flow(int) Flow        { return Unwritten }
func (d stepDef) Pull(*Pull) []*Node   { panic("op: an optimiser's step has no derivative") }

// OptimiserStep applies an optimiser kernel and returns the new parameter and its new states.
func OptimiserStep(k kernels.Kernel, in ...*Node) []*Node {
	first := Apply(stepDef{k}, in)
	out := []*Node{first}
	for i := 1; i < Outputs(first); i++ {
		out = append(out, Output(first, i))
	}
	return out
}
