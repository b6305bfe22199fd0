package graph

import (
	"errors"
	"fmt"
	"math"

	"nearfar/engine"
	"nearfar/kernels"
	"nearfar/kernels/philox"
	"nearfar/trainer/dataset"
)

// Bags are the nodes' attribute values: node n has Value[Ptr[n]:Ptr[n+1]], ascending. The values of users come before those of items, and so do
// the fields. The transposed has the nodes of value v, Node[Of[v]:Of[v+1]], ascending.
type Bags struct {
	UserValues, ItemValues int
	Ptr, Value             []int32 // [N+1], [pairs of a node and a value]
	Of, Node               []int32 // [values+1], the same number
	Field                  []int32 // [values]
}

// NewBags joins the attributes of users and of items, either of which may be nil. It is an error where no node has a value.
func NewBags(users, items int, ofUsers, ofItems *dataset.Attributes) (*Bags, error) {
	b := &Bags{Ptr: make([]int32, 1, users+items+1)}
	fields := int32(0)
	for _, side := range []struct {
		name   string
		rows   int
		of     *dataset.Attributes
		values *int
	}{{"users", users, ofUsers, &b.UserValues}, {"items", items, ofItems, &b.ItemValues}} {
		if side.of == nil {
			for range side.rows {
				b.Ptr = append(b.Ptr, int32(len(b.Value)))
			}
			continue
		}
		if side.of.Rows() != side.rows {
			return nil, fmt.Errorf("graph: attributes of %d %s, where there are %d", side.of.Rows(), side.name, side.rows)
		}
		before := int32(len(b.Field))
		for row := range side.rows {
			for _, v := range side.of.Of(row) {
				b.Value = append(b.Value, before+v)
			}
			if len(b.Value) > math.MaxInt32 {
				return nil, fmt.Errorf("graph: more than %d attribute values, which 32-bit offsets cannot hold", math.MaxInt32)
			}
			b.Ptr = append(b.Ptr, int32(len(b.Value)))
		}
		for _, f := range side.of.Field {
			b.Field = append(b.Field, fields+f)
		}
		*side.values, fields = side.of.Values(), fields+int32(len(side.of.Fields))
	}
	if len(b.Value) == 0 {
		return nil, errors.New("graph: no user and no item has an attribute")
	}

	b.Of, b.Node = make([]int32, b.Values()+1), make([]int32, len(b.Value))
	for _, v := range b.Value {
		b.Of[v+1]++
	}
	for v := range b.Values() {
		b.Of[v+1] += b.Of[v]
	}
	next := append([]int32(nil), b.Of[:b.Values()]...)
	for n := range b.Nodes() {
		for _, v := range b.Value[b.Ptr[n]:b.Ptr[n+1]] {
			b.Node[next[v]] = int32(n)
			next[v]++
		}
	}
	return b, nil
}

// Nodes is the number of bags, Values that of different values.
func (b *Bags) Nodes() int  { return len(b.Ptr) - 1 }
func (b *Bags) Values() int { return b.UserValues + b.ItemValues }

// MaskedBags feeds two views of bags in which each field of each node is hidden, with all its values, with probability rho (GraphCL, table 1:
// attribute masking). It is drawn anew each epoch, by keyed hashes of (seed, epoch, view, node, field). Bags keep their slots:
// a view's bag n is col[Ptr[n]:end[n]], and what is left of the slot is -1; the same for the transposed.
type MaskedBags struct {
	bags          *Bags
	rho           float64
	stepsPerEpoch uint64
	stream        philox.Stream
}

var _ engine.Periodic = (*MaskedBags)(nil)

// NewMaskedBags hides fields with probability rho, 0 <= rho < 1; a new epoch begins every stepsPerEpoch steps.
func NewMaskedBags(b *Bags, rho float64, seed uint64, stepsPerEpoch int) (*MaskedBags, error) {
	if !(rho >= 0 && rho < 1) || stepsPerEpoch < 1 {
		return nil, fmt.Errorf("graph: fields hidden with probability %g in epochs of %d steps", rho, stepsPerEpoch)
	}
	return &MaskedBags{b, rho, uint64(stepsPerEpoch), philox.New(seed, "graph/bags/field")}, nil
}

// A BagView is the ports of one view, as positions in MaskedBags.Ports.
type BagView struct {
	End, Col                     int // int32 [N], [pairs]
	TransposedEnd, TransposedCol int // int32 [values], [pairs]
}

// View is view 1 or 2.
func (m *MaskedBags) View(view int) BagView {
	first := 4 * (view - 1)
	return BagView{first, first + 1, first + 2, first + 3}
}

// Ports implements engine.Feed; View tells them apart.
func (m *MaskedBags) Ports() (ports []engine.Port) {
	for view := 1; view <= views; view++ {
		for _, p := range []struct {
			name string
			n    int
		}{{"end", m.bags.Nodes()}, {"col", len(m.bags.Value)}, {"transposed/end", m.bags.Values()}, {"transposed/col", len(m.bags.Node)}} {
			ports = append(ports, engine.Port{Name: fmt.Sprintf("view%d/attributes/%s", view, p.name), Desc: kernels.Of(kernels.Int32, p.n)})
		}
	}
	return ports
}

// Key implements engine.Periodic: the epoch of step t.
func (m *MaskedBags) Key(t uint64) uint64 { return t / m.stepsPerEpoch }

// Fill implements engine.Feed.
func (m *MaskedBags) Fill(t uint64, out []engine.Slot) error {
	if len(out) != 4*views {
		return fmt.Errorf("graph: %d slots for %d ports of bags", len(out), 4*views)
	}
	b, epoch := m.bags, m.Key(t)
	for view := range views {
		at := m.View(view + 1)
		end, col, ofEnd, ofCol := out[at.End].I32, out[at.Col].I32, out[at.TransposedEnd].I32, out[at.TransposedCol].I32
		for k := range col {
			col[k], ofCol[k] = -1, -1
		}
		copy(end, b.Ptr)
		copy(ofEnd, b.Of)
		for n := range b.Nodes() {
			for _, v := range b.Value[b.Ptr[n]:b.Ptr[n+1]] {
				if philox.Uniform(m.stream.At(epoch, uint32(n), uint32(b.Field[v]))[view]) < m.rho {
					continue
				}
				col[end[n]] = v
				end[n]++
				ofCol[ofEnd[v]] = int32(n)
				ofEnd[v]++
			}
		}
	}
	return nil
}
