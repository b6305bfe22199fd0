package evaluate

import (
	"slices"

	"nearfar/kernels/philox"
)

// A sampler draws the negatives of a sampled ranking: uniformly and without repetition from the items that are neither masked nor targets,
// the same ones for a seed and a user whatever the model.
type sampler struct {
	stream   philox.Stream
	items, n int
	excluded []int32 // of the user at hand: targets and masked items, ascending
	drawn    []bool  // [items] by rank among what is not excluded, all false between two users
	ranks    []int32
	among    []int32
}

func newSampler(items, n int, seed uint64) *sampler {
	return &sampler{stream: philox.New(seed, "evaluate/candidates"), items: items, n: n, drawn: make([]bool, items)}
}

// candidates lists the items that a user's sampled ranking is over, ascending: the targets that are not masked, and n negatives, all that there
// are where there are fewer. The slice is valid until the next call.
func (s *sampler) candidates(user int32, targets []int32, masks [][]int32) []int32 {
	s.excluded = append(s.excluded[:0], targets...)
	for _, m := range masks {
		s.excluded = append(s.excluded, m...)
	}
	slices.Sort(s.excluded)
	s.excluded = slices.Compact(s.excluded)
	s.draw(user, s.items-len(s.excluded))

	s.among = s.among[:0]
	for _, i := range targets {
		if !listed(masks, i) {
			s.among = append(s.among, i)
		}
	}
	// The item of a rank among those that are left is the rank and the excluded items before it.
	before := 0
	for _, rank := range s.ranks {
		for before < len(s.excluded) && int(s.excluded[before])-before <= int(rank) {
			before++
		}
		s.among = append(s.among, rank+int32(before))
	}
	slices.Sort(s.among)
	return s.among
}

// draw sets ranks to n of 0..left-1, ascending (Floyd's algorithm, CACM 30(9), 1987: n draws, however much is excluded).
func (s *sampler) draw(user int32, left int) {
	s.ranks = s.ranks[:0]
	words := s.stream.Sequence(0, uint32(user))
	for j := max(0, left-s.n); j < left; j++ {
		rank := words.Below(j + 1)
		if s.drawn[rank] {
			rank = j
		}
		s.drawn[rank] = true
		s.ranks = append(s.ranks, int32(rank))
	}
	for _, rank := range s.ranks {
		s.drawn[rank] = false
	}
	slices.Sort(s.ranks)
}
