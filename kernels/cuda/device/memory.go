//go:build gpu && linux && amd64 && cgo

package device

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"gorgonia.org/cu"

	"nearfar/kernels/cuda"
	"nearfar/kernels/cuda/driver"
)

// use is memory that the device holds: what for, and, of pinned host memory, which.
type use struct {
	Use
	host []byte
}

// Alloc gives memory of unspecified content, at a multiple of 256. what names it in errors.
func (d *Device) Alloc(bytes int64, what string) (p cuda.Ptr, err error) {
	err = d.do(func() (err error) {
		p, err = d.alloc(bytes, what)
		return err
	})
	return p, err
}

func (d *Device) alloc(bytes int64, what string) (cuda.Ptr, error) {
	at, err := cu.MemAlloc(max(bytes, 1)) // none of 0
	if err := driver.Call("cuMemAlloc", err); errors.Is(err, driver.OutOfMemory) {
		e := &OutOfMemory{What: what, Bytes: bytes, Held: d.held(), Err: err}
		if free, total, err := cu.MemInfo(); err == nil {
			e.Free, e.Total = free, total
		}
		return 0, e
	} else if err != nil {
		return 0, fmt.Errorf("%s, %d bytes: %w", what, bytes, err)
	}
	p := cuda.Ptr(at)
	d.memory[p] = use{Use: Use{what, max(bytes, 1)}}
	return p, nil
}

// held lists the memory that the device holds, by name, the largest first.
func (d *Device) held() []Use {
	var all []Use
	for _, u := range d.memory {
		all = append(all, u.Use)
	}
	return byName(all)
}

// Free gives memory back.
func (d *Device) Free(p cuda.Ptr) error { return d.undo(func() error { return d.free(p) }) }

func (d *Device) free(p cuda.Ptr) error {
	u, ok := d.memory[p]
	if !ok {
		return fmt.Errorf("a free of %#x, which is no memory of this device", uint64(p))
	}
	delete(d.memory, p)
	if err := driver.Call("cuMemFree", cu.MemFree(cu.DevicePtr(p))); err != nil {
		return fmt.Errorf("%s: %w", u.What, err)
	}
	return nil
}

// AllocHost gives pinned host memory, of zeros. It is no memory of Go's: behind FreeHost nobody may look at it.
func (d *Device) AllocHost(bytes int64, what string) (b []byte, err error) {
	err = d.do(func() (err error) {
		if b, err = driver.AllocHost(int(max(bytes, 1))); err != nil {
			return fmt.Errorf("%s, %d bytes of pinned host memory: %w", what, bytes, err)
		}
		clear(b)
		d.pinned[&b[0]] = use{Use{what, bytes}, b}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return b[:bytes:len(b)], nil
}

// FreeHost gives back what AllocHost gave.
func (d *Device) FreeHost(b []byte) error {
	return d.undo(func() error {
		first := unsafe.SliceData(b)
		u, ok := d.pinned[first]
		if !ok {
			return errors.New("a free of host memory that is not this device's")
		}
		delete(d.pinned, first)
		if err := driver.FreeHost(u.host); err != nil {
			return fmt.Errorf("%s: %w", u.What, err)
		}
		return nil
	})
}

// Write copies bytes to the device. Not by cuMemcpyHtoD: that is work of the null stream, which this device's stream does not wait for, and from
// memory that is not pinned it returns before all has arrived.
func (d *Device) Write(p cuda.Ptr, b []byte) error {
	return d.do(func() error { return d.transfer(Transfer{p, b}, d.toDevice) })
}

// Read copies bytes from the device.
func (d *Device) Read(b []byte, p cuda.Ptr) error {
	return d.do(func() error { return d.transfer(Transfer{p, b}, d.toHost) })
}

// Clear sets bytes of the device to 0.
func (d *Device) Clear(p cuda.Ptr, bytes int64) error {
	return d.do(func() error {
		if err := d.clear(p, bytes); err != nil {
			return err
		}
		return d.finish()
	})
}

func (d *Device) clear(p cuda.Ptr, bytes int64) error {
	if bytes == 0 {
		return nil
	}
	return driver.Call("cuMemsetD8Async", cu.MemsetD8Async(cu.DevicePtr(p), 0, bytes, d.stream))
}

// A Transfer is bytes that lie at, or are to go to, an address of the device.
type Transfer struct {
	At   cuda.Ptr
	Host []byte
}

// transfer makes one copy and waits for it, even where it could not be put into the stream: the memory is the caller's again.
func (d *Device) transfer(t Transfer, copy func(Transfer) error) error {
	err := copy(t)
	if failed := d.finish(); err == nil {
		err = failed
	}
	runtime.KeepAlive(t.Host) // the copy knows only its address
	return err
}

// toDevice and toHost put a copy into the stream.
func (d *Device) toDevice(t Transfer) error {
	if len(t.Host) == 0 {
		return nil
	}
	return driver.Call("cuMemcpyHtoDAsync",
		cu.MemcpyHtoDAsync(cu.DevicePtr(t.At), unsafe.Pointer(unsafe.SliceData(t.Host)), int64(len(t.Host)), d.stream))
}

func (d *Device) toHost(t Transfer) error {
	if len(t.Host) == 0 {
		return nil
	}
	return driver.Call("cuMemcpyDtoHAsync",
		cu.MemcpyDtoHAsync(unsafe.Pointer(unsafe.SliceData(t.Host)), cu.DevicePtr(t.At), int64(len(t.Host)), d.stream))
}
