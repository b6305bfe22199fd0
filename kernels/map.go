package kernels

import (
	"fmt"
	"math"
	"strings"
)

// MaxMap is the number of instructions that one Map holds.
const MaxMap = 16

// MapOp is one elementwise operation.
type MapOp uint8

const (
	NoOp     MapOp = iota
	Copy           // a
	Neg            // -a
	Sign           // -1, 0, 1
	Exp            // e^a
	Log            // ln a
	Sqrt           // a^1/2
	Recip          // 1/a
	Sigmoid        // 1/(1+e^-a)
	Tanh           // tanh a
	ReLU           // max(a, 0)
	Softplus       // ln(1+e^a)
	Square         // a²
	Positive       // 1 where a > 0, else 0
	Scale          // a · imm
	AddImm         // a + imm
	MaxImm         // max(a, imm)
	Add            // a + b
	Sub            // a - b
	Mul            // a · b
	Div            // a / b
	Max            // max(a, b)
	Min            // min(a, b)
	Equal          // 1 where a = b, else 0
	Greater        // 1 where a > b, else 0
	Where          // b where a ≠ 0, else c
)

var mapNames = [...]string{"nop", "copy", "neg", "sign", "exp", "log", "sqrt", "recip", "sigmoid", "tanh", "relu", "softplus", "square",
	"positive", "scale", "add-imm", "max-imm", "add", "sub", "mul", "div", "max", "min", "equal", "greater", "where"}

func (o MapOp) String() string { return mapNames[o] }

// Arity is the number of operands: 1, 2, or 3 for Where.
func (o MapOp) Arity() int {
	switch {
	case o == NoOp:
		return 0
	case o < Add:
		return 1
	case o < Where:
		return 2
	}
	return 3
}

// HasImm tells the operations that read the immediate.
func (o MapOp) HasImm() bool { return o == Scale || o == AddImm || o == MaxImm }

// Apply computes the operation in float64.
func (o MapOp) Apply(a, b, c, imm float64) float64 {
	switch o {
	case Copy:
		return a
	case Neg:
		return -a
	case Sign:
		switch {
		case a > 0:
			return 1
		case a < 0:
			return -1
		}
		return a // keeps 0 and NaN
	case Exp:
		return math.Exp(a)
	case Log:
		return math.Log(a)
	case Sqrt:
		return math.Sqrt(a)
	case Recip:
		return 1 / a
	case Sigmoid:
		return 1 / (1 + math.Exp(-a))
	case Tanh:
		return math.Tanh(a)
	case ReLU:
		return max(a, 0)
	case Softplus: // stable on both sides: e^-|a| never overflows
		return max(a, 0) + math.Log1p(math.Exp(-math.Abs(a)))
	case Square:
		return a * a
	case Positive:
		return indicator(a > 0)
	case Scale:
		return a * imm
	case AddImm:
		return a + imm
	case MaxImm:
		return max(a, imm)
	case Add:
		return a + b
	case Sub:
		return a - b
	case Mul:
		return a * b
	case Div:
		return a / b
	case Max:
		return max(a, b)
	case Min:
		return min(a, b)
	case Equal:
		return indicator(a == b)
	case Greater:
		return indicator(a > b)
	case Where:
		if a != 0 {
			return b
		}
		return c
	}
	panic("kernels: no such map operation")
}

