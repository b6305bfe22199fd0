package models

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"nearfar/engine"
	"nearfar/engine/op"
	"nearfar/trainer/dataset"
)

// byBlock gives each item its block as an attribute, and each fourth item none.
func byBlock(items, n int) *dataset.Attributes {
	a := &dataset.Attributes{Fields: []string{"block"}, Ptr: []int32{0}}
	for v := range n {
		a.Field, a.Name = append(a.Field, 0), append(a.Name, fmt.Sprint(v))
	}
	for i := range items {
		if i%4 != 3 {
			a.Value = append(a.Value, int32(i%n))
		}
		a.Ptr = append(a.Ptr, int32(len(a.Value)))
	}
	return a
}

// TestAttributesAreAddedToTheirNodes: E0, its derivative, and that both views of masked fields have the value's embedding or have it not.
func TestAttributesAreAddedToTheirNodes(t *testing.T) {
	train, _ := blocks(t, 20, 30, 5)
	data := Data{Train: train, Seed: 1, ItemFields: byBlock(30, 5)}
	store := platforms()[4].on(t)
	m := newModel(t, "sgl", data, "-dim=4", "-attributes", "-augment=attribute-mask", "-rho=0.4").(*sgl)
	m.layers = 0
	program := build(t, store, func(b *engine.Builder) engine.Step {
		e0, values := m.embedding(b), m.values(b, m.attributes)
		g, err := op.Grad(op.Scale(op.SumSquares(e0), .5), m.nodes.embedding(b), values)
		if err != nil {
			t.Fatal(err)
		}
		return engine.Step{Outputs: []engine.Named{{Name: "id", Value: m.nodes.embedding(b)}, {Name: "values", Value: values}, {Name: "e0", Value: e0},
			{Name: "g", Value: g[0]}, {Name: "gv", Value: g[1]}, {Name: "1", Value: m.view(b, 1)}, {Name: "2", Value: m.view(b, 2)}}}
	})
	run(t, program, 1)
	id, values, e0 := output(t, program, "id"), output(t, program, "values"), output(t, program, "e0")
	want := append([]float64(nil), id...)
	gradient := make([]float64, len(values))
	for i := range 30 {
		for k := range 4 {
			if i%4 != 3 {
				want[(20+i)*4+k] += values[i%5*4+k]
			}
		}
	}
	for i := range 30 {
		for k := range 4 {
			if i%4 != 3 {
				gradient[i%5*4+k] += want[(20+i)*4+k]
			}
		}
	}
	near := func(what string, got, want []float64) {
		t.Helper()
		for k := range want {
			if math.Abs(got[k]-want[k]) > 1e-12 {
				t.Fatalf("%s: element %d is %g, want %g", what, k, got[k], want[k])
			}
		}
	}
	near("E0", e0, want)
	near("derivative of the table", output(t, program, "g"), want)
	near("derivative of the values", output(t, program, "gv"), gradient)

	for view := 1; view <= 2; view++ {
		x, hidden := output(t, program, fmt.Sprint(view)), 0
		for n := range 50 {
			row := func(e []float64) string { return fmt.Sprintf("%.12f", e[4*n:][:4]) }
			if row(x) != row(e0) {
				if hidden++; row(x) != row(id) {
					t.Fatalf("view %d: node %d is neither with nor without its attribute", view, n)
				}
			}
		}
		if hidden < 3 || hidden > 18 { // of 23 with a probability of .4
			t.Errorf("view %d hides the attribute of %d nodes", view, hidden)
		}
	}
	if text, err := m.Describe(); err != nil || !strings.Contains(text, "hide a share 0.4 of the nodes' attribute fields") {
		t.Errorf("%q, %v", text, err)
	}
}

// TestAttributesHelpWhereInteractionsAreFew: of a planted data set's interactions a ninth is left, and each item's block is its attribute.
func TestAttributesHelpWhereInteractionsAreFew(t *testing.T) {
	all, test := blocks(t, 120, 160, 8)
	var pairs []dataset.Pair
	for u := range all.Users() {
		for k, i := range all.Of(u) {
			if (k+u)%9 == 0 {
				pairs = append(pairs, dataset.Pair{User: int32(u), Item: i})
			}
		}
	}
	train, _, err := dataset.FromPairs(all.Users(), all.Items, pairs)
	if err != nil {
		t.Fatal(err)
	}
	data := Data{Train: train, Seed: 1, ItemFields: byBlock(160, 8)}
	for _, name := range []string{"lightgcn", "sgl", "simgcl", "xsimgcl"} {
		got := map[bool]float64{}
		for _, with := range []bool{false, true} {
			args := []string{"-dim=16", "-batch=64", fmt.Sprint("-attributes=", with)}
			if name != "lightgcn" {
				args = append(args, "-lambda=0.02")
			}
			if name == "sgl" {
				args = append(args, "-augment=ed,attribute-mask")
			}
			store, m := platforms()[3].on(t), newModel(t, name, data, args...)
			run(t, build(t, store, func(b *engine.Builder) engine.Step { return engine.Optimise(b, m.Train(b), engine.Adam(.01)) }), 100)
			got[with] = recall(t, store, m, train, test)
		}
		if got[true] < got[false]+.05 {
			t.Errorf("%s: Recall@10 is %.3f with attributes, %.3f without", name, got[true], got[false])
		}
		t.Logf("%s: Recall@10 is %.3f with attributes, %.3f without", name, got[true], got[false])
	}
}

func TestAttributesNeedSome(t *testing.T) {
	train, _ := blocks(t, 20, 30, 5)
	for _, name := range []string{"lightgcn", "sgl", "simgcl", "xsimgcl"} {
		o, _ := parsed(t, name, "-attributes")
		if _, err := o.New(Data{Train: train, Seed: 1}); err == nil || !strings.Contains(err.Error(), "the data has no attributes") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The sub-graphs of random walks are one for each view and layer: N nodes with beg, end and scale, and 2 E columns, twice.
func TestViewsBytes(t *testing.T) {
	train := interactions(t, 30, 20)
	m := newModel(t, "sgl", Data{Train: train, Seed: 1}, "-augment=rw", "-layers=3").(*sgl)
	if got, want := viewsBytes(m.views), int64(2*2*3*4*(3*50+2*train.Len())); got != want {
		t.Errorf("%d bytes, want %d", got, want)
	}
}
