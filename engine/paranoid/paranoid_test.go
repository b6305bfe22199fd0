package paranoid_test

import (
	"context"
	"math"
	"strings"
	"testing"

	"nearfar/engine"
	"nearfar/engine/op"
	"nearfar/engine/paranoid"
	"nearfar/kernels"
)

// vector describes float64 [n].
func vector(n int) kernels.Desc { return kernels.Of(kernels.Float64, n) }

// sound is a plan of three instructions: a = s·2; b = exp(a); s' = s + b in place.
func sound() *engine.Plan {
	return &engine.Plan{
		Bufs: []engine.Buf{
			{Desc: vector(4), Kind: engine.Resident, Name: "s", From: 0, To: 2, Root: 0},
			{Desc: vector(4), Offset: 0, From: 0, To: 1, Root: 1},
			{Desc: vector(4), Offset: 64, From: 1, To: 2, Root: 2},
			{Desc: vector(4), Kind: engine.Resident, Name: "s", From: 0, To: 2, Root: 0},
		},
		Code: []engine.Instr{
			{K: kernels.WithImm(kernels.Scale, 2), In: []engine.BufID{0}, Out: []engine.BufID{1}, InPlace: []int{-1}},
			{K: kernels.Unary(kernels.Exp), In: []engine.BufID{1}, Out: []engine.BufID{2}, InPlace: []int{-1}},
			{K: kernels.Binary(kernels.Add), In: []engine.BufID{0, 2}, Out: []engine.BufID{3}, InPlace: []int{0}},
		},
		Arena: 128,
	}
}

func load(t *testing.T, d *paranoid.Device, p *engine.Plan) (engine.Exec, engine.Mem, error) {
	t.Helper()
	alloc := func(n int64, what string) engine.Mem {
		m, err := d.Alloc(n, what)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	s := alloc(32, "s")
	e, err := d.Load(p, engine.Binding{Inputs: alloc(64, "input"), Outputs: alloc(64, "output"), Entry: func(string) engine.Mem { return s }})
	return e, s, err
}

func TestRunsASoundPlan(t *testing.T) {
	for seed := range uint64(5) {
		e, s, err := load(t, paranoid.New(seed), sound())
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := e.Run(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		b := make([]byte, 32)
		if err := s.Read(b, 0); err != nil {
			t.Fatal(err)
		}
		for _, v := range engine.View[float64](b) { // s0 = 0: s1 = e^0 = 1, s2 = 1 + e^2
			if want := 1 + math.Exp(2); math.Abs(v-want) > 1e-12 {
				t.Errorf("s = %v, want %v", v, want)
			}
		}
	}
}

func TestFindsPlantedFaults(t *testing.T) {
	tests := []struct {
		name, want string
		plant      func(p *engine.Plan)
	}{
		{"temporaries in one place", "share memory", func(p *engine.Plan) { p.Bufs[2].Offset = 0 }},
		{"partly in one place", "share memory", func(p *engine.Plan) { p.Bufs[2].Offset = 24 }},
		{"outside the arena", "of 128", func(p *engine.Plan) { p.Bufs[2].Offset = 128 }},
		{"read after its life", "lives from", func(p *engine.Plan) { p.Bufs[2].To = 1 }},
		{"read before it is written", "holds nothing", func(p *engine.Plan) {
			p.Code[0], p.Code[1] = p.Code[1], p.Code[0]
			p.Bufs[2].From = 0
		}},
		{"overwritten without a claim", "still read", func(p *engine.Plan) { p.Code[2].InPlace[0] = -1 }},
		{"a claim of another place", "is elsewhere", func(p *engine.Plan) { p.Code[1].InPlace[0] = 0 }},
		{"a kernel that cannot", "cannot be written over", func(p *engine.Plan) {
			p.Code[2].K, p.Code[2].In = kernels.Softmax{}, []engine.BufID{0}
		}},
		{"a wrong shape", "not float64[4]", func(p *engine.Plan) { p.Bufs[2].Desc = vector(3) }},
		{"a misfit", "want", func(p *engine.Plan) { p.Code[1].K = kernels.MatMul{} }},
		{"a misaligned offset", "not aligned", func(p *engine.Plan) { p.Bufs[2].Offset = 68 }},
		{"a root of another size", "has 32 bytes", func(p *engine.Plan) { p.Bufs[3].Desc = vector(5) }},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			p := sound()
			c.plant(p)
			_, _, err := load(t, paranoid.New(1), p)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want one with %q", err, c.want)
			}
		})
	}
}

// A state that an in-place update overwrites before another instruction reads it is what a total order hides: the plan is legal, and its
// dependencies keep the reader first.
func TestDependenciesKeepReadersFirst(t *testing.T) {
	p := sound()
	p.Bufs = append(p.Bufs, engine.Buf{Desc: vector(4), Kind: engine.Output, Name: "old", From: 0, To: 0, Root: 4})
	p.Out = 64
	p.Code = append([]engine.Instr{{K: kernels.Unary(kernels.Copy), In: []engine.BufID{0}, Out: []engine.BufID{4}, InPlace: []int{-1}}}, p.Code...)
	for i := range p.Bufs[:4] {
		p.Bufs[i].From, p.Bufs[i].To = 0, 3
	}
	p.Bufs[2].From = 1
	d := paranoid.New(3)
	out, err := d.Alloc(64, "output")
	if err != nil {
		t.Fatal(err)
	}
	s, err := d.Alloc(32, "s")
	if err != nil {
		t.Fatal(err)
	}
	e, err := d.Load(p, engine.Binding{Inputs: s, Outputs: out, Entry: func(string) engine.Mem { return s }})
	if err != nil {
		t.Fatal(err)
	}
	var last float64
	for range 4 {
		if err := e.Run(context.Background()); err != nil {
			t.Fatal(err)
		}
		now := make([]byte, 8)
		if err := out.Read(now, 0); err != nil {
			t.Fatal(err)
		}
		if got := engine.View[float64](now)[0]; got != last {
			t.Errorf("the output is %v, want the value before the step, %v", got, last)
		}
		last += math.Exp(2 * last)
	}
}

