//go:build gpu && linux && amd64 && cgo

package cuda

import (
	"errors"
	"fmt"
	"math"

	"nearfar/engine"
	"nearfar/kernels"
	kernelset "nearfar/kernels/cuda"
	"nearfar/kernels/cuda/device"
	"nearfar/kernels/cuda/driver"
)

// Device runs plans on a GPU, in float32.
type Device struct {
	gpu *device.Device
	set kernelset.Set

	direct bool // no graphs: for tests
}

var (
	_ engine.Device = (*Device)(nil)
	_ engine.Stager = (*Device)(nil)
)

// Expected tells whether somebody may think that a GPU is used, though nobody has asked for one: this build was made for that.
func Expected() bool { return true }

// Any asks Open for the first GPU that opens.
const Any = device.Any

// Open opens a GPU, as the driver numbers them, or Any.
func Open(index int) (engine.Device, error) {
	gpu, err := device.Open(index)
	if full(err) {
		return nil, fmt.Errorf("%w: end what else uses this GPU, or name another one", err)
	}
	if err != nil {
		return nil, err
	}
	return &Device{gpu: gpu}, nil
}

// Report says in lines what there is of NVIDIA's driver, libraries and GPUs, and why none is used where none is.
func Report() string { return driver.Inspect().String() }

// Name is the compute capability, and what decides the last bits beside it: cuBLAS chooses by the GPU and its own version, and the driver compiles
// the kernels for a GPU that the images have no machine code for.
func (d *Device) Name() string {
	a := d.gpu.About
	return fmt.Sprintf("cuda/%v (%s, driver of CUDA %v, cuBLAS %v)", a.Capability, a.Name, a.CUDA, a.BLAS)
}

// Offers tells whether the kernel set has k. There is no way to run a kernel elsewhere: a plan is on the GPU as a whole, or is not built.
func (d *Device) Offers(k kernels.Kernel, out, in []kernels.Desc) bool {
	return d.set.Offers(k, out, in)
}

// Alloc gives zeroed memory, at a multiple of 256.
func (d *Device) Alloc(bytes int64, what string) (engine.Mem, error) {
	if bytes < 0 || bytes > math.MaxInt {
		return nil, fmt.Errorf("%s: %d bytes of memory", what, bytes)
	}
	at, err := d.gpu.Alloc(bytes, what)
	if err != nil {
		return nil, lost(advised(err, "this GPU"))
	}
	if err := d.gpu.Clear(at, bytes); err != nil {
		return nil, lost(errors.Join(fmt.Errorf("%s: %w", what, err), d.gpu.Free(at)))
	}
	return &memory{gpu: d.gpu, at: at, bytes: bytes}, nil
}

// Staging gives pinned memory.
func (d *Device) Staging(bytes int64, what string) ([]byte, func() error, error) {
	b, err := d.gpu.AllocHost(bytes, what)
	if err != nil {
		return nil, nil, lost(advised(err, "this machine's memory"))
	}
	return b, func() error { return lost(d.gpu.FreeHost(b)) }, nil
}

// Close frees whatever of the GPU is left.
func (d *Device) Close() error { return lost(d.gpu.Close()) }

// full tells the errors of a driver or a cuBLAS that found no memory.
func full(err error) bool {
	return errors.Is(err, driver.OutOfMemory) || errors.Is(err, driver.AllocFailed)
}

// advised says what to do where there is too little memory, and makes the error the engine's as well: what would need less, others know.
func advised(err error, of string) error {
	if !full(err) {
		return err
	}
	return &engineError{fmt.Errorf("%w: end what else uses %s", err, of), engine.ErrOutOfMemory}
}

// lost makes the error of a lost device the engine's as well.
func lost(err error) error {
	if !errors.Is(err, device.ErrLost) {
		return err
	}
	return &engineError{err, engine.ErrDeviceLost}
}

// engineError is an error that the engine has a name for. Its text stays.
type engineError struct {
	error
	name error
}

func (e *engineError) Unwrap() error        { return e.error }
func (e *engineError) Is(target error) bool { return target == e.name }

// memory is an allocation of a GPU.
type memory struct {
	gpu   *device.Device
	at    kernelset.Ptr
	bytes int64
	freed bool
}

func (m *memory) Write(off int64, b []byte) error {
	if err := m.holds("write", off, b); err != nil {
		return err
	}
	return lost(m.gpu.Write(m.at+kernelset.Ptr(off), b))
}

func (m *memory) Read(b []byte, off int64) error {
	if err := m.holds("read", off, b); err != nil {
		return err
	}
	return lost(m.gpu.Read(b, m.at+kernelset.Ptr(off)))
}

func (m *memory) holds(what string, off int64, b []byte) error {
	if m.freed {
		return fmt.Errorf("a %s of memory that is free", what)
	}
	if off < 0 || off+int64(len(b)) > m.bytes {
		return fmt.Errorf("a %s of %d bytes at %d, of %d", what, len(b), off, m.bytes)
	}
	return nil
}

func (m *memory) Free() error {
	if m.freed {
		return errors.New("memory is freed twice")
	}
	m.freed = true
	return lost(m.gpu.Free(m.at))
}
