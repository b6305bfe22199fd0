package graph

import (
	"math"
	"slices"
	"testing"

	"nearfar/kernels/philox"
	"nearfar/trainer/dataset"
)

// in tells whether an edge is an interaction of the base.
func in(g *Bipartite, e edge) bool {
	_, ok := slices.BinarySearch(g.Of(int(e.user)), e.item)
	return ok
}

func TestEdgeReplacement(t *testing.T) {
	g := random(t, 60, 80, 1500)
	for _, rho := range []float64{0, .1, .25, .5, .9} {
		v := newViews(t, g, "edge-add", rho, 3, 7, 1)
		out := fill(t, v, 5)
		var added [2][]edge
		for number := 1; number <= 2; number++ {
			edges := view(t, v, out, number, 0)
			for _, e := range edges {
				if !in(g, e) {
					added[number-1] = append(added[number-1], e)
				}
			}
			if k := int(rho * float64(g.Edges())); len(edges) != g.Edges() || len(added[number-1]) != k {
				t.Errorf("rho %g: %d edges, %d added; want %d, %d", rho, len(edges), len(added[number-1]), g.Edges(), k)
			}
		}
		if rho > 0 && slices.Equal(added[0], added[1]) {
			t.Errorf("rho %g: both views have the same edges added", rho)
		}
	}
}

// TestEdgeReplacementIsUniform counts how often each absent pair is added and each interaction dropped, over many epochs.
func TestEdgeReplacementIsUniform(t *testing.T) {
	const rho, epochs = .3, 4000
	g := graphOf(t, 4, 6, []dataset.Pair{
		{User: 0, Item: 0}, {User: 0, Item: 5}, {User: 1, Item: 1}, {User: 1, Item: 2}, {User: 1, Item: 3}, {User: 3, Item: 0}, {User: 3, Item: 1},
		{User: 3, Item: 2}, {User: 3, Item: 3}, {User: 3, Item: 4}, {User: 3, Item: 5}}) // user 2 has nothing, user 3 everything
	v := newViews(t, g, "edge-add", rho, 1, 7, 1)
	out, count := slots(v), map[edge]float64{}
	for epoch := range uint64(epochs) {
		if err := v.Fill(epoch, out); err != nil {
			t.Fatal(err)
		}
		for number := 1; number <= 2; number++ {
			for _, e := range view(t, v, out, number, 0) {
				count[e]++
			}
		}
	}
	const k, draws = 3, 2 * epochs // int(.3 * 11)
	var chi2 [2]float64            // of interactions, of absent pairs
	for u := range int32(g.Users) {
		for i := range int32(g.Items) {
			e := edge{u, int32(g.Users) + i}
			kind, p := 1, float64(k)/13
			if in(g, e) {
				kind, p = 0, float64(11-k)/11
			}
			d := count[e] - draws*p
			chi2[kind] += d * d / (draws * p * (1 - p))
		}
	}
	// Sums of n squares that add up to a constant: n-1 degrees of freedom, after the factor (n-1)/n for draws without replacement.
	for kind, n := range []float64{11, 13} {
		if x := chi2[kind] * (n - 1) / n; math.Abs(x-(n-1)) > 4*math.Sqrt(2*(n-1)) {
			t.Errorf("chi square of kind %d is %.1f with %g degrees of freedom", kind, x, n-1)
		}
	}
}

// TestEdgeReplacementOfADenseGraph: the last absent pair can be drawn, and one more is an error that says so.
func TestEdgeReplacementOfADenseGraph(t *testing.T) {
	var pairs []dataset.Pair
	for u := range int32(4) {
		for i := range int32(5) {
			if u != i {
				pairs = append(pairs, dataset.Pair{User: u, Item: i})
			}
		}
	}
	g := graphOf(t, 4, 5, pairs) // 16 of 20
	v := newViews(t, g, "edge-add", .25, 1, 1, 1)
	out := fill(t, v, 0)
	for u := range int32(4) {
		if !slices.Contains(view(t, v, out, 1, 0), edge{u, 4 + u}) {
			t.Errorf("the absent pair of user %d is not added, though all are", u)
		}
	}
	if _, err := NewViews(g, Augmentations{EdgeAdd}, .32, 1, 1, 1); err == nil {
		t.Error("five pairs are to be added where four are absent: no error")
	}
}

// TestNumbers compares with a map.
func TestNumbers(t *testing.T) {
	words := philox.New(1, "numbers").Sequence(0, 0)
	for _, n := range []int{0, 1, 7, 1000} {
		s, seen := newNumbers(n), map[uint64]bool{}
		for range 2 {
			s.clear()
			clear(seen)
			for len(seen) < n {
				x := uint64(words.Below(2*n)) << (words.Below(2) * 40)
				if s.add(x) == seen[x] {
					t.Fatalf("%d numbers: %d was there %v", n, x, seen[x])
				}
				seen[x] = true
			}
		}
	}
}
