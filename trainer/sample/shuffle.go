package sample

import "nearfar/kernels/philox"

// A shuffle is one permutation of 0..n-1 an epoch: a pure function of (stream, epoch), kept for the epoch asked for last.
type shuffle struct {
	stream philox.Stream
	perm   []int32
	epoch  uint64
	filled bool
}

func newShuffle(n int, stream philox.Stream) *shuffle {
	return &shuffle{stream: stream, perm: make([]int32, n)}
}

// order is the permutation of an epoch (Fisher-Yates from the identity, so that it does not depend on the epochs before it). It
// is valid until the next call.
func (s *shuffle) order(epoch uint64) []int32 {
	if s.filled && s.epoch == epoch {
		return s.perm
	}
	for i := range s.perm {
		s.perm[i] = int32(i)
	}
	words := s.stream.Sequence(epoch, 0)
	for i := len(s.perm) - 1; i > 0; i-- {
		j := words.Below(i + 1)
		s.perm[i], s.perm[j] = s.perm[j], s.perm[i]
	}
	s.epoch, s.filled = epoch, true
	return s.perm
}
