//go:build gpu && linux && amd64 && cgo

// Package device carries out the work that package cuda lowers, on one GPU, through gorgonia.org/cu.
//
// A CUDA context is current in a thread, so a Device has one goroutine that is locked to its thread and owns everything: context, stream, modules,
// memory. Do hands it a function; whatever belongs together goes in one, since each hop costs some microseconds.
package device

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"gorgonia.org/cu"

	"nearfar/kernels/cuda"
	"nearfar/kernels/cuda/driver"
	"nearfar/kernels/cuda/images"
)

// Device is a GPU with its context and stream.
type Device struct {
	jobs chan func()
	done chan struct{}

	// What follows is the goroutine's.
	context   cu.CUContext
	stream    cu.Stream
	modules   map[string]cu.Module // by the image's name
	functions map[string]*function
	blas      *driver.BLAS
	workspace cuda.Ptr
	progress  []byte // pinned; what every kernel writes its mark into
}

// function is a kernel that was looked up.
type function struct {
	f      cu.Function
	shared int // dynamic shared memory that it may use
}

// Open makes a context on a GPU.
func Open(index int) (*Device, error) {
	if err := driver.Available(); err != nil {
		return nil, err
	}
	d := &Device{jobs: make(chan func()), done: make(chan struct{}), modules: map[string]cu.Module{}, functions: map[string]*function{}}
	go d.serve()
	if err := d.Do(func() error { return d.open(index) }); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *Device) serve() {
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine, and its context with it
	defer close(d.done)
	for job := range d.jobs {
		job()
	}
}

// Do runs f on the device's goroutine and returns its error.
func (d *Device) Do(f func() error) (err error) {
	ended := make(chan struct{})
	d.jobs <- func() {
		defer close(ended)
		err = f()
	}
	<-ended
	return err
}

const workspaceBytes = 32 << 20 // of cuBLAS, as NVIDIA recommends it

func (d *Device) open(index int) error {
	dev, err := cu.GetDevice(index)
	if err != nil {
		return fmt.Errorf("cuDeviceGet %d: %w", index, err)
	}
	if d.context, err = dev.MakeContext(cu.SchedAuto); err != nil {
		return fmt.Errorf("cuCtxCreate: %w", err)
	}
	if d.stream, err = cu.MakeStream(cu.NonBlocking); err != nil {
		return fmt.Errorf("cuStreamCreate: %w", err)
	}
	if d.progress, err = driver.AllocHost(64, driver.Portable); err != nil {
		return err
	}
	if d.blas, err = driver.NewBLAS(); err != nil {
		return err
	}
	if err := d.blas.SetStream(d.stream); err != nil {
		return err
	}
	p, err := cu.MemAlloc(workspaceBytes)
	if err != nil {
		return fmt.Errorf("cuMemAlloc of %d bytes: %w", workspaceBytes, err)
	}
	d.workspace = cuda.Ptr(p)
	if err := d.blas.SetWorkspace(p, workspaceBytes); err != nil {
		return err
	}
	return d.blas.SetMathMode(driver.PedanticMath)
}

// Close frees everything and ends the goroutine.
func (d *Device) Close() error {
	err := d.Do(func() error {
		var none cu.CUContext
		if d.context == none {
			return nil
		}
		return errors.Join(d.blas.Close(), driver.FreeHost(d.progress), d.context.Destroy())
	})
	close(d.jobs)
	<-d.done
	return err
}

// Alloc gives memory of unspecified content.
func (d *Device) Alloc(bytes int64) (p cuda.Ptr, err error) {
	err = d.Do(func() error {
		at, err := cu.MemAlloc(max(bytes, 1))
		if err != nil {
			return fmt.Errorf("cuMemAlloc of %d bytes: %w", bytes, err)
		}
		p = cuda.Ptr(at)
		return nil
	})
	return p, err
}

// Free gives memory back.
func (d *Device) Free(p cuda.Ptr) error {
	return d.Do(func() error { return cu.MemFree(cu.DevicePtr(p)) })
}

