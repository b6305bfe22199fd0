//go:build gpu && linux && amd64 && cgo

package cuda_test

import (
	"slices"
	"testing"
	"unsafe"

	"nearfar/kernels"
	"nearfar/kernels/cuda"
	"nearfar/kernels/cuda/device"
	"nearfar/kernels/cuda/emu/control"
	"nearfar/kernels/kerneltest"
)

// onDevice gives the suite, whose operands lie in the host's memory, the set on a device: each run copies operands there and back.
type onDevice struct {
	tb       testing.TB
	device   *device.Device
	lent     []cuda.Ptr        // to the last work that was bound: the suite is done with a work when it binds another
	emulator *control.Emulator // nil on a GPU
	schedule uint64            // the first of those that it is given
}

// newOnDevice opens a GPU, or the emulated one, for the length of a test, and skips the test where there is neither.
func newOnDevice(t *testing.T) *onDevice {
	t.Helper()
	control.NeedGPU(t)
	d, err := device.Open(device.Any)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return &onDevice{tb: t, device: d}
}

func (s *onDevice) Name() string { return cuda.Set{}.Name() }

func (s *onDevice) alloc(bytes int64) (cuda.Ptr, error) {
	p, err := s.device.Alloc(bytes, "an operand")
	if err == nil {
		s.lent = append(s.lent, p)
	}
	return p, err
}

func (s *onDevice) release() error {
	for _, p := range s.lent {
		if err := s.device.Free(p); err != nil {
			return err
		}
	}
	s.lent = s.lent[:0]
	return nil
}

// Offers fails the test where the set declines float32: the processor takes every case of the suite, and a model may need it. But for half precision,
// which is the processor's.
func (s *onDevice) Offers(k kernels.Kernel, out, in []kernels.Desc) bool {
	offers := cuda.Set{}.Offers(k, out, in)
	double := func(d kernels.Desc) bool { return d.Type == kernels.Float64 }
	if s, sparse := k.(kernels.SpMM); sparse && s.Half {
		return offers
	}
	if !offers && !slices.ContainsFunc(out, double) && !slices.ContainsFunc(in, double) {
		s.tb.Errorf("there is no %s for %v", k.Name(), in)
	}
	return offers
}

// Bind gives every operand an allocation of its own, of its very size, so that a kernel that leaves one is found out.
func (s *onDevice) Bind(k kernels.Kernel, out, in []kerneltest.Tensor, threads int) (func() error, error) {
	if err := s.release(); err != nil {
		return nil, err
	}
	if s.emulator != nil {
		s.emulator.Seed(16*s.schedule + uint64(threads))
	}
	at := map[unsafe.Pointer]cuda.Ptr{}
	place := func(ts []kerneltest.Tensor) ([]cuda.Tensor, error) {
		placed := make([]cuda.Tensor, len(ts))
		for i, t := range ts {
			b := bytesOf(t)
			placed[i].Desc = t.Desc
			if len(b) == 0 {
				continue
			}
			p, ok := at[unsafe.Pointer(&b[0])]
			if !ok {
				var err error
				if p, err = s.alloc(int64(len(b))); err != nil {
					return nil, err
				}
				at[unsafe.Pointer(&b[0])] = p
			}
			placed[i].At = p
		}
		return placed, nil
	}
	deviceIn, err := place(in)
	if err != nil {
		return nil, err
	}
	deviceOut, err := place(out)
	if err != nil {
		return nil, err
	}
	sizes := cuda.Set{}.Sizes(k, descsOf(out), descsOf(in))
	var memory cuda.Memory
	if memory.Scratch, err = s.alloc(sizes.Scratch); err != nil {
		return nil, err
	}
	if memory.Table, err = s.alloc(sizes.Table); err != nil {
		return nil, err
	}
	work, err := cuda.Set{}.Bind(k, deviceOut, deviceIn, memory)
	if err != nil {
		return nil, err
	}
	if err := s.device.Write(memory.Table, work.Table); err != nil {
		return nil, err
	}
	return func() error { return s.run(work, slices.Concat(in, out), slices.Concat(deviceIn, deviceOut)) }, nil
}

// run carries out work between copies of its operands there and back: of outputs too, which hold the suite's poison, and of inputs, which it must
// not change.
func (s *onDevice) run(work cuda.Work, host []kerneltest.Tensor, placed []cuda.Tensor) error {
	for i, t := range host {
		if err := s.device.Write(placed[i].At, bytesOf(t)); err != nil {
			return err
		}
	}
	if err := s.device.Run(work); err != nil {
		return err
	}
	for i, t := range host {
		if err := s.device.Read(bytesOf(t), placed[i].At); err != nil {
			return err
		}
	}
	return nil
}

func descsOf(ts []kerneltest.Tensor) []kernels.Desc {
	ds := make([]kernels.Desc, len(ts))
	for i, t := range ts {
		ds[i] = t.Desc
	}
	return ds
}

// bytesOf is a tensor's memory.
func bytesOf(t kerneltest.Tensor) []byte {
	if t.Desc.Elems() == 0 {
		return nil
	}
	p := unsafe.Pointer(unsafe.SliceData(t.I32))
	switch {
	case t.F32 != nil:
		p = unsafe.Pointer(unsafe.SliceData(t.F32))
	case t.B16 != nil:
		p = unsafe.Pointer(unsafe.SliceData(t.B16))
	}
	return unsafe.Slice((*byte)(p), t.Desc.Bytes())
}
