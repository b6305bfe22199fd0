//go:build gpu && linux && amd64 && cgo

package device

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"nearfar/kernels"
	"nearfar/kernels/cuda"
	"nearfar/kernels/cuda/driver"
	"nearfar/kernels/cuda/emu/control"
)

// open opens the device, on a GPU or on the emulated driver that NEARFAR_CUDA_DRIVER names.
func open(t *testing.T) *Device {
	t.Helper()
	control.NeedGPU(t)
	d, err := Open(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// The toy is a step with a kernel, a product, a clear and a copy in it: rows of X chosen by ids, their dot products with Y, their product with
// M, and a sum that goes on from step to step.
const (
	toyRows, toyChosen, toyWidth = 9, 5, 8
)

type toy struct {
	x, y, m, id, chosen, dots, product, sum cuda.Ptr
	code                                    []Instruction
}

func newToy(d *Device) (k *toy, err error) {
	k = &toy{}
	for at, n := range map[*cuda.Ptr]int{&k.x: toyRows * toyWidth, &k.y: toyChosen * toyWidth, &k.m: toyWidth * toyWidth, &k.id: toyChosen,
		&k.chosen: toyChosen * toyWidth, &k.dots: toyChosen, &k.product: toyChosen * toyWidth, &k.sum: toyRows * toyWidth} {
		if *at, err = d.Alloc(int64(4*n), "the toy"); err != nil {
			return nil, err
		}
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(math.Sin(float64(i + n)))
		}
		if err := d.Write(*at, control.Words(v...)); err != nil {
			return nil, err
		}
	}
	desc := func(dims ...int) kernels.Desc { return kernels.Of(kernels.Float32, dims...) }
	ids := cuda.Tensor{Desc: kernels.Of(kernels.Int32, toyChosen), At: k.id}
	chosen := cuda.Tensor{Desc: desc(toyChosen, toyWidth), At: k.chosen}
	bind := func(name string, kernel kernels.Kernel, out cuda.Tensor, in ...cuda.Tensor) {
		w, failed := cuda.Set{}.Bind(kernel, []cuda.Tensor{out}, in, cuda.Memory{})
		err = errors.Join(err, failed)
		k.code = append(k.code, Instruction{Name: name, Work: w})
	}
	bind("gather", kernels.Gather{}, chosen, cuda.Tensor{Desc: desc(toyRows, toyWidth), At: k.x}, ids)
	bind("dot", kernels.RowDot{}, cuda.Tensor{Desc: desc(toyChosen), At: k.dots}, chosen, cuda.Tensor{Desc: desc(toyChosen, toyWidth), At: k.y})
	k.code = append(k.code, Instruction{Name: "product", Work: cuda.Work{Steps: []cuda.Step{
		&cuda.Clear{At: k.product, Bytes: 4 * toyChosen * toyWidth},
		&cuda.Product{M: toyChosen, N: toyWidth, K: toyWidth, Batches: 1, Alpha: 1, Beta: 1,
			A: cuda.Matrix{At: k.chosen, Stride: toyWidth}, B: cuda.Matrix{At: k.m, Stride: toyWidth}, C: cuda.Matrix{At: k.product, Stride: toyWidth}}}}})
	sum := cuda.Tensor{Desc: desc(toyRows, toyWidth), At: k.sum}
	bind("sum", kernels.ScatterAdd{Rows: toyRows, Onto: true}, sum, sum, cuda.Tensor{Desc: desc(toyChosen, toyWidth), At: k.product}, ids)
	k.code = append(k.code, Instruction{Name: "copy", Work: cuda.Work{Steps: []cuda.Step{&cuda.Copy{To: k.x, From: k.sum, Bytes: 4 * toyRows * toyWidth}}}})
	return k, err
}

// steps runs the toy and returns everything that it reported and left.
func (k *toy) steps(d *Device, p *Program, n int) ([]byte, error) {
	in, err := d.AllocHost(4*toyChosen, "the ids")
	if err != nil {
		return nil, err
	}
	out, err := d.AllocHost(4*toyChosen, "the dots")
	if err != nil {
		return nil, err
	}
	var all []byte
	for t := range n {
		copy(in, control.Words[int32](int32(t%toyRows), 3, -1, 8, int32(t*t%toyRows)))
		if err := p.Step([]Transfer{{k.id, in}}, []Transfer{{k.dots, out}}); err != nil {
			return nil, err
		}
		all = append(all, out...)
	}
	left := make([]byte, 4*toyRows*toyWidth)
	if err := d.Read(left, k.sum); err != nil {
		return nil, err
	}
	return append(all, left...), errors.Join(d.FreeHost(in), d.FreeHost(out))
}

func runToy(t *testing.T, o Options) []byte {
	t.Helper()
	d := open(t)
	k, err := newToy(d)
	if err != nil {
		t.Fatal(err)
	}
	p, err := d.Load(k.code, o)
	if err != nil {
		t.Fatal(err)
	}
	b, err := k.steps(d, p, 4)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(p.Close(), d.Close()); err != nil { // the emulated driver has one context at a time
		t.Error(err)
	}
	return b
}

// A replayed graph is the direct run, bit for bit, and the direct run is right.
func TestGraphIsDirectRun(t *testing.T) {
	direct, graph := runToy(t, Options{Direct: true}), runToy(t, Options{})
	if !bytes.Equal(direct, graph) {
		t.Errorf("the graph leaves\n% x\nthe direct run\n% x", graph, direct)
	}
	if e, err := control.Open(); err == nil && e.Errors() > 0 {
		t.Error(e.LastError())
	}
}

// A step is its copies, one launch of the graph, and one wait; it allocates nothing, on the device or in Go.
func TestStepIsFourCalls(t *testing.T) {
	d := open(t)
	k, err := newToy(d)
	if err != nil {
		t.Fatal(err)
	}
	p, err := d.Load(k.code, Options{})
	if err != nil {
		t.Fatal(err)
	}
	host, err := d.AllocHost(4*toyChosen, "the ids")
	if err != nil {
		t.Fatal(err)
	}
	in, out := []Transfer{{k.id, host}}, []Transfer{{k.dots, make([]byte, 4*toyChosen)}}
	step := func() {
		if err := p.Step(in, out); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(20, step); n > 0 {
		t.Errorf("a step makes %v allocations in Go", n)
	}
	e := control.Need(t)
	before, held := e.Calls(), e.Live()
	step()
	if n := e.Calls() - before; n != 4 {
		t.Errorf("a step is %d calls, want 4: copy, graph, copy, wait", n)
	}
	if after := e.Live(); after["memory"] != held["memory"] || after["host"] != held["host"] {
		t.Errorf("a step changes what is allocated: %v and then %v", held, after)
	}
}

// The garbage collector may run at any time in a launch, while C's memory is full of what were Go's pointers once.
func TestLaunchesBesideTheGarbageCollector(t *testing.T) {
	d := open(t)
	k, err := newToy(d)
	if err != nil {
		t.Fatal(err)
	}
	p := must(t)(d.Load(k.code, Options{Direct: true}))
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				runtime.GC()
			}
		}
	}()
	for t := range 300 {
		ids, dots := control.Words[int32](int32(t%toyRows), 3, -1, 8, 2), make([]byte, 4*toyChosen)
		if err = p.Step([]Transfer{{k.id, ids}}, []Transfer{{k.dots, dots}}); err != nil {
			break
		}
	}
	close(stop)
	<-stopped
	if err != nil {
		t.Error(err)
	}
}