// Write copies bytes to the device.
func (d *Device) Write(p cuda.Ptr, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	return d.Do(func() error { return cu.MemcpyHtoD(cu.DevicePtr(p), unsafe.Pointer(&b[0]), int64(len(b))) })
}

// Read copies bytes from the device.
func (d *Device) Read(b []byte, p cuda.Ptr) error {
	if len(b) == 0 {
		return nil
	}
	return d.Do(func() error { return cu.MemcpyDtoH(unsafe.Pointer(&b[0]), cu.DevicePtr(p), int64(len(b))) })
}

// Run carries out work and waits for it.
func (d *Device) Run(w cuda.Work) error {
	return d.Do(func() error {
		for i, s := range w.Steps {
			if err := d.enqueue(s, uint32(i)); err != nil {
				return fmt.Errorf("%v: %w", s, err)
			}
		}
		return d.stream.Synchronize()
	})
}

// enqueue puts a step into the stream.
func (d *Device) enqueue(s cuda.Step, mark uint32) error {
	switch s := s.(type) {
	case *cuda.Launch:
		return d.launch(s, mark)
	case *cuda.Product:
		return d.multiply(s)
	case *cuda.Copy:
		return cu.MemcpyDtoDAsync(cu.DevicePtr(s.To), cu.DevicePtr(s.From), s.Bytes, d.stream)
	case *cuda.Clear:
		return cu.MemsetD32Async(cu.DevicePtr(s.At), 0, s.Bytes/4, d.stream)
	}
	return fmt.Errorf("a %T is no step", s)
}

// moduleOf loads the image that a kernel is in, with its first kernel.
func (d *Device) moduleOf(kernel string) (cu.Module, error) {
	name := images.Of(kernel)
	module, ok := d.modules[name]
	if ok {
		return module, nil
	}
	module, err := cu.LoadData(images.Load(name))
	if err != nil {
		return module, fmt.Errorf("cuModuleLoadData of %s.fatbin: %w", name, err)
	}
	d.modules[name] = module
	return module, nil
}

func (d *Device) launch(l *cuda.Launch, mark uint32) error {
	f := d.functions[l.Kernel]
	if f == nil {
		module, err := d.moduleOf(l.Kernel)
		if err != nil {
			return err
		}
		found, err := module.Function(l.Kernel)
		if err != nil {
			return fmt.Errorf("cuModuleGetFunction: %w", err)
		}
		f = &function{f: found}
		d.functions[l.Kernel] = f
	}
	if l.Shared > max(f.shared, 48<<10) {
		if err := driver.AllowDynamicShared(f.f, l.Shared); err != nil {
			return err
		}
		f.shared = l.Shared
	}
	// cu reads 8 bytes behind each pointer, so every parameter is boxed in 8.
	values := make([]uint64, len(l.Args)+2)
	values[0], values[1] = uint64(uintptr(unsafe.Pointer(&d.progress[0]))), uint64(mark)
	for i, a := range l.Args {
		values[i+2] = a.Bits
	}
	pointers := make([]unsafe.Pointer, len(values))
	for i := range values {
		pointers[i] = unsafe.Pointer(&values[i])
	}
	return f.f.Launch(l.Grid[0], l.Grid[1], l.Grid[2], l.Block, 1, 1, l.Shared, d.stream, pointers)
}

func (d *Device) multiply(p *cuda.Product) error {
	matrix := func(m cuda.Matrix) driver.Matrix {
		return driver.Matrix{Data: cu.DevicePtr(m.At), Stride: m.Stride, Transposed: m.Transposed, Type: driver.Float32, Batch: m.Batch}
	}
	return d.blas.Gemm(driver.Product{M: p.M, N: p.N, K: p.K, Alpha: p.Alpha, Beta: p.Beta, A: matrix(p.A), B: matrix(p.B), C: matrix(p.C),
		Compute: driver.Compute32FPedantic, Batches: p.Batches})
}
