package graph

import (
	"fmt"
	"math/bits"
	"slices"
	"sort"

	"nearfar/kernels/philox"
)

// edgeReplacement drops int(rho edges) edges, those of the largest hashes, and adds as many pairs of a user and an item that are no
// training interaction, uniform over all sets of that many.
//
// Pair number r of the absent ones, by user and then item, is found by two searches, so that no draw is rejected because of the graph; and
// Floyd's algorithm (Bentley and Floyd, CACM 1987) draws k distinct numbers with k draws. So the cost does not depend on luck or density.
type edgeReplacement struct {
	*ranking
	base       *Bipartite
	rho        float64
	drop, pair philox.Stream
	before     []uint64 // [Users+1] absent pairs of the users before a user
	number     []uint64 // of the drawn pairs
	drawn      numbers
}

func newEdgeReplacement(g *Bipartite, rho float64, seed uint64, r *ranking) (*edgeReplacement, error) {
	s := &edgeReplacement{ranking: r, base: g, rho: rho,
		drop: philox.New(seed, "graph/views/edge-add/drop"), pair: philox.New(seed, "graph/views/edge-add/pair"), before: make([]uint64, g.Users+1)}
	for u := range g.Users {
		s.before[u+1] = s.before[u] + uint64(g.Items-g.Degree(u))
	}
	most, absent := int(rho*float64(g.Edges())), s.before[g.Users]
	if uint64(most) > absent {
		return nil, fmt.Errorf("%s with a ratio of %g adds %d pairs, and only %d are no training interaction: lower the ratio, or drop edges with %s",
			EdgeAdd, rho, most, absent, EdgeDropout)
	}
	s.number, s.drawn = make([]uint64, 0, most), newNumbers(most)
	return s, nil
}

func (s *edgeReplacement) apply(d drawn, edges []edge) []edge {
	k := int(s.rho * float64(len(edges)))
	kept := s.keep(len(edges)-k, s.drop, d, edges, int32(s.base.Users))

	absent := s.before[s.base.Users]
	s.drawn.clear()
	s.number = s.number[:0]
	for j := range k {
		// Floyd: of 0..last, and last itself where that one is drawn already.
		last := absent - uint64(k) + uint64(j)
		high, _ := bits.Mul64(hashOf(s.pair, d, uint32(j), 0), last+1)
		if !s.drawn.add(high) {
			high = last
			s.drawn.add(last)
		}
		s.number = append(s.number, high)
	}
	slices.Sort(s.number)

	// From the back, the larger of both lists' last goes to its final place; what it takes is read already.
	edges = edges[:len(kept)+k]
	for to := len(edges); k > 0; {
		to--
		added := s.absent(s.number[k-1])
		if n := len(kept); n > 0 && (kept[n-1].user > added.user || kept[n-1].user == added.user && kept[n-1].item > added.item) {
			edges[to], kept = kept[n-1], kept[:n-1]
		} else {
			edges[to] = added
			k--
		}
	}
	return edges
}

// absent is absent pair number r.
func (s *edgeReplacement) absent(r uint64) edge {
	u := sort.Search(s.base.Users, func(u int) bool { return s.before[u+1] > r })
	free, owned := int(r-s.before[u]), s.base.Of(u)
	// owned[k] - Users - k counts the free items before owned[k].
	k := sort.Search(len(owned), func(k int) bool { return int(owned[k])-s.base.Users-k > free })
	return edge{int32(u), int32(s.base.Users + free + k)}
}

// numbers is a set with linear probing. Its memory is kept from one use to the next, which no map promises.
type numbers struct {
	slot []uint64 // number + 1; 0 is free
}

// newNumbers has room for n, at most half full.
func newNumbers(n int) numbers { return numbers{make([]uint64, 1<<bits.Len(uint(2*n)))} }

func (s numbers) clear() { clear(s.slot) }

// add tells whether x was not there.
func (s numbers) add(x uint64) bool {
	const golden = 0x9E3779B97F4A7C15 // Fibonacci hashing: consecutive numbers far apart
	mask := uint64(len(s.slot) - 1)
	for at := x * golden >> 32 & mask; ; at = (at + 1) & mask {
		switch s.slot[at] {
		case 0:
			s.slot[at] = x + 1
			return true
		case x + 1:
			return false
		}
	}
}
