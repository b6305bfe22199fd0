package awkward

import (
	"nearfar/engine"
	"nearfar/engine/op"
	"nearfar/kernels"
	"nearfar/kernels/philox"
	"nearfar/trainer/sample"
)

// fed is a feed of given ports; fill is a function of t.
type fed struct {
	ports []engine.Port
	fill  func(t uint64, out []engine.Slot) error
}

func (f *fed) Ports() []engine.Port                   { return f.ports }
func (f *fed) Fill(t uint64, out []engine.Slot) error { return f.fill(t, out) }

// periodic is a feed that changes every so many steps.
type periodic struct {
	fed
	every uint64
}

func (p *periodic) Key(t uint64) uint64 { return t / p.every }

func intPort(name string, n int) engine.Port {
	return engine.Port{Name: name, Desc: kernels.Of(kernels.Int32, n)}
}

func realPort(name string, dims ...int) engine.Port {
	return engine.Port{Name: name, Desc: kernels.Of(kernels.Float32, dims...)}
}

// index is a batch of n ids below bound, with its inverse, drawn anew every step. A share of ids stands more than once; with padding the last
// id is -1. Asking again gives the same list.
func (m *model) index(name string, n, bound int, padding bool) op.Index {
	if at, ok := m.lists[name]; ok {
		return at
	}
	x, err := sample.NewIndex(name, n, bound, false)
	if err != nil {
		panic(&op.Error{Err: err})
	}
	s := philox.New(3, "ids/"+name)
	f := &fed{ports: x.Ports(), fill: func(t uint64, out []engine.Slot) error {
		for i := range n {
			out[0].I32[i] = int32(philox.Below(s.At(t, uint32(i), 0)[0], bound))
		}
		if padding {
			out[0].I32[n-1] = -1
		}
		return x.Invert(out)
	}}
	m.Feed(f)
	if m.lists == nil {
		m.lists = map[string]op.Index{}
	}
	m.lists[name] = m.Index(f, name)
	return m.lists[name]
}

// reals is a fed tensor.
func (m *model) reals(name string, fill func(t uint64, i int) float64, dims ...int) *op.Node {
	n := kernels.Of(kernels.Float32, dims...).Elems()
	return m.Feed(&fed{ports: []engine.Port{realPort(name, dims...)}, fill: func(t uint64, out []engine.Slot) error {
		for i := range n {
			out[0].Set(i, fill(t, i))
		}
		return nil
	}})[0]
}

// ints is a fed index vector.
func (m *model) ints(name string, n int, fill func(t uint64, i int) int) *op.Node {
	return m.Feed(&fed{ports: []engine.Port{intPort(name, n)}, fill: func(t uint64, out []engine.Slot) error {
		for i := range n {
			out[0].I32[i] = int32(fill(t, i))
		}
		return nil
	}})[0]
}

// pairs is a fed list of excluded (row, column) pairs, sorted by row, -1 behind.
func (m *model) pairs(name string, capacity int, excluded func(t uint64) [][2]int) (row, col *op.Node) {
	n := m.Feed(&fed{ports: []engine.Port{intPort(name+"/row", capacity), intPort(name+"/col", capacity)}, fill: func(t uint64, out []engine.Slot) error {
		list := excluded(t)
		for i := range capacity {
			out[0].I32[i], out[1].I32[i] = -1, -1
			if i < len(list) {
				out[0].I32[i], out[1].I32[i] = int32(list[i][0]), int32(list[i][1])
			}
		}
		return nil
	}})
	return n[0], n[1]
}

// lengths of the toy histories: one is full, one has a single item.
func length(t uint64, user, most int) int {
	if user == 0 {
		return most
	}
	return 1 + int(t+uint64(user)*2)%most
}

// history is a padded batch of histories: ids [B·T] with -1 for padding, mask [B, T] and 1/length [B].
func (m *model) history(B, T, items int) (ids op.Index, mask, perLength *op.Node) {
	x, err := sample.NewIndex("history", B*T, items, false)
	if err != nil {
		panic(&op.Error{Err: err})
	}
	s := philox.New(3, "history")
	f := &fed{ports: append(x.Ports(), realPort("mask", B, T), realPort("per-length", B)), fill: func(t uint64, out []engine.Slot) error {
		for b := range B {
			n := length(t, b, T)
			out[5].Set(b, 1/float64(n))
			for k := range T {
				e := b*T + k
				out[0].I32[e] = -1
				out[4].Set(e, 0)
				if k < n {
					out[0].I32[e] = int32(philox.Below(s.At(t, uint32(e), 0)[0], items))
					out[4].Set(e, 1)
				}
			}
		}
		return x.Invert(out)
	}}
	m.Feed(f)
	return m.Index(f, "history"), m.Port(f, "mask"), m.Port(f, "per-length")
}
