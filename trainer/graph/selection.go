package graph

import (
	"cmp"
	"math"
	"slices"
)

// A bound splits hashed elements exactly: those with a smaller hash, ties by a smaller index, are below it.
type bound struct {
	hash  uint64
	index int32
}

// includes tells whether element index is at or below the bound.
func (b bound) includes(hash uint64, index int32) bool {
	return hash < b.hash || hash == b.hash && index <= b.index
}

// selection finds the k-th smallest of n uniform hashes in two passes: a histogram of their leading bits names the bin that holds
// it, and only that bin's few elements are sorted. Its memory is kept from one use to the next.
type selection struct {
	histogram []int32
	bin       []bound
}

const binBits = 12 // 4,096 bins: the histogram stays in the first-level cache

// newSelection has room for n hashes. The number of elements in a bin is binomial, with a mean of n/4096 and a standard deviation of at
// most the root of that; 16 deviations are enough for ever.
func newSelection(n int) selection {
	mean := float64(n) / (1 << binBits)
	return selection{make([]int32, 1<<binBits), make([]bound, 0, min(n, int(mean+16*math.Sqrt(mean))+64))}
}

// smallest returns the bound that includes exactly the k smallest of hash, 0 <= k <= len(hash).
func (s *selection) smallest(k int, hash []uint64) bound {
	if k == 0 {
		return bound{0, -1}
	}
	clear(s.histogram)
	for _, h := range hash {
		s.histogram[h>>(64-binBits)]++
	}
	leading := uint64(0)
	for k > int(s.histogram[leading]) {
		k -= int(s.histogram[leading])
		leading++
	}
	s.bin = s.bin[:0]
	for i, h := range hash {
		if h>>(64-binBits) == leading {
			s.bin = append(s.bin, bound{h, int32(i)})
		}
	}
	slices.SortFunc(s.bin, func(a, b bound) int { return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.index, b.index)) })
	return s.bin[k-1]
}
