//go:build gpu && linux && amd64 && cgo

package cuda

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"nearfar/engine"
	"nearfar/engine/cpu"
	"nearfar/engine/op"
	"nearfar/kernels"
	processor "nearfar/kernels/cpu"
	"nearfar/kernels/cuda/device"
	"nearfar/kernels/cuda/driver"
	"nearfar/kernels/cuda/emu/control"
)

// open opens the device, on a GPU or on the emulated driver that NEARFAR_CUDA_DRIVER names; that one has a single context at a time.
func open(t *testing.T) *Device {
	t.Helper()
	control.NeedGPU(t)
	d, err := Open(Any)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d.(*Device)
}

func processorDevice() engine.Device { return cpu.New(1, processor.Generic()) }

// bench is a plan by hand, of what kernels/cuda/rows.cu has, with its memory on one device.
//
//	0  chosen = X[id]                       [5, 4]   a temporary
//	1  dots = rows of chosen times Y        [5]      an output
//	2  X[rows] += chosen                    [6, 4]   over its state
//	3  again = X[id]                        [5, 4]   where chosen was
//	4  table[slot] = again as one row       [3, 20]  over its state; again under another shape
type bench struct {
	device      engine.Device
	plan        *engine.Plan
	exec        engine.Exec
	in, out     engine.Mem
	x, y, table engine.Mem
}

const benchReport = 64 // place of the dots in the output block

func benchPlan() *engine.Plan {
	real := func(dims ...int) kernels.Desc { return kernels.Of(kernels.Float32, dims...) }
	ids := func(n int) kernels.Desc { return kernels.Of(kernels.Int32, n) }
	const (
		x engine.BufID = iota
		y
		table
		id
		rows
		seg
		perm
		slot
		chosen
		dots
		moved
		again
		asRow
		put
	)
	p := &engine.Plan{Arena: 128, Input: 320, Out: 128, Bufs: []engine.Buf{
		x:      {Desc: real(6, 4), Kind: engine.Resident, Name: "x"},
		y:      {Desc: real(5, 4), Kind: engine.Resident, Name: "y"},
		table:  {Desc: real(3, 20), Kind: engine.Resident, Name: "table"},
		id:     {Desc: ids(5), Kind: engine.Input},
		rows:   {Desc: ids(5), Kind: engine.Input, Offset: 64},
		seg:    {Desc: ids(6), Kind: engine.Input, Offset: 128},
		perm:   {Desc: ids(5), Kind: engine.Input, Offset: 192},
		slot:   {Desc: ids(1), Kind: engine.Input, Offset: 256},
		chosen: {Desc: real(5, 4)},
		dots:   {Desc: real(5), Kind: engine.Output, Name: "dots", Offset: benchReport},
		moved:  {Desc: real(6, 4), Kind: engine.Resident, Name: "x", Root: x},
		again:  {Desc: real(5, 4)},
		asRow:  {Desc: real(1, 20), Root: again},
		put:    {Desc: real(3, 20), Kind: engine.Resident, Name: "table", Root: table},
	}}
	for i := range p.Bufs {
		if b := &p.Bufs[i]; b.Root == 0 {
			b.Root = engine.BufID(i)
		}
	}
	p.Code = []engine.Instr{
		{K: kernels.Gather{}, Out: []engine.BufID{chosen}, In: []engine.BufID{x, id}, InPlace: []int{-1}, From: "gather"},
		{K: kernels.RowDot{}, Out: []engine.BufID{dots}, In: []engine.BufID{chosen, y}, InPlace: []int{-1}, From: "dot"},
		{K: kernels.ScatterAdd{Rows: 6, Onto: true, Sorted: true}, Out: []engine.BufID{moved}, In: []engine.BufID{x, chosen, id, rows, seg, perm}, InPlace: []int{0}, From: "scatter"},
		{K: kernels.Gather{}, Out: []engine.BufID{again}, In: []engine.BufID{moved, id}, InPlace: []int{-1}, From: "gather again"},
		{K: kernels.Put{}, Out: []engine.BufID{put}, In: []engine.BufID{table, asRow, slot}, InPlace: []int{0}, From: "put"},
	}
	return p
}

func newBench(d engine.Device, p *engine.Plan) (b *bench, err error) {
	b = &bench{device: d, plan: p}
	for _, m := range []struct {
		to    *engine.Mem
		what  string
		bytes int64
	}{{&b.in, "the input block", p.Input}, {&b.out, "the output block", p.Out}, {&b.x, "x", 4 * 24}, {&b.y, "y", 4 * 20}, {&b.table, "table", 4 * 60}} {
		if *m.to, err = d.Alloc(m.bytes, m.what); err != nil {
			return b, err
		}
	}
	for _, m := range []struct {
		to engine.Mem
		n  int
	}{{b.x, 24}, {b.y, 20}} {
		if err := m.to.Write(0, wave(m.n)); err != nil {
			return b, err
		}
	}
	b.exec, err = d.Load(p, engine.Binding{Inputs: b.in, Outputs: b.out,
		Entry: func(name string) engine.Mem { return map[string]engine.Mem{"x": b.x, "y": b.y, "table": b.table}[name] }})
	return b, err
}

