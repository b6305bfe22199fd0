package graph

import (
	"math"
	"slices"
	"testing"

	"nearfar/engine"
	"nearfar/kernels"
	"nearfar/trainer/dataset"
)

func filled(t *testing.T, f engine.Feed, step uint64) []engine.Slot {
	t.Helper()
	var out []engine.Slot
	for _, p := range f.Ports() {
		if p.Desc.Type == kernels.Int32 {
			out = append(out, engine.Slot{I32: make([]int32, p.Desc.Elems())})
		} else {
			out = append(out, engine.Slot{F64: make([]float64, p.Desc.Elems())})
		}
	}
	if err := f.Fill(step, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// uneven is a graph of 30 users and 20 items: user u has items 0..u mod 19, so that item 0 is everybody's and item 19 nobody's.
func uneven(t *testing.T) *Bipartite {
	t.Helper()
	var pairs []dataset.Pair
	for u := range int32(30) {
		for i := range u%19 + 1 {
			pairs = append(pairs, dataset.Pair{User: u, Item: i})
		}
	}
	x, _, err := dataset.FromPairs(30, 20, pairs)
	if err != nil {
		t.Fatal(err)
	}
	g, err := New(x)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// A pruned graph is a part of the base of exactly the size, in both directions, normalised by its own degrees, and another one each epoch.
func TestPrunedGraph(t *testing.T) {
	g := uneven(t)
	for _, rho := range []float64{0, .3, .8, .99} {
		p, err := NewPruned(g, rho, 1, 4)
		if err != nil {
			t.Fatal(err)
		}
		out, at := filled(t, p, 0), p.View()
		beg, end, col, scales := out[at.Beg].I32, out[at.End].I32, out[at.Col].I32, out[at.Scale].F64
		edges := 0
		for n := range g.Nodes() {
			row := col[beg[n]:end[n]]
			if edges += len(row); !slices.IsSorted(row) || scales[n] != scale(len(row)) {
				t.Fatalf("row %d is %v, its scale %g", n, row, scales[n])
			}
			for _, m := range row {
				if _, base := slices.BinarySearch(g.Of(n), m); !base || !slices.Contains(col[beg[m]:end[m]], int32(n)) {
					t.Fatalf("the edge %d, %d is not of the base, or has one direction", n, m)
				}
			}
		}
		if want := 2 * int(float64(g.Edges())*(1-rho)); edges != want {
			t.Errorf("rho %g: %d elements, want %d", rho, edges, want)
		}
		same, other := filled(t, p, 3), filled(t, p, 4)
		if !slices.Equal(same[at.Col].I32, col) {
			t.Error("the graph changes within an epoch")
		}
		if rho > 0 && slices.Equal(other[at.Col].I32, col) {
			t.Error("the next epoch has the same graph")
		}
		again, _ := NewPruned(g, rho, 2, 4)
		if rho > 0 && slices.Equal(filled(t, again, 0)[at.Col].I32, col) {
			t.Error("another seed has the same graph")
		}
	}
	for _, rho := range []float64{-.1, 1, math.NaN()} {
		if _, err := NewPruned(g, rho, 1, 4); err == nil {
			t.Errorf("a share of %g is no error", rho)
		}
	}
}

// TestPrunedIsWeighted: how often an edge stays, over many epochs, is how often it is among the k drawn one after another without replacement in
// proportion to the weights (as torch.multinomial draws), which another generator and another algorithm find here.
func TestPrunedIsWeighted(t *testing.T) {
	g := uneven(t)
	const rho, epochs = .8, 4000
	p, err := NewPruned(g, rho, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	edges := g.edges(nil)
	k := int(float64(len(edges)) * (1 - rho))
	stays, drawn := make([]float64, len(edges)), make([]float64, len(edges))
	for epoch := range uint64(epochs) {
		out, at := filled(t, p, epoch), p.View()
		for n, e := range edges {
			if slices.Contains(out[at.Col].I32[out[at.Beg].I32[e.user]:out[at.End].I32[e.user]], e.item) {
				stays[n]++
			}
		}
	}
	random := uint64(88172645463325252)
	uniform := func() float64 { // xorshift64
		random ^= random << 13
		random ^= random >> 7
		random ^= random << 17
		return float64(random>>11) / (1 << 53)
	}
	for range epochs {
		weight, total := make([]float64, len(edges)), 0.
		for n, e := range edges {
			weight[n] = 1 / math.Sqrt(float64(g.Degree(int(e.user)))*float64(g.Degree(int(e.item))))
			total += weight[n]
		}
		for range k {
			x, n := uniform()*total, 0
			for ; n < len(edges)-1 && (weight[n] == 0 || x >= weight[n]); n++ {
				x -= weight[n]
			}
			drawn[n]++
			total -= weight[n]
			weight[n] = 0
		}
	}
	worst, spread := 0., 0.
	for n := range edges {
		share := (stays[n] + drawn[n]) / (2 * epochs)
		worst = max(worst, math.Abs(stays[n]-drawn[n])/epochs/math.Sqrt(2*share*(1-share)/epochs))
		spread = max(spread, stays[n]/epochs)
	}
	if worst > 4.5 {
		t.Errorf("an edge's shares differ by %.1f standard deviations", worst)
	}
	if spread < 2*(1-rho) {
		t.Errorf("no edge stays more often than in %.2f of the epochs: the weights decide nothing", spread)
	}
}
