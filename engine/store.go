package engine

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"unsafe"

	"nearfar/kernels"
)

// EntryKind says what happens to an entry of the Store over a run's life.
type EntryKind uint8

func (k EntryKind) String() string { return [...]string{"state", "constant", "scratch"}[k] }

const (
	State   EntryKind = iota // survives a step and is in the checkpoint
	Const                    // rebuilt from the data; the checkpoint holds its checksum
	Scratch                  // survives a step, not a resume: what can be computed again
)

// Entry is one tensor that survives a step.
type Entry struct {
	Name string
	Kind EntryKind
	Desc kernels.Desc
	// Param tells a trainable tensor from the other states: optimiser moments, queues, averages.
	Param bool
	mem   Mem
	sum   uint32 // of a Const's bytes
}

// Store is everything of a run that survives a step: parameters, optimiser states, queues, constants. Programs share it.
type Store struct {
	Device Device
	Float  kernels.DType // the precision of every program over this Store
	Half   bool          // but for what SpMM multiplies, which is binary16 (kernels.SpMM) where that is faster
	Seed   uint64
	byName map[string]*Entry
	order  []*Entry
}

// NewStore makes an empty Store on a device.
func NewStore(d Device, float kernels.DType, seed uint64) *Store {
	return &Store{Device: d, Float: float, Seed: seed, byName: map[string]*Entry{}}
}

// Entries lists the entries in the order of their making.
func (s *Store) Entries() []*Entry { return s.order }

// Entry finds an entry; nil where there is none.
func (s *Store) Entry(name string) *Entry { return s.byName[name] }

// ensure finds an entry or makes it with what fill writes; nil leaves the zeros that a device allocates. Descriptions must agree, and so must the bytes of a constant.
func (s *Store) ensure(name string, kind EntryKind, d kernels.Desc, fill func() []byte) (*Entry, error) {
	if e := s.byName[name]; e != nil {
		if e.Desc != d || e.Kind != kind {
			return nil, fmt.Errorf("%q is a %v %v in the store and asked for as a %v %v", name, e.Kind, e.Desc, kind, d)
		}
		if kind == Const && crc32.Checksum(fill(), castagnoli) != e.sum {
			return nil, fmt.Errorf("the constant %q is in the store with other data: give one of the two another name", name)
		}
		return e, nil
	}
	var b []byte
	if fill != nil {
		b = fill() // before there is memory to free: an Init may refuse
	}
	mem, err := s.Device.Alloc(d.Bytes(), name)
	if err != nil {
		return nil, err
	}
	e := &Entry{Name: name, Kind: kind, Desc: d, mem: mem}
	if err := mem.Write(0, b); err != nil { // of nothing, where it is zeros
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), mem.Free())
	}
	if kind == Const {
		e.sum = crc32.Checksum(b, castagnoli)
	}
	s.byName[name] = e
	s.order = append(s.order, e)
	return e, nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ReadBytes copies an entry's memory to the host, little-endian.
func (s *Store) ReadBytes(name string) ([]byte, kernels.Desc, error) {
	e := s.byName[name]
	if e == nil {
		return nil, kernels.Desc{}, fmt.Errorf("the store has no %q", name)
	}
	b := aligned(e.Desc.Bytes())
	return b, e.Desc, e.mem.Read(b, 0)
}

// WriteBytes replaces an entry's memory.
func (s *Store) WriteBytes(name string, b []byte) error {
	e := s.byName[name]
	if e == nil {
		return fmt.Errorf("the store has no %q", name)
	}
	if int64(len(b)) != e.Desc.Bytes() {
		return fmt.Errorf("%s: %d bytes for %v", name, len(b), e.Desc)
	}
	return e.mem.Write(0, b)
}

// Read64 copies a real entry to the host as float64.
func (s *Store) Read64(name string) ([]float64, kernels.Desc, error) {
	b, d, err := s.ReadBytes(name)
	if err != nil {
		return nil, d, err
	}
	return widen(b, d), d, nil
}

// Read32 copies a real entry to the host as float32.
func (s *Store) Read32(name string) ([]float32, kernels.Desc, error) {
	b, d, err := s.ReadBytes(name)
	if err != nil {
		return nil, d, err
	}
	if d.Type == kernels.Float32 {
		return View[float32](b), d, nil
	}
	w := widen(b, d)
	f := make([]float32, len(w))
	for i, v := range w {
		f[i] = float32(v)
	}
	return f, d, nil
}

// Write64 replaces a real entry by values given as float64.
func (s *Store) Write64(name string, v []float64) error {
	e := s.byName[name]
	if e == nil {
		return fmt.Errorf("the store has no %q", name)
	}
	return s.WriteBytes(name, narrow(v, e.Desc.Type))
}

// Saved is one entry as a checkpoint holds it.
type Saved struct {
	Name string
	Desc kernels.Desc
	Data []byte
}