func TestWildIndexIsAnError(t *testing.T) {
	p := &engine.Plan{
		Bufs: []engine.Buf{
			{Desc: vector(4), Kind: engine.Resident, Name: "s", Root: 0},
			{Desc: kernels.Of(kernels.Int32, 2), Kind: engine.Input, Root: 1},
			{Desc: vector(2), Kind: engine.Output, Name: "y", Root: 2},
		},
		Code:  []engine.Instr{{K: kernels.Gather{}, In: []engine.BufID{0, 1}, Out: []engine.BufID{2}, InPlace: []int{-1}, From: "Gather"}},
		Input: 64, Out: 64,
	}
	d := paranoid.New(1)
	m, err := d.Alloc(64, "all")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Write(0, []byte{0, 0, 0, 0, 9, 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
	out, err := d.Alloc(64, "output")
	if err != nil {
		t.Fatal(err)
	}
	e, err := d.Load(p, engine.Binding{Inputs: m, Outputs: out, Entry: func(string) engine.Mem { return m }})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "instruction 0 (Gather") {
		t.Errorf("index 9 of 4 rows: %v, want an error that names the instruction", err)
	}
}

func TestMemory(t *testing.T) {
	d := paranoid.New(1)
	m, err := d.Alloc(8, "queue")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Write(4, make([]byte, 8)); err == nil {
		t.Error("a write behind the end passed")
	}
	if err := d.Close(); err == nil || !strings.Contains(err.Error(), "queue") {
		t.Errorf("Close: %v, want the name of what was not freed", err)
	}
	if err := m.Free(); err != nil {
		t.Error(err)
	}
	if m.Free() == nil || m.Read(make([]byte, 4), 0) == nil {
		t.Error("freed memory is used without an error")
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

func TestRefuse(t *testing.T) {
	d := paranoid.New(1, paranoid.Refuse("NormaliseRowsGrad"))
	if d.Offers(kernels.NormaliseRowsGrad{}, nil, nil) || !d.Offers(kernels.NormaliseRows{}, nil, nil) {
		t.Error("refused kernels are declined and no others")
	}
}

// A program by the builder, with everything it frees.
func TestProgram(t *testing.T) {
	d := paranoid.New(7)
	s := engine.NewStore(d, kernels.Float64, 1)
	p, err := engine.Build(s, func(b *engine.Builder) engine.Step {
		w := b.Param("w", engine.Constant(2), 3)
		return engine.Optimise(b, engine.Objective{{Name: "square", Weight: 1, Value: op.SumSquares(w)}}, engine.SGD(.25, 0))
	})
	if err != nil {
		t.Fatal(err)
	}
	var losses []float64
	if err := p.Run(context.Background(), 0, 3, func(_ uint64, row []float64) { losses = append(losses, row[0]) }); err != nil {
		t.Fatal(err)
	}
	for i, want := range []float64{12, 3, .75} { // w halves
		if losses[i] != want {
			t.Errorf("step %d: loss %v, want %v", i, losses[i], want)
		}
	}
	for _, err := range []error{p.Close(), s.Close(), d.Close()} {
		if err != nil {
			t.Error(err)
		}
	}
}

// A feed whose inverse is of other ids, and a ring that writes one row twice, end the run with an error that names the instruction.
func TestBrokenFeedIsAnError(t *testing.T) {
	constant := func(b *engine.Builder, name string, v ...int32) *op.Node { return b.Indices(name, v) }
	tests := []struct {
		name, want string
		next       func(b *engine.Builder, s *op.Node) *op.Node
	}{
		{"inverse", "ScatterAdd", func(b *engine.Builder, s *op.Node) *op.Node {
			at := op.Index{ID: constant(b, "id", 2, 0), Rows: constant(b, "rows", 0, 1), Seg: constant(b, "seg", 0, 1, 2), Perm: constant(b, "perm", 1, 0)}
			return op.ScatterAdd(op.Slice(s, 0, 0, 2), at, 4)
		}},
		{"put", "Put", func(b *engine.Builder, s *op.Node) *op.Node {
			return op.Put(s, op.Slice(s, 0, 0, 2), constant(b, "id", 3, 3))
		}},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			p, err := engine.Build(engine.NewStore(paranoid.New(1), kernels.Float64, 1), func(b *engine.Builder) engine.Step {
				s := b.State("s", engine.Constant(1), 4)
				return engine.Step{Updates: []engine.Update{{State: s, Next: c.next(b, s)}}}
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Run(context.Background(), 0, 1, nil); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want one that names %s", err, c.want)
			}
		})
	}
}