func wave(n int) []byte {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(math.Sin(float64(3*i + n)))
	}
	return control.Words(v...)
}

func (b *bench) close() error {
	var errs []error
	if b.exec != nil {
		errs = append(errs, b.exec.Close())
	}
	for _, m := range []engine.Mem{b.in, b.out, b.x, b.y, b.table} {
		if m != nil {
			errs = append(errs, m.Free())
		}
	}
	return errors.Join(errs...)
}

// pieces are the inputs of step t: ids with their inverse, one of them absent, one twice.
func pieces(t int) []engine.Piece {
	first := int32(t % 3)
	block := make([]byte, 320)
	copy(block, control.Words[int32](first, 5, -1, first, 4))
	copy(block[64:], control.Words[int32](first, 4, 5, -1, -1))
	copy(block[128:], control.Words[int32](0, 2, 3, 4, 4, 4))
	copy(block[192:], control.Words[int32](0, 3, 4, 1, 0))
	copy(block[256:], control.Words(int32(t%3)))
	return []engine.Piece{{At: 0, Bytes: block[:256]}, {At: 256, Bytes: block[256:]}}
}

// steps runs n steps and returns their reports and the states they leave. A Stepper is run as such, unless apart.
func (b *bench) steps(n int, apart bool) (reports []float32, state []byte, err error) {
	report := make([]byte, 20)
	for t := range n {
		if s, ok := b.exec.(engine.Stepper); ok && !apart {
			err = s.Step(context.Background(), pieces(t), engine.Piece{At: benchReport, Bytes: report})
		} else {
			for _, p := range pieces(t) {
				err = errors.Join(err, b.in.Write(p.At, p.Bytes))
			}
			err = errors.Join(err, b.exec.Run(context.Background()), b.out.Read(report, benchReport))
		}
		if err != nil {
			return nil, nil, err
		}
		reports = append(reports, engine.View[float32](slices.Clone(report))...)
	}
	state = make([]byte, 4*(24+60))
	return reports, state, errors.Join(b.x.Read(state[:96], 0), b.table.Read(state[96:], 0))
}

func runBench(t *testing.T, d engine.Device, apart bool) ([]float32, []byte) {
	t.Helper()
	b, err := newBench(d, benchPlan())
	if err != nil {
		t.Fatal(err)
	}
	reports, state, err := b.steps(5, apart)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.close(); err != nil {
		t.Error(err)
	}
	return reports, state
}

// The plan computes what the processor computes, as a graph, step by step, and with its parts apart: those three have the same bits.
func TestPlan(t *testing.T) {
	wantReports, wantState := runBench(t, processorDevice(), false)
	d := open(t)
	reports, state := runBench(t, d, false)
	for i, v := range reports {
		if math.Abs(float64(v-wantReports[i])) > 1e-5 {
			t.Errorf("dot %d of step %d is %v, want %v", i%5, i/5, v, wantReports[i])
		}
	}
	if !slices.Equal(state, wantState) { // sums in the order of the ids, on both
		t.Errorf("the states are\n%v, want\n%v", engine.View[float32](state), engine.View[float32](wantState))
	}
	for name, how := range map[string]struct{ direct, apart bool }{"direct": {true, false}, "apart": {false, true}} {
		d.direct = how.direct
		r, s := runBench(t, d, how.apart)
		if !slices.Equal(r, reports) || !slices.Equal(s, state) {
			t.Errorf("%s: the bits differ from the graph's", name)
		}
	}
	if e, err := control.Open(); err == nil && e.Errors() > 0 {
		t.Error(e.LastError())
	}
}

