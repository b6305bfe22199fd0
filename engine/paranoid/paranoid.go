// Package paranoid is a device that distrusts plans. It computes with the float64 references of package kernels, slowly, and looks for what
// a fast device would get wrong silently: a buffer that is read outside its life, two buffers in one place, an instruction that overwrites
// what it still reads, an order that is not forced by the dependencies, a use of freed memory. It is for tests.
package paranoid

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"nearfar/engine"
	"nearfar/kernels"
)

// Device runs plans by the references.
type Device struct {
	seed   uint64
	refuse []string

	mu   sync.Mutex
	live map[*memory]bool
}

// Option changes a device.
type Option func(*Device)

// Refuse makes the device decline kernels by name, so that plans write their operators in smaller ones.
func Refuse(names ...string) Option {
	return func(d *Device) { d.refuse = append(d.refuse, names...) }
}

// New makes a device. The seed decides in which of the possible orders each run executes its instructions.
func New(seed uint64, options ...Option) *Device {
	d := &Device{seed: seed, live: map[*memory]bool{}}
	for _, o := range options {
		o(d)
	}
	return d
}

// Name is "paranoid".
func (d *Device) Name() string { return "paranoid" }

// Offers is true for every kernel that is not refused.
func (d *Device) Offers(k kernels.Kernel, out, in []kernels.Desc) bool {
	return !slices.Contains(d.refuse, k.Name())
}

// Alloc gives zeroed memory.
func (d *Device) Alloc(bytes int64, what string) (engine.Mem, error) {
	if bytes < 0 {
		return nil, fmt.Errorf("%s: %d bytes of memory", what, bytes)
	}
	m := &memory{device: d, what: what, bytes: words(bytes)}
	d.mu.Lock()
	d.live[m] = true
	d.mu.Unlock()
	return m, nil
}

// words is zeroed memory that starts where a float64 may.
func words(n int64) []byte {
	w := make([]float64, (n+7)/8)
	return asBytes(w)[:n:n]
}

// Close is an error that names the memory that nobody freed.
func (d *Device) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var left []string
	for m := range d.live {
		left = append(left, m.what)
	}
	if len(left) == 0 {
		return nil
	}
	slices.Sort(left)
	return fmt.Errorf("memory that was not freed: %s", strings.Join(left, ", "))
}

// memory is one allocation.
type memory struct {
	device *Device
	what   string
	bytes  []byte
	freed  bool
}

var errFreed = errors.New("the memory was freed")

func (m *memory) part(off int64, n int) ([]byte, error) {
	if m.freed {
		return nil, fmt.Errorf("%s: %w", m.what, errFreed)
	}
	if off < 0 || off+int64(n) > int64(len(m.bytes)) {
		return nil, fmt.Errorf("%s: bytes %d to %d of %d", m.what, off, off+int64(n), len(m.bytes))
	}
	return m.bytes[off:][:n], nil
}

func (m *memory) Write(off int64, b []byte) error {
	p, err := m.part(off, len(b))
	copy(p, b)
	return err
}

func (m *memory) Read(b []byte, off int64) error {
	p, err := m.part(off, len(b))
	copy(b, p)
	return err
}

func (m *memory) Free() error {
	if m.freed {
		return fmt.Errorf("%s is freed twice: %w", m.what, errFreed)
	}
	m.bytes, m.freed = nil, true
	m.device.mu.Lock()
	delete(m.device.live, m)
	m.device.mu.Unlock()
	return nil
}
