package op

import (
	"fmt"
	"slices"

	"nearfar/kernels"
)

// Flow says what happens to a gradient at one input of an operator.
type Flow uint8

const (
	Flows     Flow = iota // Pull gives the input's gradient
	Stops                 // the derivative is zero by definition (an index, a sign, a mask)
	Unwritten             // there is a derivative, and nobody wrote it: an error where it is needed
)

// Def is an operator: a kernel and its derivative.
type Def interface {
	kernels.Kernel
	// Base is the kernel itself, by which plans compare and devices choose.
	Base() kernels.Kernel
	Flow(input int) Flow
	// Pull gives, for one output and its gradient, the gradient of each input, nil where none is wanted or none flows. It may return
	// the output's gradient itself. It must build nodes by Apply only.
	Pull(c *Pull) []*Node
}

// Composite is a fused operator that is also written in smaller ones: for its second derivative, for a device that lacks it, and
// for tests that hold the two together.
type Composite interface {
	Def
	// Expand gives every output in terms of smaller operators.
	Expand(in []*Node) []*Node
}

// Pull is what a derivative sees: the inputs, the output, and the output's gradient.
type Pull struct {
	in, auxiliary []*Node
	out, grad     *Node
	wants         []bool
}

// In is input i of Inputs; Auxiliaries are nodes that were given for the derivative.
func (c *Pull) In(i int) *Node       { return c.in[i] }
func (c *Pull) Inputs() []*Node      { return c.in }
func (c *Pull) Auxiliaries() []*Node { return c.auxiliary }

// Out is output k of the operator.
func (c *Pull) Out(k int) *Node { return Output(c.out, k) }

// Index is the output whose gradient is pulled, and Grad that gradient.
func (c *Pull) Index() int  { return OutputIndex(c.out) }
func (c *Pull) Grad() *Node { return c.grad }

// Wants tells whether input i's gradient is needed.
func (c *Pull) Wants(i int) bool { return c.wants[i] }

// first is the usual answer: a gradient for input 0 only.
func (c *Pull) first(g *Node) []*Node {
	r := make([]*Node, len(c.in))
	r[0] = g
	return r
}

// pull differentiates one operator, through its expansion where its derivative is not written.
func pull(def Def, out, grad *Node, wants []bool) ([]*Node, error) {
	_, in, auxiliary, _ := Operator(out)
	for i, w := range wants {
		if !w || def.Flow(i) != Unwritten {
			continue
		}
		c, ok := def.(Composite)
		if !ok {
			return nil, fmt.Errorf("the derivative of %s with respect to input %d (%v) is needed and not written", def.Name(), i, Desc(in[i]))
		}
		return pullExpanded(c, in, OutputIndex(out), grad, wants)
	}
	if !slices.Contains(wants, true) {
		return make([]*Node, len(in)), nil
	}
	g := def.Pull(&Pull{in: in, auxiliary: auxiliary, out: out, grad: grad, wants: wants})
	for i := range wants {
		switch {
		case !wants[i]:
			g[i] = nil
		case g[i] != nil && Desc(g[i]) != Desc(in[i]):
			return nil, fmt.Errorf("%s: the gradient of input %d is %v for %v", def.Name(), i, Desc(g[i]), Desc(in[i]))
		}
	}
	return g, nil
}

// pullExpanded pulls through the expansion, and stops at every input, wanted or not: what stands behind one is the caller's. An operand that
// stands at several inputs has one gradient there, which the first of them gets.
func pullExpanded(c Composite, in []*Node, index int, grad *Node, wants []bool) ([]*Node, error) {
	var wrt []*Node
	var place []int
	for i, w := range wants {
		if w && !slices.Contains(wrt, in[i]) {
			wrt, place = append(wrt, in[i]), append(place, i)
		}
	}
	out := c.Expand(in)[index]
	g, err := vjp([]*Node{out}, []*Node{grad}, wrt, in)
	if err != nil {
		return nil, fmt.Errorf("%s, expanded: %w", c.Name(), err)
	}
	r := make([]*Node, len(in))
	for k, i := range place {
		r[i] = g[k]
	}
	return r, nil
}