func TestProfile(t *testing.T) {
	d := open(t)
	k, err := newToy(d)
	if err != nil {
		t.Fatal(err)
	}
	p, err := d.Load(k.code, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Write(k.id, control.Words[int32](0, 1, 2, 3, 4)); err != nil {
		t.Fatal(err)
	}
	times, err := p.Profile()
	if err != nil || len(times) != len(k.code) {
		t.Fatalf("%d times for %d instructions: %v", len(times), len(k.code), err)
	}
	for at, duration := range times {
		if duration <= 0 {
			t.Errorf("%s takes %v", k.code[at].Name, duration)
		}
	}
}

// A launch that does not fit its kernel is refused before anything runs.
func TestLaunchesAreHeldAgainstTheirKernels(t *testing.T) {
	d := open(t)
	k, err := newToy(d)
	if err != nil {
		t.Fatal(err)
	}
	edit := func(change func(l *cuda.Launch)) error {
		l := *k.code[0].Work.Steps[0].(*cuda.Launch)
		l.Args = append([]cuda.Arg{}, l.Args...)
		change(&l)
		p, err := d.Load([]Instruction{{Name: "instruction 7 (the toy)", Work: cuda.Work{Steps: []cuda.Step{&l}}}}, Options{})
		if err == nil {
			t.Error("no error")
			p.Close()
		}
		return err
	}
	for name, c := range map[string]struct {
		change func(l *cuda.Launch)
		want   string
	}{
		"one too few":    {func(l *cuda.Launch) { l.Args = l.Args[1:] }, "the kernel takes 7 parameters of [8 4 8 4 8 8 8] bytes, the launch has 6 of [8 4 4 8 8 8]: make images after a change of a .cu"},
		"one too many":   {func(l *cuda.Launch) { l.Args = append(l.Args, l.Args[0]) }, "the launch has 8"},
		"another size":   {func(l *cuda.Launch) { l.Args[0].Size = 4 }, "the launch has 7 of [8 4 4 4 8 8 8]"},
		"no such kernel": {func(l *cuda.Launch) { l.Kernel = "gather5" }, "gather5<<<[1 1 1], 256, 0>>>: cuModuleGetFunction: CUDA_ERROR_NOT_FOUND (500): the driver or the image has nothing of this name: make images after a change of a .cu"},
		"shared memory":  {func(l *cuda.Launch) { l.Shared = 1 << 20 }, "1048576 bytes of shared memory: cuFuncSetAttribute: CUDA_ERROR_INVALID_VALUE"},
		"a large block":  {func(l *cuda.Launch) { l.Block = 2048 }, "gather4<<<[1 1 1], 2048, 0>>>: a block of 2048 threads: the kernel is compiled for "},
		"no block":       {func(l *cuda.Launch) { l.Block = 0 }, "cuLaunchKernel: CUDA_ERROR_INVALID_VALUE"},
	} {
		t.Run(name, func(t *testing.T) {
			err := edit(c.change)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "instruction 7 (the toy)") {
				t.Errorf("the error is %v, want the instruction and %q", err, c.want)
			}
		})
	}
	if b, err := k.steps(d, must(t)(d.Load(k.code, Options{})), 1); err != nil || len(b) == 0 {
		t.Errorf("behind refused programs: %v", err)
	}
}

