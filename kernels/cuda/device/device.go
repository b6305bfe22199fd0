//go:build gpu && linux && amd64 && cgo

// Package device carries out the work that package cuda lowers, on one GPU, through gorgonia.org/cu.
//
// A CUDA context is current in a thread, so a Device has one goroutine, locked to its thread, that owns everything: context, stream, module,
// memory, programs. A hop there and back costs microseconds, so that what belongs together is one call: Program.Step is a whole training
// step.
//
// Everything goes into one stream, and every method waits for it before it returns. So there is nothing under way between two calls, and
// whatever the host wrote or read is there.
//
// Errors name the function of the driver that failed, in CUDA's words, and what it was for. Work that fails on the GPU takes the context with
// it: such a device answers every later call with its first error, at once, and wants to be closed.
package device

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"

	"gorgonia.org/cu"

	"nearfar/kernels/cuda"
	"nearfar/kernels/cuda/driver"
)

// Device is a GPU with its context and stream. Any goroutine may use it.
type Device struct {
	About About

	direct bool // no program is captured

	mu      sync.Mutex        // one call at a time
	jobs    chan func() error // nil once the device is closed
	results chan error
	ended   chan struct{}

	// What follows is the goroutine's; failed is read by callers too, between two jobs.
	failed    error // what made the context unusable
	context   cu.CUContext
	stream    cu.Stream
	modules   map[string]cu.Module // by the image's name
	functions map[string]*function
	blas      *driver.BLAS
	progress  []byte // pinned; what every kernel writes its mark into
	memory    map[cuda.Ptr]use
	pinned    map[*byte]use
	programs  map[*Program]bool
}

// About says which GPU a device is, and what decides the last bits beside it.
type About struct {
	driver.Device
	CUDA driver.Version // that the driver implements
	BLAS driver.Version
}

// GraphVariable, set to "off", keeps programs from being captured into CUDA graphs: for a driver that cannot capture what they do.
const GraphVariable = "NEARFAR_CUDA_GRAPH"

// Any asks Open for the first GPU that opens.
const Any = -1

// Open makes a context on a GPU, as the driver numbers them, or on Any, and runs a kernel and a product: a GPU that cannot run them is an error
// here, where another can still be taken.
func Open(index int) (*Device, error) {
	if index != Any {
		gpu, err := find(index)
		if err != nil {
			return nil, err
		}
		return openOn(gpu)
	}
	if err := driver.Available(); err != nil {
		return nil, err
	}
	if err := driver.OpenBLAS(); err != nil { // once, not for every GPU
		return nil, err
	}
	gpus, err := driver.Devices()
	if err != nil {
		return nil, err
	}
	return first(gpus, openOn)
}

// first opens the first of the GPUs that can be opened. A GPU may be in another process's exclusive use, or full, and the next one free.
func first(gpus []driver.Device, open func(driver.Device) (*Device, error)) (*Device, error) {
	var all error
	for _, g := range gpus {
		err := g.Err
		if err == nil {
			d, failed := open(g)
			if failed == nil {
				return d, nil
			}
			err = failed
		} else {
			err = fmt.Errorf("%s: %w", g.Label(), err)
		}
		if all == nil {
			all = err
		} else {
			all = fmt.Errorf("%w; %w", all, err)
		}
	}
	return nil, all
}

func openOn(gpu driver.Device) (*Device, error) {
	graphs := os.Getenv(GraphVariable)
	if graphs != "" && graphs != "off" {
		return nil, fmt.Errorf("%s=%s: want off, or nothing", GraphVariable, graphs)
	}
	d := &Device{
		direct:    graphs == "off",
		About:     About{Device: gpu, CUDA: driver.CUDAVersion()},
		jobs:      make(chan func() error),
		results:   make(chan error),
		ended:     make(chan struct{}),
		modules:   map[string]cu.Module{},
		functions: map[string]*function{},
		memory:    map[cuda.Ptr]use{},
		pinned:    map[*byte]use{},
		programs:  map[*Program]bool{},
	}
	go d.serve(d.jobs)
	if err := d.do(d.open); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", gpu.Label(), err), d.Close())
	}
	return d, nil
}

// find looks for a GPU by its index.
func find(index int) (driver.Device, error) {
	gpus, err := driver.Devices()
	if err != nil {
		return driver.Device{}, err
	}
	var names []string
	for _, g := range gpus {
		switch {
		case g.Index == index && g.Err != nil:
			return g, fmt.Errorf("%s: %w", g.Label(), g.Err)
		case g.Index == index:
			return g, nil
		}
		names = append(names, g.Label())
	}
	if err := driver.Available(); err != nil {
		return driver.Device{}, err
	}
	return driver.Device{}, fmt.Errorf("there is no GPU %d: the driver shows %s", index, strings.Join(names, ", "))
}

func (d *Device) serve(jobs <-chan func() error) {
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	defer close(d.ended)
	for job := range jobs {
		d.results <- d.note(job())
	}
}

// ErrClosed is the answer of a closed device.
var ErrClosed = errors.New("the device is closed")

