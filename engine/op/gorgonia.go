// Package op holds the operators that models are written in, as nodes of Gorgonia's expression graph, each with its symbolic
// derivative, and Grad, which differentiates a graph by them.
//
// An operator is a kernels.Kernel with a derivative beside it (Def). Gorgonia sees all of them through one adapter, in this file:
// it keeps the graph, draws it, and its own machines run it as an oracle in tests. Shapes are checked where a node is built; what
// does not fit panics with *Error, which engine.Build turns into an error.
package op

import (
	"fmt"
	"hash"
	"sync/atomic"

	"github.com/chewxy/hm"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"nearfar/kernels"
)

// Node is a value of the graph. Graph is Gorgonia's expression graph.
type (
	Node  = gorgonia.Node
	Graph = gorgonia.ExprGraph
)

// NewGraph returns an empty graph.
func NewGraph() *Graph { return gorgonia.NewGraph() }

// Error is what a constructor panics with when its operands do not fit.
type Error struct{ Err error }

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

func fail(format string, args ...any) { panic(&Error{fmt.Errorf(format, args...)}) }

// serial numbers the adapters. Gorgonia merges nodes whose 32-bit hashes agree without looking at their children, so every node
// carries a number of its own and no two of ours can merge; the plan finds equal subexpressions exactly. The numbers are never
// part of a result.
var serial atomic.Uint32

// bound is the one type by which Gorgonia knows our operators: output `index` of def over the node's children. The children
// behind the kernel's inputs are auxiliary: only the derivative reads them.
type bound struct {
	def    Def
	index  int
	inputs int // the kernel's inputs among the children
	out    []kernels.Desc
	serial uint32
}

var _ gorgonia.SDOp = (*bound)(nil)

// Apply builds the node of def's first output over its inputs. Auxiliary nodes are visible to the derivative only.
func Apply(def Def, in []*Node, auxiliary ...*Node) *Node {
	if len(in) == 0 {
		fail("%s: an operator without inputs needs a graph: use ApplyIn", def.Name())
	}
	return apply(in[0].Graph(), def, 0, in, auxiliary)
}

// ApplyIn is Apply for operators without inputs.
func ApplyIn(g *Graph, def Def) *Node { return apply(g, def, 0, nil, nil) }

func apply(g *Graph, def Def, index int, in, auxiliary []*Node) *Node {
	descs := make([]kernels.Desc, len(in))
	for i, n := range in {
		descs[i] = Desc(n)
	}
	out, err := def.Infer(descs)
	if err != nil {
		panic(&Error{err})
	}
	children := make(gorgonia.Nodes, 0, len(in)+len(auxiliary))
	children = append(append(children, in...), auxiliary...)
	b := &bound{def: def, index: index, inputs: len(in), out: out, serial: serial.Add(1)}
	return gorgonia.NewUniqueNode(gorgonia.In(g), gorgonia.WithType(gorgoniaType(out[index])), gorgonia.WithOp(b),
		gorgonia.WithChildren(children), gorgonia.WithShape(out[index].Shape()...))
}

// Output is output k of the operator that n is an output of, over the same inputs. The plan computes both at once.
func Output(n *Node, k int) *Node {
	def, in, auxiliary, ok := Operator(n)
	if !ok {
		fail("%v is not an operator's output", n)
	}
	if OutputIndex(n) == k {
		return n
	}
	return apply(n.Graph(), def, k, in, auxiliary)
}

// Leaf is an input of the graph: a parameter, a state, a constant or a fed value. Names are unique in a graph.
func Leaf(g *Graph, name string, d kernels.Desc) *Node {
	return gorgonia.NewTensor(g, dtype(d.Type), d.Rank, gorgonia.WithShape(d.Shape()...), gorgonia.WithName(name))
}

// Desc describes a node's value.
func Desc(n *Node) kernels.Desc {
	if b, ok := n.Op().(*bound); ok {
		return b.out[b.index]
	}
	t := kernels.Float32
	switch n.Dtype() {
	case tensor.Float64:
		t = kernels.Float64
	case tensor.Int32:
		t = kernels.Int32
	case tensor.Uint16:
		t = kernels.BFloat16
	}
	return kernels.Of(t, n.Shape()...)
}

// Operator takes a node apart; ok is false for leaves.
func Operator(n *Node) (def Def, in, auxiliary []*Node, ok bool) {
	b, ok := n.Op().(*bound)
	if !ok {
		return nil, nil, nil, false
	}
	c := children(n)
	return b.def, c[:b.inputs:b.inputs], c[b.inputs:], true
}

// Outputs is the number of outputs of the operator that n is an output of.
func Outputs(n *Node) int {
	if b, ok := n.Op().(*bound); ok {
		return len(b.out)
	}
	return 1
}

