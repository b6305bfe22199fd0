package graph

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"testing"

	"nearfar/engine"
	"nearfar/kernels"
	"nearfar/kernels/philox"
	"nearfar/trainer/dataset"
)

var methods = [...]string{"ed", "nd", "rw", "edge-add", "subgraph", "nd,edge-add", "edge-add,rw", "subgraph,nd", "nd,ed"}

func newViews(t testing.TB, g *Bipartite, augment string, rho float64, layers int, seed uint64, stepsPerEpoch int) *Views {
	t.Helper()
	var list Augmentations
	if err := list.UnmarshalText([]byte(augment)); err != nil {
		t.Fatal(err)
	}
	v, err := NewViews(g, list, rho, layers, seed, stepsPerEpoch)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// slots is memory for the ports, filled with rubbish.
func slots(v *Views) []engine.Slot {
	out := make([]engine.Slot, len(v.Ports()))
	for k, p := range v.Ports() {
		if p.Desc.Type == kernels.Int32 {
			out[k].I32 = slices.Repeat([]int32{-99}, p.Desc.Elems())
		} else {
			out[k].F32 = slices.Repeat([]float32{float32(math.NaN())}, p.Desc.Elems())
		}
	}
	return out
}

func fill(t testing.TB, v *Views, step uint64) []engine.Slot {
	t.Helper()
	out := slots(v)
	if err := v.Fill(step, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// view checks everything that every sub-graph promises, and returns its edges by user and then item.
func view(t *testing.T, v *Views, out []engine.Slot, view, layer int) []edge {
	t.Helper()
	g, at := v.base, v.View(view, layer)
	beg, end, col, scales := out[at.Beg].I32, out[at.End].I32, out[at.Col].I32, out[at.Scale].F32
	reverse := map[edge]bool{}
	var edges []edge
	last := int32(0) // the end of the row before
	for n := range int32(g.Nodes()) {
		if beg[n] < last || end[n] < beg[n] {
			t.Fatalf("row %d is [%d, %d) after a row that ends at %d", n, beg[n], end[n], last)
		}
		for _, c := range col[last:beg[n]] {
			if c != -1 {
				t.Fatalf("there is %d before row %d", c, n)
			}
		}
		last = end[n]
		row := col[beg[n]:end[n]]
		for k, c := range row {
			if k > 0 && row[k-1] >= c {
				t.Fatalf("row %d is %v, not ascending", n, row)
			}
			if c < 0 || int(c) >= g.Nodes() || (int(n) < g.Users) == (int(c) < g.Users) {
				t.Fatalf("row %d has the neighbour %d", n, c)
			}
			if int(n) < g.Users {
				edges = append(edges, edge{n, c})
			} else {
				reverse[edge{c, n}] = true
			}
		}
		want := float32(0)
		if len(row) > 0 {
			want = float32(1 / math.Sqrt(float64(len(row))))
		}
		if scales[n] != want {
			t.Fatalf("node %d of degree %d has scale %g, want %g", n, len(row), scales[n], want)
		}
	}
	for _, c := range col[last:] {
		if c != -1 {
			t.Fatalf("there is %d behind the last row", c)
		}
	}
	for _, e := range edges {
		if !reverse[e] {
			t.Fatalf("%v is there in one direction only", e)
		}
	}
	if len(reverse) != len(edges) {
		t.Fatalf("%d edges of users, %d of items", len(edges), len(reverse))
	}
	return edges
}

// edges returns the interactions of a sub-graph that adds none, as indices into Col of the base, in whose slots its rows stand.
func edges(t *testing.T, v *Views, out []engine.Slot, number, layer int) []int32 {
	t.Helper()
	g, at := v.base, v.View(number, layer)
	if !slices.Equal(out[at.Beg].I32, g.Beg()) {
		t.Fatal("rows do not begin where those of the base do")
	}
	for n, end := range out[at.End].I32 {
		if end > g.Ptr[n+1] {
			t.Fatalf("row %d ends at %d, its slot at %d", n, end, g.Ptr[n+1])
		}
	}
	var kept []int32
	for _, e := range view(t, v, out, number, layer) {
		k, ok := slices.BinarySearch(g.Of(int(e.user)), e.item)
		if !ok {
			t.Fatalf("there is %v, which the graph has not", e)
		}
		kept = append(kept, g.Ptr[e.user]+int32(k))
	}
	return kept
}

func TestEdgeDropout(t *testing.T) {
	g := random(t, 60, 80, 1500)
	for _, rho := range []float64{0, .1, .25, .5, .9, .9999} {
		v := newViews(t, g, string(EdgeDropout), rho, 3, 7, 1)
		out := fill(t, v, 5)
		for view := 1; view <= 2; view++ {
			kept := edges(t, v, out, view, 0)
			if want := int(float64(g.Edges()) * (1 - rho)); len(kept) != want {
				t.Errorf("rho %g: %d of %d interactions, want %d", rho, len(kept), g.Edges(), want)
			}
			if v.View(view, 2) != v.View(view, 0) {
				t.Error("layers have sub-graphs of their own")
			}
		}
	}
}

// TestEdgeDropoutKeepsSmallestHashes sorts all hashes, which are written down here a second time as the definition.
func TestEdgeDropoutKeepsSmallestHashes(t *testing.T) {
	const seed, epoch = 11, 4
	g := random(t, 30, 40, 700)
	v := newViews(t, g, string(EdgeDropout), .3, 1, seed, 10)
	out := fill(t, v, 10*epoch+3)
	for view := range 2 {
		hash, order := make([]uint64, g.Edges()), make([]int32, g.Edges())
		for u := range g.Users {
			for e := g.Ptr[u]; e < g.Ptr[u+1]; e++ {
				w := philox.New(seed, "graph/views/edge/0").At(epoch, uint32(u), uint32(g.Col[e])-uint32(g.Users))
				hash[e], order[e] = uint64(w[2*view])<<32|uint64(w[2*view+1]), e
			}
		}
		slices.SortFunc(order, func(a, b int32) int { return cmp.Compare(hash[a], hash[b]) })
		want := slices.Sorted(slices.Values(order[:int(float64(len(order))*.7)]))
		if got := edges(t, v, out, view+1, 0); !slices.Equal(got, want) {
			t.Errorf("view %d keeps other interactions than those of the smallest hashes", view+1)
		}
	}
}

func TestNodeDropout(t *testing.T) {
	// Everybody has everything, so that the number of interactions tells how many nodes were dropped.
	const users, items = 50, 70
	var pairs []dataset.Pair
	for u := range int32(users) {
		for i := range int32(items) {
			pairs = append(pairs, dataset.Pair{User: u, Item: i})
		}
	}
	g := graphOf(t, users, items, pairs)
	for _, rho := range []float64{0, .1, .33, .9} {
		v := newViews(t, g, string(NodeDropout), rho, 3, 7, 1)
		out := fill(t, v, 2)
		for view := 1; view <= 2; view++ {
			users, items := users-int(rho*users), items-int(rho*items)
			if got := len(edges(t, v, out, view, 1)); got != users*items {
				t.Errorf("rho %g: %d interactions, want %d x %d", rho, got, users, items)
			}
		}
	}
	// On a sparse graph: exactly the interactions whose two nodes are both there.
	g = random(t, 60, 80, 1500)
	v := newViews(t, g, string(NodeDropout), .2, 1, 7, 1)
	out := fill(t, v, 0)
	for view := 1; view <= 2; view++ {
		kept, gone := edges(t, v, out, view, 0), v.steps[0].(*nodeDropout).gone[view-1]
		for u := range g.Users {
			for e := g.Ptr[u]; e < g.Ptr[u+1]; e++ {
				if slices.Contains(kept, e) == (gone[u] || gone[g.Col[e]]) {
					t.Fatalf("view %d: user %d (gone: %v), node %d (gone: %v)", view, u, gone[u], g.Col[e], gone[g.Col[e]])
				}
			}
		}
	}
	if gone := v.steps[0].(*nodeDropout).gone; slices.Equal(gone[0], gone[1]) {
		t.Error("both views drop the same nodes")
	}
}

// TestIndependence: every epoch, view, layer and seed is a draw of its own, and shares with another one as much as chance allows.
func TestIndependence(t *testing.T) {
	const layers, rho = 3, .5
	g := random(t, 100, 200, 6000)
	v := newViews(t, g, string(RandomWalk), rho, layers, 3, 10)
	draws := map[string][]int32{}
	for _, step := range []uint64{0, 10} {
		out := fill(t, v, step)
		for view := 1; view <= 2; view++ {
			for layer := range layers {
				kept := edges(t, v, out, view, layer)
				if len(kept) != int(float64(g.Edges())*(1-rho)) {
					t.Errorf("step %d view %d layer %d keeps %d", step, view, layer, len(kept))
				}
				draws[fmt.Sprintf("step %d view %d layer %d", step, view, layer)] = kept
			}
		}
	}
	other := newViews(t, g, string(RandomWalk), rho, 1, 4, 10)
	draws["another seed"] = edges(t, other, fill(t, other, 0), 1, 0)

	// Two independent halves share a quarter: hypergeometric, with a standard deviation of root(n)/4.
	want, deviation := float64(g.Edges())/4, math.Sqrt(float64(g.Edges()))/4
	for a, x := range draws {
		for b, y := range draws {
			if a >= b {
				continue
			}
			shared := 0
			for _, e := range x {
				if _, ok := slices.BinarySearch(y, e); ok {
					shared++
				}
			}
			if math.Abs(float64(shared)-want) > 5*deviation {
				t.Errorf("%s and %s share %d of %d, want %.0f +- %.0f", a, b, shared, g.Edges(), want, deviation)
			}
		}
	}
}

// TestPure: a step's bytes depend on nothing but the seed and the epoch, whatever was filled before.
func TestPure(t *testing.T) {
	g := random(t, 60, 80, 1500)
	for _, method := range methods {
		v := newViews(t, g, method, .2, 2, 9, 4)
		if v.Key(4) != v.Key(7) || v.Key(7) == v.Key(8) {
			t.Error("the key is not the epoch")
		}
		first, next := fill(t, v, 6), fill(t, v, 8)
		again, fresh := fill(t, v, 7), fill(t, newViews(t, g, method, .2, 2, 9, 4), 4)
		for k, p := range v.Ports() {
			if !slices.Equal(first[k].I32, again[k].I32) || !slices.Equal(first[k].F32, again[k].F32) ||
				!slices.Equal(first[k].I32, fresh[k].I32) || !slices.Equal(first[k].F32, fresh[k].F32) {
				t.Errorf("%s %s: the same epoch, other bytes", method, p.Name)
			}
		}
		if col := v.View(1, 0).Col; slices.Equal(first[col].I32, next[col].I32) {
			t.Errorf("%s: the next epoch has the same view", method)
		}
	}
}

// TestWholeGraph: a view with rho 0 is the base, and its scales are as precise as the program.
func TestWholeGraph(t *testing.T) {
	g := random(t, 60, 80, 1500)
	for _, method := range methods {
		v := newViews(t, g, method, 0, 2, 9, 1)
		out, double := slots(v), make([]float64, g.Nodes())
		at := v.View(2, 1)
		out[at.Scale] = engine.Slot{F64: double}
		if err := v.Fill(3, out); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(out[at.Beg].I32, g.Beg()) || !slices.Equal(out[at.End].I32, g.End()) || !slices.Equal(out[at.Col].I32, g.Col) {
			t.Errorf("%s: the view is not the graph", method)
		}
		for n, s := range double {
			if s != g.Scale[n] || g.Degree(n) > 0 && s != 1/math.Sqrt(float64(g.Degree(n))) {
				t.Fatalf("%s: scale %d is %g", method, n, s)
			}
		}
	}
}

func TestPorts(t *testing.T) {
	g := random(t, 6, 8, 20)
	for _, c := range []struct {
		method Augmentation
		last   View
		name   string
		ports  int
	}{
		{EdgeDropout, View{4, 5, 6, 7}, "view2/col", 8},
		{NodeDropout, View{4, 5, 6, 7}, "view2/col", 8},
		{RandomWalk, View{20, 21, 22, 23}, "view2/layer2/col", 24},
	} {
		v := newViews(t, g, string(c.method), .1, 3, 0, 1)
		last := v.View(2, 2)
		if len(v.Ports()) != c.ports || last != c.last || v.Ports()[last.Col].Name != c.name {
			t.Errorf("%s: %d ports, %+v, %v", c.method, len(v.Ports()), last, v.Ports())
			continue
		}
		if got, want := v.Ports()[last.Col].Desc, kernels.Of(kernels.Int32, 2*g.Edges()); got != want {
			t.Errorf("%s: columns are %s, want %s", c.method, got, want)
		}
		if got, want := v.Ports()[last.Scale].Desc, kernels.Of(kernels.Float32, g.Nodes()); got != want {
			t.Errorf("%s: scales are %s, want %s", c.method, got, want)
		}
		if v.Fill(0, nil) == nil {
			t.Errorf("%s: no slots, no error", c.method)
		}
	}
}

func TestBadViews(t *testing.T) {
	g := random(t, 6, 8, 20)
	for _, c := range []struct {
		method        Augmentation
		rho           float64
		layers, steps int
	}{
		{"", .1, 1, 1}, {"edges", .1, 1, 1}, {EdgeDropout, -.1, 1, 1}, {EdgeDropout, 1, 1, 1}, {EdgeDropout, math.NaN(), 1, 1},
		{EdgeDropout, .1, 0, 1}, {EdgeDropout, .1, 1, 0},
	} {
		if _, err := NewViews(g, Augmentations{c.method}, c.rho, c.layers, 0, c.steps); err == nil {
			t.Errorf("%+v: no error", c)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	g := random(t, 300, 400, 20000)
	for _, method := range methods {
		v := newViews(t, g, method, .2, 2, 9, 1)
		out := slots(v)
		step := uint64(0)
		if n := testing.AllocsPerRun(20, func() {
			if err := v.Fill(step, out); err != nil {
				t.Fatal(err)
			}
			step++
		}); n != 0 {
			t.Errorf("%s: %g allocations a fill", method, n)
		}
	}
}
