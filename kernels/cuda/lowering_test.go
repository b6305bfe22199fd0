package cuda

import (
	"math"
	"testing"

	"nearfar/kernels"
)

// lowered is the only launch of k.
func lowered(t *testing.T, k kernels.Kernel, in ...kernels.Desc) *Launch {
	t.Helper()
	out, err := k.Infer(in)
	if err != nil {
		t.Fatal(err)
	}
	ts := outlines(in)
	for i := range ts {
		ts[i].At = Ptr(1+i) << 40
	}
	w, err := Set{}.Bind(k, []Tensor{{out[0], 64}}, ts, Memory{Table: 1 << 50})
	if err != nil {
		t.Fatal(err)
	}
	if len(w.Steps) != 1 {
		t.Fatalf("%d steps: %v", len(w.Steps), w.Steps)
	}
	return w.Steps[0].(*Launch)
}

// The kernel, and for a Map the number of dimensions that are left, for operands of a shape.
func TestKernelsByShape(t *testing.T) {
	f := func(dims ...int) kernels.Desc { return kernels.Of(kernels.Float32, dims...) }
	add := kernels.Binary(kernels.Add)
	for _, c := range []struct {
		k      kernels.Kernel
		in     []kernels.Desc
		kernel string
		rank   int
	}{
		{add, []kernels.Desc{f(7, 64), f(7, 64)}, "map4", 1},
		{add, []kernels.Desc{f(3, 4, 5), f()}, "map4", 1},
		{add, []kernels.Desc{f(7, 33), f(7, 33)}, "map", 1},
		{add, []kernels.Desc{f(7, 64), f(64)}, "map4", 2},
		{add, []kernels.Desc{f(7, 64), f(7, 1)}, "map4", 2},
		{add, []kernels.Desc{f(4, 33), f(33)}, "map", 2},
		{add, []kernels.Desc{f(5, 7, 64), f(5, 7, 1)}, "map4", 2},
		{add, []kernels.Desc{f(5, 7, 64), f(5, 1, 64)}, "map4", 3},
		{add, []kernels.Desc{f(2, 3, 4, 8), f(3, 1, 8)}, "map4", 4},
		{add, []kernels.Desc{f(3<<30, 4), f(3<<30, 4)}, "map4", 1}, // more elements than an int counts
		{add, []kernels.Desc{f(1<<30, 8), f(8)}, "map4", 2},
		{kernels.Slice{Axis: 1, Beg: 4, End: 8}, []kernels.Desc{f(9, 64)}, "runs4", 0},
		{kernels.Slice{Axis: 1, Beg: 3, End: 7}, []kernels.Desc{f(9, 64)}, "runs", 0},
		{kernels.Pad{Axis: 0, Before: 3}, []kernels.Desc{f(9, 64)}, "pad4", 0},
		{kernels.Pad{Axis: 1, Before: 3}, []kernels.Desc{f(9, 64)}, "pad", 0},
		{kernels.Permute{Order: [4]int{1, 0}}, []kernels.Desc{f(100, 64)}, "transpose", 0},
		{kernels.Permute{Order: [4]int{1, 0}}, []kernels.Desc{f(100, 4)}, "permute", 0},
		{kernels.Permute{Order: [4]int{1, 0, 2}}, []kernels.Desc{f(100, 4, 64)}, "permute4", 0},
		{kernels.Permute{Order: [4]int{0, 2, 1}}, []kernels.Desc{f(100, 20, 64)}, "transpose", 0},
	} {
		l := lowered(t, c.k, c.in...)
		if l.Kernel != c.kernel || c.rank > 0 && l.Args[1] != arg(c.rank) {
			t.Errorf("%v %v: %s with rank %d, want %s with %d", c.k.Name(), c.in, l.Kernel, l.Args[1].Bits, c.kernel, c.rank)
		}
	}
}

// Kernels move four elements at a time, so an operand in between is refused and not left to a GPU, which would lose its context.
func TestMisalignedOperands(t *testing.T) {
	d := kernels.Of(kernels.Float32, 8)
	for _, at := range []Ptr{4, 8, 68} {
		if _, err := (Set{}).Bind(kernels.Unary(kernels.Exp), []Tensor{{d, 64}}, []Tensor{{d, at}}, Memory{}); err == nil {
			t.Errorf("an input at %d is taken", at)
		}
		if _, err := (Set{}).Bind(kernels.Unary(kernels.Exp), []Tensor{{d, at}}, []Tensor{{d, 64}}, Memory{}); err == nil {
			t.Errorf("an output at %d is taken", at)
		}
	}
}

// A program keeps what is read later, in as few slots as live at once, and leaves out what is not read at all.
func TestMapProgram(t *testing.T) {
	op := func(o kernels.MapOp, a, b int8) kernels.MapInstr { return kernels.MapInstr{Op: o, A: a, B: b} }
	for _, c := range []struct {
		name          string
		code          []kernels.MapInstr
		length, slots int
		inputs        int
	}{
		{"a chain", []kernels.MapInstr{op(kernels.Exp, 0, 0), op(kernels.Add, -1, 1), op(kernels.Neg, -2, 0)}, 3, 0, 2},
		{"unread in between", []kernels.MapInstr{op(kernels.Exp, 0, 0), op(kernels.Log, 1, 0), op(kernels.Square, -2, 0), op(kernels.Neg, -1, 0)}, 2, 0, 1},
		{"read twice", []kernels.MapInstr{op(kernels.Exp, 0, 0), op(kernels.Neg, -1, 0), op(kernels.Mul, -1, -2)}, 3, 1, 1},
		{"a slot again", []kernels.MapInstr{op(kernels.Exp, 0, 0), op(kernels.Neg, -1, 0), op(kernels.Mul, -1, -2), op(kernels.Tanh, -3, 0),
			op(kernels.Mul, -3, -4)}, 5, 1, 1},
		{"two at once", []kernels.MapInstr{op(kernels.Exp, 0, 0), op(kernels.Neg, 0, 0), op(kernels.Tanh, 0, 0), op(kernels.Add, -1, -3),
			op(kernels.Add, -2, -4)}, 5, 2, 1},
	} {
		p := newMapProgram(kernels.MapOf(c.code...))
		if len(p.code) != c.length || p.slots != c.slots || len(p.inputs) != c.inputs {
			t.Errorf("%s: %d instructions, %d slots, %d inputs; want %d, %d, %d", c.name, len(p.code), p.slots, len(p.inputs), c.length, c.slots, c.inputs)
		}
	}
}

// m < threshold(p) says what m 2^-24 < p says, at the edges.
func TestThreshold(t *testing.T) {
	for _, p := range []float64{0, 1, .3, .5, 0x1p-24, 0x1p-25, 1 - 0x1p-24, 1 - 0x1p-53, -1, 2, 0x1p-1074, math.Nextafter(.5, 1), math.Nextafter(.5, 0),
		math.NaN(), math.Inf(1), math.Inf(-1)} {
		at := threshold(p)
		for _, m := range []int{0, 1, at - 1, at, at + 1, 1<<24 - 1} {
			if m < 0 || m >= 1<<24 {
				continue
			}
			if have, want := m < at, float64(m)*0x1p-24 < p; have != want {
				t.Errorf("p = %v, m = %d: %v, want %v", p, m, have, want)
			}
		}
	}
}
