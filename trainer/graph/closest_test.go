package graph

import (
	"slices"
	"testing"

	"nearfar/kernels/philox"
)

// The K most similar are kept whatever the order they come in, equals by their ties.
func TestClosest(t *testing.T) {
	words := philox.New(5, "closest").Sequence(0, 0)
	for _, n := range []int{0, 1, 7, 100} {
		for _, k := range []int{1, 3, 7, 50, 1000} {
			var all []Neighbour
			c := Closest{K: k}
			for range 2 { // the second time its memory is that of the first
				all = all[:0]
				c.Reset()
				for i := range n {
					x := Neighbour{Item: int32(i), Similarity: float64(words.Below(6)), Tie: uint64(words.Below(3))}
					all = append(all, x)
					c.Add(x)
					if sorted := slices.SortedFunc(slices.Values(all), closer); c.Least() > sorted[min(k, len(sorted))-1].Similarity {
						t.Fatalf("of %d, %d kept: %v has to be reached, and %v is among them", len(all), k, c.Least(), sorted[min(k, len(sorted))-1])
					}
				}
				want := slices.SortedFunc(slices.Values(all), closer)
				want = want[:min(k, len(want))]
				if got := c.Sorted(); !slices.Equal(got, want) {
					t.Fatalf("of %d, %d kept: %v, want %v", n, k, got, want)
				}
			}
		}
	}
}