// Three allocations belong to a plan, and none is made after Load. A step is the copies, one graph, one copy back, one wait.
func TestNothingIsAllocatedAfterLoad(t *testing.T) {
	e := control.Need(t)
	d := open(t)
	bare := e.Live()["memory"]
	b, err := newBench(d, benchPlan())
	if err != nil {
		t.Fatal(err)
	}
	loaded := e.Live()
	if n := loaded["memory"] - bare - 5; n != 3 {
		t.Errorf("the plan has %d allocations, want the arena, scratch memory and the tables", n)
	}
	in, report := pieces(0), engine.Piece{At: benchReport, Bytes: make([]byte, 20)}
	step := func() {
		if err := b.exec.(engine.Stepper).Step(context.Background(), in, report); err != nil {
			t.Fatal(err)
		}
	}
	step()
	before := e.Calls()
	step()
	if n := e.Calls() - before; n != 2+1+1+1 {
		t.Errorf("a step with two pieces is %d calls, want 5", n)
	}
	if n := testing.AllocsPerRun(20, step); n > 0 {
		t.Errorf("a step makes %v allocations in Go", n)
	}
	for _, kind := range control.Kinds {
		if now := e.Live(); now[kind] != loaded[kind] {
			t.Errorf("%d of %s behind steps, %d before", now[kind], kind, loaded[kind])
		}
	}
	if err := b.close(); err != nil {
		t.Error(err)
	}
	if n := e.Live()["memory"]; n != bare {
		t.Errorf("%d allocations are left, want %d", n, bare)
	}
}

// assertOnDevice holds a loaded plan to what the design promises: there is no way from the GPU back to the processor within a step, so
// every instruction is bound here. A kernel that the set lacks is written in smaller ones, or the plan is not built.
func assertOnDevice(t *testing.T, d *Device, p *engine.Plan, x engine.Exec) {
	t.Helper()
	e := x.(*exec)
	if len(e.in) != len(p.Code) || len(e.out) != len(p.Code) {
		t.Errorf("%d of %d instructions are on the GPU", len(e.out), len(p.Code))
	}
	for at, i := range p.Code {
		if !d.Offers(i.K, p.Descs(i.Out), p.Descs(i.In)) {
			t.Errorf("instruction %d (%s) is in the plan and not offered", at, i.From)
		}
	}
}

func TestEveryInstructionIsOnTheDevice(t *testing.T) {
	d := open(t)
	b, err := newBench(d, benchPlan())
	if err != nil {
		t.Fatal(err)
	}
	assertOnDevice(t, d, b.plan, b.exec)
	if err := b.close(); err != nil {
		t.Error(err)
	}
	// float64 is not computed here, and cannot be written in smaller operators.
	_, err = engine.Build(engine.NewStore(d, kernels.Float64, 1), func(b *engine.Builder) engine.Step {
		x := b.Param("x", engine.Gaussian(1), 3, 4)
		return engine.Step{Scalars: []engine.Named{{Name: "dot", Value: op.Sum(op.RowDot(x, x))}}}
	})
	if err == nil || !strings.Contains(err.Error(), "RowDot") || !strings.Contains(err.Error(), "cuda/") {
		t.Errorf("the error is %v, want the operator and the device", err)
	}
}

func TestProfile(t *testing.T) {
	d := open(t)
	b, err := newBench(d, benchPlan())
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	for _, p := range pieces(0) {
		if err := b.in.Write(p.At, p.Bytes); err != nil {
			t.Fatal(err)
		}
	}
	times, err := b.exec.(engine.Profiler).Profile(context.Background())
	if err != nil || len(times) != len(b.plan.Code) {
		t.Fatalf("%v: %v", times, err)
	}
	for at, duration := range times {
		if duration <= 0 {
			t.Errorf("instruction %d (%s) takes %v", at, b.plan.Code[at].From, duration)
		}
	}
}