// Drivers before CUDA 12.4 do not know a kernel's parameters: then they are not held against.
func TestOlderDriver(t *testing.T) {
	e := control.Need(t)
	d := open(t)
	k, err := newToy(d)
	if err != nil {
		t.Fatal(err)
	}
	e.Fail(3, int(driver.NotFound)) // cuModuleLoadData, cuModuleGetFunction, cuFuncGetParamInfo
	p, err := d.Load(k.code, Options{})
	if err != nil || d.functions["gather4"].parameters != nil || d.functions["row_dot"].parameters == nil {
		t.Fatalf("%v, %v", err, d.functions)
	}
	if _, err := k.steps(d, p, 1); err != nil {
		t.Error(err)
	}
}

func must(t *testing.T) func(*Program, error) *Program {
	return func(p *Program, err error) *Program {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
}

func TestOutOfMemory(t *testing.T) {
	d := open(t)
	if _, err := d.Alloc(3<<20, "the user's embeddings"); err != nil {
		t.Fatal(err)
	}
	_, err := d.Alloc(1<<45, "the temporaries")
	var full *OutOfMemory
	if !errors.As(err, &full) || !errors.Is(err, driver.OutOfMemory) || full.Bytes != 1<<45 || full.Total == 0 || len(full.Held) != 2 {
		t.Fatalf("the error is %#v", err)
	}
	t.Log(err)
	for _, want := range []string{"no memory on the GPU for the temporaries: 32.0 TiB wanted, ", " free; this process holds 35.0 MiB: 32.0 MiB for cuBLAS's workspace, 3.0 MiB for the user's embeddings", "cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY (2)"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nlacks %q", err, want)
		}
	}
	if _, err := d.Alloc(1, "something small"); err != nil {
		t.Errorf("behind it: %v", err)
	}
}

