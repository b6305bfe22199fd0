package engine_test

import (
	"math"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"nearfar/engine"
	"nearfar/engine/op"
	"nearfar/engine/paranoid"
	"nearfar/kernels"
)

// tape runs a cost and gorgonia.Grad of it on Gorgonia's own tape machine, on the values that the store and the feeds give.
func tape(t *testing.T, s *engine.Store, feeds []engine.Feed, cost *op.Node, wrt []*op.Node) (loss float64, grads [][]float64) {
	t.Helper()
	g := cost.Graph()
	fed := map[string]any{}
	for _, f := range feeds {
		var slots []engine.Slot
		for _, p := range f.Ports() {
			var slot engine.Slot
			if p.Desc.Type == kernels.Int32 {
				slot.I32 = make([]int32, p.Desc.Elems())
				fed[p.Name] = slot.I32
			} else {
				slot.F64 = make([]float64, p.Desc.Elems())
				fed[p.Name] = slot.F64
			}
			slots = append(slots, slot)
		}
		if err := f.Fill(0, slots); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range g.AllNodes() {
		if n.Op() != nil {
			continue
		}
		backing, ok := fed[n.Name()]
		if !ok {
			raw, d, err := s.ReadBytes(n.Name())
			if err != nil {
				t.Fatal(err)
			}
			if d.Type == kernels.Int32 {
				backing = engine.View[int32](raw)
			} else {
				backing = engine.View[float64](raw)
			}
		}
		if err := gorgonia.Let(n, tensor.New(tensor.WithShape(op.Desc(n).Shape()...), tensor.WithBacking(backing))); err != nil {
			t.Fatal(err)
		}
	}
	nodes, err := gorgonia.Grad(cost, wrt...)
	if err != nil {
		t.Fatal(err)
	}
	values := make([]gorgonia.Value, len(nodes))
	for i, n := range nodes {
		gorgonia.Read(n, &values[i])
	}
	var total gorgonia.Value
	gorgonia.Read(cost, &total)
	vm := gorgonia.NewTapeMachine(g)
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	for _, v := range values {
		grads = append(grads, v.Data().([]float64))
	}
	return total.Data().(float64), grads
}

// Loss and gradient of LightGCN with BPR, InfoNCE and L2, from the engine and from Gorgonia.
func TestGorgoniaAgrees(t *testing.T) {
	objective := contrastive(2, false)
	r := start(t, paranoid.New(1), kernels.Float64, func(b *engine.Builder) engine.Step {
		total := objective(b).Total()
		for range 2 { // the second time on one graph is as good as the first
			if _, err := op.Grad(total, b.Params()...); err != nil {
				t.Fatal(err)
			}
		}
		grads, err := op.Grad(total, b.Params()...)
		if err != nil {
			t.Fatal(err)
		}
		return engine.Step{Scalars: []engine.Named{{Name: "loss", Value: total}}, Outputs: []engine.Named{{Name: "gradient", Value: grads[0]}}}
	}).steps(0, 1)

	var loss float64
	var grads [][]float64
	other, err := engine.Build(r.store, func(b *engine.Builder) engine.Step {
		total := objective(b).Total()
		loss, grads = tape(t, r.store, []engine.Feed{&triples{}}, total, b.Params())
		return engine.Step{Outputs: []engine.Named{{Name: "loss", Value: total}}}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	close(t, "loss", r.rows[0], []float64{loss}, 1e-9)
	close(t, "gradient", r.output("gradient"), grads[0], 1e-9)
	if math.Abs(loss) < .1 {
		t.Errorf("a loss of %v proves little", loss)
	}
}
