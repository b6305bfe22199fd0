//go:build gpu && linux && amd64 && cgo

package device

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"unsafe"

	"gorgonia.org/cu"

	"nearfar/kernels/cuda"
	"nearfar/kernels/cuda/driver"
)

// step is a cuda.Step that is ready to be put into the stream.
type step struct {
	cuda.Step
	instruction int
	launch      *launch // of a *cuda.Launch
}

// function is a kernel that was looked up.
type function struct {
	cu.Function
	parameters []int // their bytes; nil where the driver cannot tell
	threads    int   // of a block, at most
	shared     int   // dynamic shared memory that it may use
}

// launch is a launch with its function and all of its parameters.
type launch struct {
	*cuda.Launch
	function   *function
	parameters []uint64
}

// bind makes a step ready. mark is what a kernel says when it begins.
func (d *Device) bind(s cuda.Step, mark uint32) (step, error) {
	l, ok := s.(*cuda.Launch)
	if !ok {
		return step{Step: s}, nil
	}
	f, err := d.function(l.Kernel)
	if err != nil {
		return step{}, err
	}
	given := []int{8, 4} // KERNEL's own
	for _, a := range l.Args {
		given = append(given, a.Size)
	}
	if f.parameters != nil && !slices.Equal(given, f.parameters) {
		return step{}, fmt.Errorf("the kernel takes %d parameters of %v bytes, the launch has %d of %v: make images after a change of a .cu",
			len(f.parameters), f.parameters, len(given), given)
	}
	if l.Block > f.threads {
		return step{}, fmt.Errorf("a block of %d threads: the kernel is compiled for %d at most", l.Block, f.threads)
	}
	if l.Shared > max(f.shared, 48<<10) {
		if err := driver.AllowDynamicShared(f.Function, l.Shared); err != nil {
			return step{}, fmt.Errorf("%d bytes of shared memory: %w", l.Shared, err)
		}
		f.shared = l.Shared
	}
	b := &launch{Launch: l, function: f, parameters: []uint64{uint64(uintptr(unsafe.Pointer(&d.progress[0]))), uint64(mark)}}
	for _, a := range l.Args {
		b.parameters = append(b.parameters, a.Bits)
	}
	return step{Step: s, launch: b}, nil
}

// function looks a kernel up, once.
func (d *Device) function(name string) (*function, error) {
	if f := d.functions[name]; f != nil {
		return f, nil
	}
	module, err := d.moduleOf(name)
	if err != nil {
		return nil, err
	}
	found, err := module.Function(name)
	if err = driver.Call("cuModuleGetFunction", err); errors.Is(err, driver.NotFound) {
		err = fmt.Errorf("%w: make images after a change of a .cu", err)
	}
	if err != nil {
		return nil, err
	}
	sizes, err := driver.Parameters(found)
	if err != nil && !errors.Is(err, driver.NotFound) { // the driver is older than the question
		return nil, err
	}
	// Under lazy loading (CUDA_MODULE_LOADING, the default from CUDA 12.2 on) code is loaded when it is first asked for, and not during a capture, where
	// that may fail. The call above asks for it; a question about the code makes sure.
	most, err := found.Attribute(cu.FnMaxThreadsPerBlock)
	if err != nil {
		return nil, driver.Call("cuFuncGetAttribute", err)
	}
	f := &function{Function: found, parameters: sizes, threads: most}
	d.functions[name] = f
	return f, nil
}

// enqueue puts a step into the stream.
func (d *Device) enqueue(s *step) error {
	switch t := s.Step.(type) {
	case *cuda.Launch:
		l := s.launch
		return driver.Launch(l.function.Function, l.Grid, l.Block, l.Shared, d.stream, l.parameters)
	case *cuda.Product:
		return d.multiply(t)
	case *cuda.Copy:
		return driver.Call("cuMemcpyDtoDAsync", cu.MemcpyDtoDAsync(cu.DevicePtr(t.To), cu.DevicePtr(t.From), t.Bytes, d.stream))
	case *cuda.Clear:
		return driver.Call("cuMemsetD32Async", cu.MemsetD32Async(cu.DevicePtr(t.At), 0, t.Bytes/4, d.stream))
	}
	return fmt.Errorf("a %T is no step", s.Step)
}

func (d *Device) multiply(p *cuda.Product) error {
	matrix := func(m cuda.Matrix) driver.Matrix {
		return driver.Matrix{Data: cu.DevicePtr(m.At), Stride: m.Stride, Transposed: m.Transposed, Batch: m.Batch}
	}
	return d.blas.Gemm(driver.Product{M: p.M, N: p.N, K: p.K, Alpha: p.Alpha, Beta: p.Beta, A: matrix(p.A), B: matrix(p.B), C: matrix(p.C),
		Batches: p.Batches})
}

// mark is the mark of the kernel that began last; the GPU writes it into the host's memory. setMark is for when nothing is under way.
func (d *Device) mark() uint32     { return atomic.LoadUint32((*uint32)(unsafe.Pointer(&d.progress[0]))) }
func (d *Device) setMark(m uint32) { atomic.StoreUint32((*uint32)(unsafe.Pointer(&d.progress[0])), m) }

// Run carries out work once and waits for it. Its table must be where it was bound to.
func (d *Device) Run(w cuda.Work) error {
	p, err := d.Load([]Instruction{{Name: "work", Work: cuda.Work{Steps: w.Steps}}}, Options{Direct: true})
	if err != nil {
		return err
	}
	return errors.Join(p.Run(0, 1), p.Close())
}