// OutputIndex tells which output of its operator a node is.
func OutputIndex(n *Node) int {
	if b, ok := n.Op().(*bound); ok {
		return b.index
	}
	return 0
}

// Foreign names a node's operator when it is one of Gorgonia's own, which no plan can run.
func Foreign(n *Node) (name string, foreign bool) {
	if n.Op() == nil {
		return "", false
	}
	if _, ours := n.Op().(*bound); ours {
		return "", false
	}
	return n.Op().String(), true
}

// children are a node's operands in order (From keeps the order, To does not).
func children(n *Node) []*Node {
	it := n.Graph().From(n.ID())
	if it == nil {
		return nil
	}
	c := make([]*Node, 0, it.Len())
	for it.Next() {
		c = append(c, it.Node().(*Node))
	}
	return c
}

// dtype is the type by which Gorgonia knows ours. It has no bfloat16, and is never asked to compute in it.
func dtype(t kernels.DType) tensor.Dtype {
	return [...]tensor.Dtype{kernels.Float32: tensor.Float32, kernels.Float64: tensor.Float64, kernels.Int32: tensor.Int32, kernels.BFloat16: tensor.Uint16}[t]
}

func gorgoniaType(d kernels.Desc) hm.Type {
	if d.Rank == 0 {
		return dtype(d.Type)
	}
	return gorgonia.TensorType{Dims: d.Rank, Of: dtype(d.Type)}
}

// The methods by which Gorgonia sees an operator.

func (b *bound) Arity() int { return -1 }
func (b *bound) Type() hm.Type {
	return gorgoniaType(b.out[b.index])
}
func (b *bound) InferShape(...gorgonia.DimSizer) (tensor.Shape, error) {
	return tensor.Shape(b.out[b.index].Shape()), nil
}
func (b *bound) ReturnsPtr() bool     { return false }
func (b *bound) CallsExtern() bool    { return false }
func (b *bound) OverwritesInput() int { return -1 }
func (b *bound) Hashcode() uint32     { return b.serial }
func (b *bound) WriteHash(h hash.Hash) {
	fmt.Fprintf(h, "nearfar %d", b.serial)
}
func (b *bound) String() string { return b.def.Name() }

// Do computes the node by the kernel's float64 reference: this is what makes Gorgonia's machines an oracle.
func (b *bound) Do(values ...gorgonia.Value) (gorgonia.Value, error) {
	in := make([]kernels.Tensor64, b.inputs)
	for i := range in {
		t, err := toTensor64(values[i])
		if err != nil {
			return nil, fmt.Errorf("%s: input %d: %w", b.def.Name(), i, err)
		}
		in[i] = t
	}
	out := make([]kernels.Tensor64, len(b.out))
	for i, d := range b.out {
		out[i] = kernels.NewTensor64(d)
	}
	b.def.Ref(out, in)
	return fromTensor64(out[b.index]), nil
}

func toTensor64(v gorgonia.Value) (kernels.Tensor64, error) {
	t := kernels.Tensor64{Desc: kernels.Of(kernels.Float64, v.Shape()...)}
	switch d := v.Data().(type) {
	case float64:
		t.F = []float64{d}
	case []float64:
		t.F = d
	case []int32:
		t.Desc.Type, t.I = kernels.Int32, d
	default:
		return t, fmt.Errorf("the oracle computes in float64 and int32, not in %T", d)
	}
	return t, nil
}

func fromTensor64(t kernels.Tensor64) gorgonia.Value {
	if t.Desc.Rank == 0 {
		return gorgonia.NewF64(t.F[0])
	}
	if t.I != nil {
		return tensor.New(tensor.WithShape(t.Desc.Shape()...), tensor.WithBacking(t.I))
	}
	return tensor.New(tensor.WithShape(t.Desc.Shape()...), tensor.WithBacking(t.F))
}

// DiffWRT tells Gorgonia which inputs a gradient flows to. Gorgonia asks for every such input, needed or not, so what is not written is
// said not to flow here; Grad knows better.
func (b *bound) DiffWRT(inputs int) []bool {
	r := make([]bool, inputs)
	_, composite := b.def.(Composite)
	for i := range min(inputs, b.inputs) {
		f := b.def.Flow(i)
		r[i] = f == Flows || f == Unwritten && composite
	}
	return r
}

// SymDiff builds the gradients of the inputs for Gorgonia's own Grad.
func (b *bound) SymDiff(in gorgonia.Nodes, out, grad *Node) (gorgonia.Nodes, error) {
	g, err := pull(b.def, out, grad, b.DiffWRT(b.inputs))
	if err != nil {
		return nil, err
	}
	r := make(gorgonia.Nodes, len(in))
	copy(r, g)
	return r, nil
}
