package sample

import (
	"math"
	"slices"
	"testing"

	"nearfar/kernels/philox"
	"nearfar/trainer/dataset"
)

// chiSquareOf tests counts against shares: the statistic in standard deviations of its distribution. A share of 0 must have no count.
func chiSquareOf(t *testing.T, counts []int, shares []float64) float64 {
	t.Helper()
	total, sum := 0, 0.0
	for k := range counts {
		total += counts[k]
		sum += shares[k]
	}
	x, df := 0.0, -1.0
	for k, c := range counts {
		expected := float64(total) * shares[k] / sum
		if expected == 0 {
			if c != 0 {
				t.Errorf("%d draws of item %d, which has no share", c, k)
			}
			continue
		}
		x += (float64(c) - expected) * (float64(c) - expected) / expected
		df++
	}
	return (x - df) / math.Sqrt(2*df)
}

// skewed has items of 0 to 40 interactions, users with few and with the most popular ones, and user 0 with everything but the last three.
func skewed() *dataset.Interactions {
	const items = 12
	lists := make([][]int32, 41)
	for i := range int32(items - 3) {
		lists[0] = append(lists[0], i)
	}
	for u := 1; u < len(lists); u++ {
		for i := range int32(items - 1) { // nobody has the last
			if u%(int(i)+1) == 0 {
				lists[u] = append(lists[u], i)
			}
		}
	}
	return interactions(items, lists...)
}

func TestPopularNegativesHaveTheirShares(t *testing.T) {
	train := skewed()
	degrees := train.ItemDegrees()
	for _, alpha := range []float64{0, .5, .75, 1, 3} {
		p, err := newPopular(train, alpha)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range []int{0, 1, 12, 37} {
			counts, shares := make([]int, train.Items), make([]float64, train.Items)
			for i := range shares {
				if !train.Has(u, int32(i)) {
					shares[i] = math.Pow(float64(degrees[i]), alpha)
				}
			}
			words := philox.New(3, "popular").Sequence(uint64(u), 0)
			for range 40_000 {
				counts[p.negative(u, train.Of(u), &words)]++
			}
			if z := chiSquareOf(t, counts, shares); z > 4 {
				t.Errorf("alpha %g, user %d: %.1f sigma, %v for %v", alpha, u, z, counts, shares)
			}
		}
	}
}

// TestPopularNegativesOfAFeed are those of all rows and candidates of real batches, and alpha 0 is uniform over all items that a user has not.
func TestPopularNegativesOfAFeed(t *testing.T) {
	train := skewed()
	degrees := train.ItemDegrees()
	for _, alpha := range []float64{0, .75} {
		f := newPairwise(t, train, 16, Options{Negative: PopularItems, Alpha: alpha, Candidates: 3})
		counts, shares := make([]int, train.Items), make([]float64, train.Items)
		for step := range uint64(3000) {
			p := fillStep(t, f, step, false)
			for b, u := range p["user"].I32 {
				if u == 6 {
					for _, j := range p["neg"].I32[3*b:][:3] {
						counts[j]++
					}
				}
			}
		}
		for i := range shares {
			if !train.Has(6, int32(i)) {
				shares[i] = math.Pow(float64(degrees[i]), alpha)
			}
		}
		if z := chiSquareOf(t, counts, shares); z > 4 {
			t.Errorf("alpha %g: %.1f sigma, %v for %v", alpha, z, counts, shares)
		}
	}
}

// TestPopularNegativesOfItemsThatNobodyHas: where a user has everything that anybody has, the others are drawn alike.
func TestPopularNegativesOfItemsThatNobodyHas(t *testing.T) {
	train := interactions(6, []int32{1, 3, 4}, []int32{1, 4})
	p, err := newPopular(train, .75)
	if err != nil {
		t.Fatal(err)
	}
	counts, words := make([]int, 6), philox.New(3, "cold").Sequence(0, 0)
	for range 10_000 {
		counts[p.negative(0, train.Of(0), &words)]++
	}
	if z := chiSquareOf(t, counts, []float64{1, 0, 1, 0, 0, 1}); z > 4 {
		t.Errorf("%.1f sigma: %v", z, counts)
	}
	for range 1000 {
		if j := p.negative(1, train.Of(1), &words); j != 3 {
			t.Fatalf("item %d: only item 3 has weight among those that user 1 has not", j)
		}
	}
}

// TestCandidatesAreIndependent: those of a row are drawn apart from one another, with replacement.
func TestCandidatesAreIndependent(t *testing.T) {
	train := interactions(9, []int32{0, 4}, []int32{1, 2})
	f := newPairwise(t, train, 4, Options{Candidates: 6})
	pairs, at := make([]int, 49), []int32{1, 2, 3, 5, 6, 7, 8}
	for step := range uint64(20_000) {
		p := fillStep(t, f, step, false)
		for b, u := range p["user"].I32 {
			if u == 0 {
				first, last := p["neg"].I32[6*b], p["neg"].I32[6*b+5]
				pairs[slices.Index(at, first)*7+slices.Index(at, last)]++
			}
		}
	}
	if z := chiSquare(pairs); z > 4 {
		t.Errorf("first and last candidate: %.1f sigma: %v", z, pairs)
	}
}
