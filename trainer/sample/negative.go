package sample

import (
	"fmt"
	"math"
	"math/bits"
	"sort"

	"nearfar/kernels/philox"
	"nearfar/trainer/dataset"
)

// Negative says how the items that a user has not are drawn.
type Negative string

const (
	// UniformItems draws each alike.
	UniformItems Negative = "uniform"
	// PopularItems draws item j in proportion to (train interactions of j)^alpha (word2vec, Mikolov et al., NIPS 2013, section 2.2, with alpha
	// .75; RecBole: distribution popularity).
	PopularItems Negative = "popularity"
)

// candidates draws negatives of user u, and tells whether there are any; else it leaves -1.
func (p *Pairwise) candidates(u int, words *philox.Sequence, out []int32) bool {
	owned := p.train.Of(u)
	if len(owned) == p.train.Items {
		fill(out, -1)
		return false
	}
	for k := range out {
		if p.popular != nil {
			out[k] = p.popular.negative(u, owned, words) + p.offset
		} else {
			out[k] = negative(owned, p.train.Items, words.Word()) + p.offset
		}
	}
	return true
}

// negative maps a random word to an item in 0..items-1 that is not in owned (sorted, distinct), uniformly; -1 where there is none.
//
// It has the distribution of drawing items until one is not owned, with one draw and one search: the r-th free item is r + k,
// k being the number of owned items before it, and owned[k]-k counts the free items before owned[k].
func negative(owned []int32, items int, word uint32) int32 {
	free := items - len(owned)
	if free <= 0 {
		return -1
	}
	r := int32(philox.Below(word, free))
	lo, hi := 0, len(owned)
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		if owned[mid]-int32(mid) <= r {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return r + int32(lo)
}

// popular draws in proportion to popularity among the items that a user has not. Weights are integers, so that sums are exact and the search
// of negative works on them as it does on counts: one draw, two binary searches, and no rejection, whatever share of the mass a user has.
type popular struct {
	train *dataset.Interactions
	below []uint64 // [items+1]: weight of the items before an item
	owned []uint64 // [interactions]: weight of the user's items before this one
}

// massBits is the size of the sum of all weights: 2^52, within rounding, so that rounding to integers is as fine as a float64 is.
const massBits = 52

func newPopular(train *dataset.Interactions, alpha float64) (*popular, error) {
	if !(alpha >= 0) || math.IsInf(alpha, 1) {
		return nil, fmt.Errorf("sample: exponent %g of popularity: want at least 0", alpha)
	}
	p := &popular{train: train, below: make([]uint64, train.Items+1), owned: make([]uint64, 0, train.Len())}
	degrees := train.ItemDegrees()
	most, sum := 1.0, 0.0
	for _, n := range degrees {
		most = max(most, float64(n))
	}
	weight := func(i int) float64 { return math.Pow(float64(degrees[i])/most, alpha) } // of the most popular: no exponent overflows
	for i := range degrees {
		sum += weight(i)
	}
	for i := range degrees {
		p.below[i+1] = p.below[i] + uint64(math.Round(math.Ldexp(weight(i)/sum, massBits)))
	}
	for u := range train.Users() {
		mass := uint64(0)
		for _, i := range train.Of(u) {
			p.owned = append(p.owned, mass)
			mass += p.weight(i)
		}
	}
	return p, nil
}

func (p *popular) weight(i int32) uint64 { return p.below[i+1] - p.below[i] }

// negative draws an item that user u, who has the items owned and not all there are, has not. Where those others have no weight, because nobody
// has them, each is drawn alike.
func (p *popular) negative(u int, owned []int32, words *philox.Sequence) int32 {
	high, low := words.Word(), words.Word()
	before := p.owned[p.train.Ptr[u]:p.train.Ptr[u+1]]
	total, mass := p.below[p.train.Items], uint64(0)
	if n := len(owned); n > 0 {
		mass = before[n-1] + p.weight(owned[n-1])
	}
	if mass == total {
		return negative(owned, p.train.Items, high)
	}
	r, _ := bits.Mul64(uint64(high)<<32|uint64(low), total-mass)
	// below - before is the free weight in front of an owned item. Those with no more than r are passed, and their weight is added.
	k := sort.Search(len(owned), func(k int) bool { return p.below[owned[k]]-before[k] > r })
	from := int32(0)
	if k > 0 {
		from = owned[k-1] + 1
		r += before[k-1] + p.weight(owned[k-1])
	}
	return from + int32(sort.Search(p.train.Items-int(from), func(i int) bool { return p.below[int(from)+i+1] > r }))
}
