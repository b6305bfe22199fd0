package models

import (
	"fmt"
	"math"
	"slices"

	"nearfar/engine"
	"nearfar/engine/op"
	"nearfar/kernels"
	"nearfar/trainer/graph"
	"nearfar/trainer/sample"
)

// batch is one step's triples: users, positive and negative items, -1 in padding.
type batch struct {
	User, Pos, Neg []int32
	Weight         []float64
}

// fixedTriples feeds given batches in the form of sample.Pairwise, without a port neg where they have no negatives.
type fixedTriples struct {
	offset  int32 // of items: the number of users where they are nodes
	batches []batch
	index   []*sample.Index
}

func newFixedTriples(users, items int, distinct bool, batches ...batch) *fixedTriples {
	f := &fixedTriples{offset: int32(users), batches: batches}
	names := []string{"user", "pos", "neg"}
	if batches[0].Neg == nil {
		names = names[:2]
	}
	for k, name := range names {
		x, err := sample.NewIndex(name, len([][]int32{batches[0].User, batches[0].Pos, batches[0].Neg}[k]), users+items, distinct)
		if err != nil {
			panic(err)
		}
		f.index = append(f.index, x)
	}
	return f
}

func (f *fixedTriples) StepsPerEpoch() int { return len(f.batches) }

func (f *fixedTriples) Ports() []engine.Port {
	var ports []engine.Port
	for _, x := range f.index {
		ports = append(ports, x.Ports()...)
	}
	return append(ports, engine.Port{Name: "weight", Desc: kernels.Of(kernels.Float32, len(f.batches[0].User))})
}

func (f *fixedTriples) Fill(t uint64, out []engine.Slot) error {
	b := f.batches[t]
	for i, w := range b.Weight {
		out[len(out)-1].Set(i, w)
	}
	for k, x := range f.index {
		ids := [][]int32{b.User, b.Pos, b.Neg}[k]
		slots := out[:len(x.Ports())]
		out = out[len(slots):]
		for i, id := range ids {
			if slots[0].I32[i] = id; id >= 0 && k > 0 {
				slots[0].I32[i] = id + f.offset
			}
		}
		if err := x.Invert(slots); err != nil {
			return err
		}
	}
	return nil
}

// fixedViews feeds given sub-graphs in the form of graph.Views, anew in every step.
type fixedViews struct {
	users, items int
	edges        [][2]int32
	kept         [][2][][]int // [step][view][one, or one a layer] indices of edges
}

func (f *fixedViews) draws() int { return len(f.kept[0][0]) }

func (f *fixedViews) View(view, layer int) graph.View {
	at := 4 * ((view-1)*f.draws() + min(layer, f.draws()-1))
	return graph.View{Beg: at, End: at + 1, Col: at + 2, Scale: at + 3}
}

func (f *fixedViews) Ports() []engine.Port {
	var ports []engine.Port
	nodes := f.users + f.items
	for k := range 2 * f.draws() {
		for _, p := range []engine.Port{{Name: "beg", Desc: kernels.Of(kernels.Int32, nodes)}, {Name: "end", Desc: kernels.Of(kernels.Int32, nodes)},
			{Name: "col", Desc: kernels.Of(kernels.Int32, 2*len(f.edges))}, {Name: "scale", Desc: kernels.Of(kernels.Float32, nodes)}} {
			ports = append(ports, engine.Port{Name: fmt.Sprintf("fixed view %d/%s", k, p.Name), Desc: p.Desc})
		}
	}
	return ports
}

func (f *fixedViews) Fill(t uint64, out []engine.Slot) error {
	for _, layers := range f.kept[t] {
		for _, kept := range layers {
			neighbours := make([][]int32, f.users+f.items)
			for _, e := range kept {
				u, i := f.edges[e][0], f.edges[e][1]+int32(f.users)
				neighbours[u], neighbours[i] = append(neighbours[u], i), append(neighbours[i], u)
			}
			beg, end, col, scale := out[0].I32, out[1].I32, out[2].I32, out[3]
			out = out[4:]
			at := 0
			for n, row := range neighbours {
				slices.Sort(row)
				beg[n] = int32(at)
				at += copy(col[at:], row)
				end[n] = int32(at)
				if scale.Set(n, 0); len(row) > 0 {
					scale.Set(n, 1/math.Sqrt(float64(len(row))))
				}
			}
			for ; at < len(col); at++ {
				col[at] = -1
			}
		}
	}
	return nil
}

// fixedNoise feeds given draws [step, view, layer, nodes, dim] of U[0, 1).
type fixedNoise struct {
	views, layers, nodes, dim int
	draws                     []float64
}

func (f *fixedNoise) port(view, layer int) string {
	return fmt.Sprintf("fixed noise %d/%d", view, layer)
}

func (f *fixedNoise) Ports() []engine.Port {
	var ports []engine.Port
	for v := range f.views {
		for l := range f.layers {
			ports = append(ports, engine.Port{Name: f.port(v, l), Desc: kernels.Of(kernels.Float32, f.nodes, f.dim)})
		}
	}
	return ports
}

func (f *fixedNoise) Fill(t uint64, out []engine.Slot) error {
	size := f.nodes * f.dim
	draws := f.draws[int(t)*len(out)*size:]
	for k, slot := range out {
		for i, v := range draws[k*size:][:size] {
			slot.Set(i, v)
		}
	}
	return nil
}

// draw has the place of noisy.noise; views count from 1.
func (f *fixedNoise) draw(b *engine.Builder, view, layer, _, _ int) *op.Node {
	return b.Port(f, f.port(view-1, layer))
}