// do runs f on the device's goroutine and returns its error, unless the device is past use.
func (d *Device) do(f func() error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.jobs == nil {
		return ErrClosed
	}
	if d.failed != nil {
		return d.failed
	}
	d.jobs <- f
	return <-d.results
}

// undo is do for what gives something back. A device that is past use has given it back, or does so when it is closed.
func (d *Device) undo(f func() error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.jobs == nil || d.failed != nil {
		return nil
	}
	d.jobs <- f
	return <-d.results
}

// workspaceBytes is cuBLAS's memory, as NVIDIA recommends it from Hopper on.
const workspaceBytes = 32 << 20

func (d *Device) open() (err error) {
	gpu, err := cu.GetDevice(d.About.Index)
	if err != nil {
		return driver.Call("cuDeviceGet", err)
	}
	if d.context, err = gpu.MakeContext(cu.SchedAuto); err != nil {
		return driver.Call("cuCtxCreate", err)
	}
	if d.stream, err = cu.MakeStream(cu.NonBlocking); err != nil {
		return driver.Call("cuStreamCreate", err)
	}
	if d.progress, err = driver.AllocHost(64); err != nil {
		return fmt.Errorf("the kernels' marks: %w", err)
	}
	if err := d.try(); err != nil {
		return fmt.Errorf("the first kernel: %w", err)
	}
	return d.openBLAS()
}

// try runs a kernel that does nothing but leave its mark. All images are compiled for the same GPUs by the same compiler, so where one of them
// cannot be loaded (the driver is too old, or lacks its compiler), none can.
func (d *Device) try() error {
	const mark = 1
	s, err := d.bind(&cuda.Launch{Kernel: "fill", Grid: [3]int{1, 1, 1}, Block: 256, Args: []cuda.Arg{{Size: 8}, {Size: 4}, {Size: 8}}}, mark) // 0 elements
	if err != nil {
		return err
	}
	d.setMark(0)
	if err := d.enqueue(&s); err != nil {
		return err
	}
	if err := d.finish(); err != nil {
		return err
	}
	if m := d.mark(); m != mark {
		return fmt.Errorf("%v has run, and its mark is %d instead of %d", s.Step, m, mark)
	}
	return nil
}

// openBLAS makes cuBLAS ready to be captured: with a stream, with memory of its own, and with one product done, since it starts at the first.
func (d *Device) openBLAS() (err error) {
	if d.blas, err = driver.NewBLAS(); err != nil {
		return err
	}
	d.About.BLAS = driver.BLASVersion()
	if err := d.blas.SetStream(d.stream); err != nil {
		return err
	}
	workspace, err := d.alloc(workspaceBytes, "cuBLAS's workspace")
	if err != nil {
		return err
	}
	if err := d.blas.SetWorkspace(cu.DevicePtr(workspace), workspaceBytes); err != nil {
		return err
	}
	operands, err := d.alloc(3*4, "the first product")
	if err != nil {
		return err
	}
	if err := d.clear(operands, 3*4); err != nil {
		return err
	}
	one := func(i cuda.Ptr) driver.Matrix { return driver.Matrix{Data: cu.DevicePtr(operands + 4*i), Stride: 1} }
	if err := d.blas.Gemm(driver.Product{M: 1, N: 1, K: 1, Alpha: 1, A: one(0), B: one(1), C: one(2), Batches: 1}); err != nil {
		return fmt.Errorf("the first product: %w (%s)", err, driver.BLASLibrary())
	}
	if err := d.finish(); err != nil {
		return fmt.Errorf("the first product: %w (%s)", err, driver.BLASLibrary())
	}
	return d.free(operands)
}

// finish waits for the stream. An error is one of the work in it.
func (d *Device) finish() error {
	return driver.Call("cuStreamSynchronize", d.stream.Synchronize())
}

// Close frees everything and ends the goroutine. A second time it does nothing.
func (d *Device) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.jobs == nil {
		return nil
	}
	d.jobs <- d.release
	err := <-d.results
	close(d.jobs)
	d.jobs = nil
	<-d.ended
	return err
}

// release frees all that there is, whatever of it fails. After a failure the driver answers everything with that, and it has been told.
func (d *Device) release() error {
	var errs []error
	told := d.failed != nil
	for p := range d.programs {
		errs = append(errs, p.graph.Destroy())
	}
	if d.blas != nil {
		errs = append(errs, d.blas.Close())
	}
	for p := range d.memory {
		errs = append(errs, d.free(p))
	}
	for _, u := range d.pinned {
		errs = append(errs, driver.FreeHost(u.host))
	}
	errs = append(errs, driver.FreeHost(d.progress))
	for _, m := range d.modules {
		errs = append(errs, driver.Call("cuModuleUnload", m.Unload()))
	}
	if d.stream != cu.NoStream {
		errs = append(errs, driver.Call("cuStreamDestroy", d.stream.Destroy()))
	}
	if d.context != (cu.CUContext{}) {
		errs = append(errs, driver.Call("cuCtxDestroy", d.context.Destroy()))
	}
	if told {
		return nil
	}
	return errors.Join(errs...)
}