// The first instruction that makes something infinite of finite numbers is found, and one that only passes it on is not.
func TestProbe(t *testing.T) {
	for _, d := range []engine.Device{processorDevice(), open(t)} {
		for _, c := range []struct {
			value float32
			want  int
		}{{1, -1}, {1e30, 1}, {float32(math.Inf(1)), -1}} {
			b, err := newBench(d, benchPlan())
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range pieces(0) {
				err = errors.Join(err, b.in.Write(p.At, p.Bytes))
			}
			v := make([]float32, 20)
			for i := range v {
				v[i] = c.value
			}
			if err := errors.Join(err, b.y.Write(0, control.Words(v...)), b.x.Write(0, control.Words(v...))); err != nil {
				t.Fatal(err)
			}
			at, err := b.exec.(engine.Prober).Probe(context.Background())
			if err != nil || at != c.want {
				t.Errorf("%s: %v in the states: instruction %d, %v, want %d", d.Name(), c.value, at, err, c.want)
			}
			if err := b.close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestMemory(t *testing.T) {
	d := open(t)
	m, err := d.Alloc(100, "something")
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 100)
	if err := m.Read(got, 0); err != nil || slices.ContainsFunc(got, func(b byte) bool { return b != 0 }) {
		t.Errorf("new memory reads %v: %v", got, err)
	}
	if err := errors.Join(m.Write(96, []byte{1, 2, 3, 4}), m.Read(got[:8], 92)); err != nil || !slices.Equal(got[:8], []byte{0, 0, 0, 0, 1, 2, 3, 4}) {
		t.Errorf("%v: %v", got[:8], err)
	}
	for _, err := range []error{m.Write(97, []byte{1, 2, 3, 4}), m.Write(-1, []byte{1}), m.Read(got, 1), m.Read(got[:1], -1)} {
		if err == nil {
			t.Error("an access outside is no error")
		}
	}
	if err := m.Free(); err != nil {
		t.Error(err)
	}
	for _, err := range []error{m.Free(), m.Read(got[:1], 0), m.Write(0, got[:1])} {
		if err == nil {
			t.Error("memory is used that is free")
		}
	}
	if _, err := d.Alloc(-1, "something"); err == nil {
		t.Error("memory of -1 bytes")
	}
	zero, err := d.Alloc(0, "nothing")
	if err := errors.Join(err, zero.Write(0, nil), zero.Read(nil, 0), zero.Free()); err != nil {
		t.Error(err)
	}
	b, free, err := d.Staging(100, "something")
	if err != nil || len(b) != 100 || slices.ContainsFunc(b, func(b byte) bool { return b != 0 }) {
		t.Errorf("staging memory is %v: %v", b, err)
	}
	if err := free(); err != nil {
		t.Error(err)
	}
}

// What does not fit says what it was, what is there, and what to do; and everything that Load had is free again.
func TestOutOfMemory(t *testing.T) {
	d := open(t)
	p := benchPlan()
	p.Arena = 1 << 45
	var held []device.Use
	for at := range 2 {
		b, err := newBench(d, p)
		var full *device.OutOfMemory
		if !errors.As(err, &full) || !errors.Is(err, engine.ErrOutOfMemory) || full.What != "the temporaries of a step" {
			t.Fatalf("the error is %v", err)
		}
		t.Log(err)
		for _, want := range []string{"32.0 TiB wanted", ": end what else uses this GPU"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%v\nlacks %q", err, want)
			}
		}
		if at > 0 && !slices.Equal(full.Held, held) {
			t.Errorf("the second time %v is held, the first time %v", full.Held, held)
		}
		held = full.Held
		b.exec = nil
		if err := b.close(); err != nil {
			t.Error(err)
		}
	}
}

// Each kind of memory that runs out has advice of its own.
func TestAdvice(t *testing.T) {
	e := control.Need(t)
	d := open(t)
	e.Fail(1, int(driver.OutOfMemory))
	_, _, err := d.Staging(100, "the inputs of a step")
	if !errors.Is(err, engine.ErrOutOfMemory) || !strings.Contains(err.Error(), "machine's memory") || strings.Contains(err.Error(), "GPU") || strings.Contains(err.Error(), "the device") {
		t.Errorf("pinned memory: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for n := 1; ; n++ {
		before := e.Calls()
		e.Fail(n, int(driver.OutOfMemory))
		d, err := Open(0)
		e.Fail(0, 0)
		if err == nil {
			d.Close()
			break
		}
		if e.Calls()-before < n {
			t.Fatal("the call that was to fail was not reached")
		}
		if errors.Is(err, driver.OutOfMemory) && strings.HasSuffix(err.Error(), ": end what else uses this GPU, or name another one") {
			seen++
		}
		if strings.Contains(err.Error(), "-batch") {
			t.Errorf("opening: %v", err)
		}
	}
	if seen < 5 {
		t.Errorf("%d errors have advice", seen)
	}
}

func TestForeignMemory(t *testing.T) {
	d := open(t)
	other, err := processorDevice().Alloc(320, "x")
	if err != nil {
		t.Fatal(err)
	}
	own, err := d.Alloc(320, "x")
	if err != nil {
		t.Fatal(err)
	}
	entry := func(m engine.Mem) func(string) engine.Mem { return func(string) engine.Mem { return m } }
	for _, b := range []engine.Binding{{Inputs: other, Outputs: own, Entry: entry(own)}, {Inputs: own, Outputs: other, Entry: entry(own)}, {Inputs: own, Outputs: own, Entry: entry(other)}} {
		if _, err := d.Load(benchPlan(), b); err == nil || !strings.Contains(err.Error(), "not in this device's memory") {
			t.Errorf("the error is %v", err)
		}
	}
}

func TestName(t *testing.T) {
	cuda := fmt.Sprintf("driver of CUDA %v,", driver.Inspect().Driver.Version)
	if name := open(t).Name(); !strings.HasPrefix(name, "cuda/") || !strings.Contains(name, cuda) || !strings.Contains(name, "cuBLAS") {
		t.Error(name)
	} else {
		t.Log(name)
	}
	if r := Report(); !strings.Contains(r, "libcuda") || !strings.Contains(r, "GPU 0") {
		t.Error(r)
	}
}