// Snapshot copies every State entry, and gives the checksums of the constants.
func (s *Store) Snapshot() (states []Saved, constants map[string]uint32, err error) {
	constants = map[string]uint32{}
	for _, e := range s.order {
		switch e.Kind {
		case Const:
			constants[e.Name] = e.sum
		case State:
			b, d, err := s.ReadBytes(e.Name)
			if err != nil {
				return nil, nil, err
			}
			states = append(states, Saved{e.Name, d, b})
		}
	}
	return states, constants, nil
}

// Restore puts a snapshot back, after every program over the Store is built. The snapshot's State entries must be the Store's, each with its
// shape, and every constant must be what it was; else nothing is changed. Constants that are nil are not compared: the snapshot is this Store's
// own.
func (s *Store) Restore(states []Saved, constants map[string]uint32) error {
	saved := map[string]Saved{}
	for _, x := range states {
		saved[x.Name] = x
	}
	for _, e := range s.order {
		switch e.Kind {
		case Const:
			if constants == nil {
				continue
			}
			want, ok := constants[e.Name]
			if !ok {
				return fmt.Errorf("the checkpoint has no checksum of the constant %s: is it of another model or configuration?", e.Name)
			}
			if want != e.sum {
				return fmt.Errorf("%s is not what it was when the run was saved: has the data changed, or was it made by another version of this program?", e.Name)
			}
		case State:
			x, ok := saved[e.Name]
			switch {
			case !ok:
				return fmt.Errorf("the checkpoint has no %s %v: is it of another model or configuration?", e.Name, e.Desc)
			case x.Desc != e.Desc:
				return fmt.Errorf("the checkpoint has %s as %v, and the model as %v: is it of another configuration?", e.Name, x.Desc, e.Desc)
			case int64(len(x.Data)) != e.Desc.Bytes():
				return fmt.Errorf("the checkpoint's %s has %d bytes for %v: is it cut off?", e.Name, len(x.Data), e.Desc)
			}
		}
	}
	for _, x := range states {
		if e := s.byName[x.Name]; e == nil || e.Kind != State {
			return fmt.Errorf("the checkpoint has %s %v and the model has not: is it of another model or configuration, or restored before every program was built?", x.Name, x.Desc)
		}
	}
	for _, e := range s.order {
		if e.Kind == State {
			if err := s.WriteBytes(e.Name, saved[e.Name].Data); err != nil {
				return err
			}
		}
	}
	return nil
}

// Equal compares the State entries of two stores bit for bit and names the first that differs, or that only one of them has.
func (s *Store) Equal(o *Store) (difference string, err error) {
	for _, pair := range [][2]*Store{{s, o}, {o, s}} {
		for _, e := range pair[0].order {
			if f := pair[1].byName[e.Name]; e.Kind == State && (f == nil || f.Kind != State || f.Desc != e.Desc) {
				return e.Name, nil
			}
		}
	}
	for _, e := range s.order {
		if e.Kind != State {
			continue
		}
		a, _, err := s.ReadBytes(e.Name)
		if err != nil {
			return "", err
		}
		b, _, err := o.ReadBytes(e.Name)
		if err != nil {
			return "", err
		}
		if !bytes.Equal(a, b) {
			return e.Name, nil
		}
	}
	return "", nil
}

// Close frees the entries' memory.
func (s *Store) Close() error {
	for _, e := range s.order {
		if err := e.mem.Free(); err != nil {
			return err
		}
	}
	s.order, s.byName = nil, map[string]*Entry{}
	return nil
}

// View reads bytes as elements of a type. The bytes must be aligned for it, as all memory that the engine allocates is.
func View[T float32 | float64 | int32 | uint16](b []byte) []T {
	if len(b) == 0 {
		return nil
	}
	var t T
	return unsafe.Slice((*T)(unsafe.Pointer(&b[0])), len(b)/int(unsafe.Sizeof(t)))
}

// bytesOf is the reverse of View.
func bytesOf[T float32 | float64 | int32 | uint16](v []T) []byte {
	if len(v) == 0 {
		return nil
	}
	var t T
	return unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), len(v)*int(unsafe.Sizeof(t)))
}

func widen(b []byte, d kernels.Desc) []float64 {
	switch d.Type {
	case kernels.Float64:
		return View[float64](b)
	case kernels.Int32:
		return convert[int32, float64](View[int32](b))
	case kernels.BFloat16:
		w := make([]float64, d.Elems())
		for i, v := range View[uint16](b) {
			w[i] = float64(kernels.FromBFloat16(v))
		}
		return w
	}
	return convert[float32, float64](View[float32](b))
}

func narrow(v []float64, t kernels.DType) []byte {
	switch t {
	case kernels.Float64:
		return bytesOf(v)
	case kernels.BFloat16:
		w := make([]uint16, len(v))
		for i, x := range v {
			w[i] = kernels.ToBFloat16(float32(x))
		}
		return bytesOf(w)
	}
	return bytesOf(convert[float64, float32](v))
}

func convert[S, D float32 | float64 | int32](s []S) []D {
	d := make([]D, len(s))
	for i, v := range s {
		d[i] = D(v)
	}
	return d
}