// Memory that is given back is not the device's any more.
func TestFreeTwice(t *testing.T) {
	d := open(t)
	p, err := d.Alloc(100, "something")
	if err != nil {
		t.Fatal(err)
	}
	b, err := d.AllocHost(100, "something")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.Free(p), d.FreeHost(b)); err != nil {
		t.Fatal(err)
	}
	if d.Free(p) == nil || d.FreeHost(b) == nil {
		t.Error("memory is freed twice without an error")
	}
}

func TestClosedDevice(t *testing.T) {
	d := open(t)
	p, err := d.Alloc(100, "something")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.Close(), d.Close(), d.Free(p)); err != nil {
		t.Error(err)
	}
	if _, err := d.Alloc(1, "something"); !errors.Is(err, ErrClosed) {
		t.Errorf("the error is %v", err)
	}
}

// A GPU that does not open is passed over; where none opens, each has its reason.
func TestOpenTriesEveryGPU(t *testing.T) {
	busy := &driver.Error{Call: "cuCtxCreate", Code: 46}
	gpus := []driver.Device{{Index: 0, Name: "old", Err: errors.New("too old")}, {Index: 1, Name: "busy"}, {Index: 2, Name: "free"}}
	var tried []int
	open := func(g driver.Device) (*Device, error) {
		tried = append(tried, g.Index)
		if g.Name == "busy" {
			return nil, fmt.Errorf("%s: %w", g.Label(), busy)
		}
		return &Device{About: About{Device: g}}, nil
	}
	if d, err := first(gpus, open); err != nil || d.About.Index != 2 || len(tried) != 2 {
		t.Errorf("%v, tried %v: want GPU 2 behind GPU 1", err, tried)
	}
	_, err := first(gpus[:2], open)
	if !errors.Is(err, driver.Result(46)) || !strings.HasPrefix(err.Error(), "GPU 0 (old): too old; GPU 1 (busy): cuCtxCreate: ") {
		t.Errorf("the error is %v", err)
	}
}

// What keeps the images from running is found when the device is opened.
func TestOpenRunsAKernel(t *testing.T) {
	e := control.Need(t)
	open(t).Close() // cuBLAS is loaded
	before := e.Live()
	for _, code := range []int{209, 218, 221, 222} {
		for _, index := range []int{0, Any} {
			loaded := 0
			for n := 1; loaded == 0; n++ { // until it is the loading that fails
				e.Fail(n, code)
				d, err := Open(index)
				e.Fail(0, 0)
				if err == nil {
					d.Close()
					t.Fatalf("no call of Open is a module's loading")
				}
				if strings.Contains(err.Error(), "cuModuleLoadData: ") {
					loaded = n
					if !errors.Is(err, driver.Result(code)) || !strings.Contains(err.Error(), "GPU 0 (") || !strings.Contains(err.Error(), "the first kernel: ") {
						t.Errorf("the error is %v", err)
					}
				}
			}
		}
	}
	if after := e.Live(); !maps.Equal(after, before) {
		t.Errorf("left: %v, before %v", after, before)
	}
}

func TestOpenChooses(t *testing.T) {
	open(t).Close()
	if _, err := Open(77); err == nil || !strings.Contains(err.Error(), "there is no GPU 77: the driver shows GPU 0 (") {
		t.Errorf("the error is %v", err)
	}
	d, err := Open(Any)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil || d.About.Index != 0 {
		t.Errorf("%+v: %v", d.About, err)
	}
}

// within fails a test that hangs.
func within(t *testing.T, limit time.Duration, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(limit):
		t.Fatalf("nothing came back within %v", limit)
	}
}