func indicator(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// MapInstr is one step of a Map. An operand k >= 0 is input k; k < 0 is the result of instruction -k-1.
type MapInstr struct {
	Op      MapOp
	A, B, C int8
	Imm     float64
}

// Map is an elementwise expression of up to MaxMap instructions over inputs that broadcast by numpy's rule (right-aligned; a
// dimension is equal or 1):
//
//	for each element: t_k = op_k(operands); out = t_last
//
// Integer inputs are read as real numbers. The output has the inputs' common shape.
type Map struct {
	Code [MaxMap]MapInstr // ends at the first NoOp
}

// Unary, Binary and friends build one-instruction Maps.
func Unary(op MapOp) Map              { return MapOf(MapInstr{Op: op}) }
func Binary(op MapOp) Map             { return MapOf(MapInstr{Op: op, A: 0, B: 1}) }
func WithImm(op MapOp, v float64) Map { return MapOf(MapInstr{Op: op, Imm: v}) }

// MapOf puts instructions into a Map. More than MaxMap is a broken invariant.
func MapOf(code ...MapInstr) (m Map) {
	if len(code) > MaxMap || len(code) == 0 {
		panic(fmt.Sprintf("kernels: a Map of %d instructions", len(code)))
	}
	copy(m.Code[:], code)
	return m
}

// Len is the number of instructions.
func (m Map) Len() int {
	for i, c := range m.Code {
		if c.Op == NoOp {
			return i
		}
	}
	return MaxMap
}

func (m Map) Name() string {
	s := make([]string, m.Len())
	for i := range s {
		s[i] = m.Code[i].Op.String()
	}
	return "Map(" + strings.Join(s, " ") + ")"
}

// Broadcast gives the common shape of descriptions under numpy's rule.
func Broadcast(in ...Desc) (Desc, bool) {
	out := Desc{Type: Float32}
	typed := false
	for _, d := range in {
		if d.Type.IsFloat() && !typed {
			out.Type, typed = d.Type, true
		}
		out.Rank = max(out.Rank, d.Rank)
	}
	for i := range out.Rank {
		out.Dim[i] = 1
	}
	for _, d := range in {
		for i := range d.Rank {
			o := &out.Dim[out.Rank-d.Rank+i]
			switch {
			case d.Dim[i] == *o || d.Dim[i] == 1:
			case *o == 1:
				*o = d.Dim[i]
			default:
				return out, false
			}
		}
	}
	return out, true
}

// Costly tells whether a Map takes more than a few cycles an element: it has a transcendental function or a division.
func (m Map) Costly() bool {
	for _, i := range m.Code[:m.Len()] {
		switch i.Op {
		case Exp, Log, Sqrt, Recip, Sigmoid, Tanh, Softplus, Div:
			return true
		}
	}
	return false
}

func (m Map) Infer(in []Desc) ([]Desc, error) {
	n := m.Len()
	if n == 0 || len(in) == 0 {
		return nil, wrong(m, "at least one instruction and one input", in)
	}
	for i, c := range m.Code[:n] {
		for _, k := range []int8{c.A, c.B, c.C}[:c.Op.Arity()] {
			if int(k) >= len(in) || int(k) < -i {
				return nil, wrong(m, fmt.Sprintf("operands among the inputs and earlier results in instruction %d", i), in)
			}
		}
	}
	for _, d := range in {
		if d.Type != Int32 && !floats(d, firstFloat(in)) {
			return nil, wrong(m, "real inputs of one type", in)
		}
	}
	out, ok := Broadcast(in...)
	if !ok {
		return nil, wrong(m, "shapes that broadcast", in)
	}
	return []Desc{out}, nil
}

func firstFloat(in []Desc) Desc {
	for _, d := range in {
		if d.Type.IsFloat() {
			return d
		}
	}
	return in[0]
}

// Strides gives the step, in elements, of a broadcast input along each dimension of out: 0 where the input is repeated.
func Strides(out, in Desc) (s [MaxRank]int) {
	step := 1
	for i := in.Rank - 1; i >= 0; i-- {
		if in.Dim[i] != 1 {
			s[out.Rank-in.Rank+i] = step
		}
		step *= in.Dim[i]
	}
	return s
}

func (m Map) Ref(out, in []Tensor64) {
	o, n := out[0].Desc, m.Len()
	strides := make([][MaxRank]int, len(in))
	for k := range in {
		strides[k] = Strides(o, in[k].Desc)
	}
	var t [MaxMap]float64
	for e := range out[0].F {
		read := func(k int8) float64 {
			if k < 0 {
				return t[-k-1]
			}
			at, rest := 0, e
			for i := o.Rank - 1; i >= 0; i-- {
				at += rest % o.Dim[i] * strides[k][i]
				rest /= o.Dim[i]
			}
			if in[k].I != nil {
				return float64(in[k].I[at])
			}
			return in[k].F[at]
		}
		for i, c := range m.Code[:n] {
			var a [3]float64
			for j, k := range []int8{c.A, c.B, c.C}[:c.Op.Arity()] {
				a[j] = read(k)
			}
			t[i] = c.Op.Apply(a[0], a[1], a[2], c.Imm)
		}
		out[0].F[e] = t[n-1]
	}
}
