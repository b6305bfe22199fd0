package graph

import (
	"math"
	"testing"

	"nearfar/kernels/philox"
)

func TestSelection(t *testing.T) {
	draw := philox.New(2, "selection").Sequence(0, 0)
	word := func() uint64 { return pack(draw.Word(), draw.Word()) }
	for name, next := range map[string]func() uint64{
		"uniform":  word,
		"ties":     func() uint64 { return word() >> 61 << 61 },
		"all same": func() uint64 { return math.MaxUint64 },
	} {
		for _, n := range []int{0, 1, 2, 7, 1000, 10000} {
			hash := make([]uint64, n)
			for i := range hash {
				hash[i] = next()
			}
			s := newSelection(n)
			for _, k := range []int{0, 1, n / 3, n - 1, n} {
				if k < 0 || k > n {
					continue
				}
				b := s.smallest(k, hash)
				included, highest, lowest := 0, uint64(0), uint64(math.MaxUint64)
				for i, h := range hash {
					if b.includes(h, int32(i)) {
						included++
						highest = max(highest, h)
					} else {
						lowest = min(lowest, h)
					}
				}
				if included != k || k > 0 && highest > lowest {
					t.Errorf("%s: %d of %d: %d included, up to %#x, the others from %#x", name, k, n, included, highest, lowest)
				}
			}
		}
	}
	// Among equal hashes the lower indices are included.
	s := newSelection(3)
	if b := s.smallest(2, []uint64{5, 5, 5}); !b.includes(5, 1) || b.includes(5, 2) {
		t.Errorf("two of three equal hashes: %+v", b)
	}
}
