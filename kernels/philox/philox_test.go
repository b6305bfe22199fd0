package philox

import (
	"math"
	"testing"
)

// The known-answer vectors of Random123 (kat_vectors, philox4x32 10).
func TestKnownAnswers(t *testing.T) {
	const ones = 0xffffffff
	for _, c := range []struct {
		key           [2]uint32
		counter, want [4]uint32
	}{
		{[2]uint32{}, [4]uint32{}, [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{[2]uint32{ones, ones}, [4]uint32{ones, ones, ones, ones}, [4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
		{[2]uint32{0xa4093822, 0x299f31d0}, [4]uint32{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, [4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
	} {
		if got := Block(c.key, c.counter); got != c.want {
			t.Errorf("Block(%08x, %08x) = %08x, want %08x", c.key, c.counter, got, c.want)
		}
	}
}

func TestStreamsDiffer(t *testing.T) {
	seen := map[[4]uint32]string{}
	for _, seed := range []uint64{0, 1, 2, 1 << 32, 1 << 63} {
		for _, name := range []string{"", "a", "b", "dropout", "dropouT"} {
			b := New(seed, name).At(0, 0, 0)
			if other, ok := seen[b]; ok {
				t.Errorf("seed %d, stream %q begins like %s", seed, name, other)
			}
			seen[b] = name
		}
	}
	s := New(7, "x")
	for _, c := range [][3]uint64{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {1 << 32, 0, 0}} {
		if s.At(c[0], uint32(c[1]), uint32(c[2])) == s.At(0, 0, 0) {
			t.Errorf("counter %v gives the block of counter 0", c)
		}
	}
}

func TestSequenceReadsBlocksInOrder(t *testing.T) {
	s := New(3, "order")
	q := s.Sequence(5, 9)
	for i := range uint32(13) {
		if got, want := q.Word(), s.At(5, 9, i/4)[i%4]; got != want {
			t.Fatalf("word %d is %08x, want %08x", i, got, want)
		}
	}
}

func TestRanges(t *testing.T) {
	if got := Uniform(0); got != 0 {
		t.Errorf("Uniform(0) = %v", got)
	}
	if got := Uniform(math.MaxUint32); got != 1-1.0/(1<<24) || float64(float32(got)) != got {
		t.Errorf("Uniform of the largest word = %v, want 1 - 2^-24, exact in float32", got)
	}
	for _, n := range []int{1, 2, 3, 1000, 1 << 31} {
		if lo, hi := Below(0, n), Below(math.MaxUint32, n); lo != 0 || hi != n-1 {
			t.Errorf("Below(., %d) spans %d..%d, want 0..%d", n, lo, hi, n-1)
		}
	}
	for _, a := range []uint32{0, math.MaxUint32} {
		if v := Normal(a, 0); math.IsInf(v, 0) || math.IsNaN(v) {
			t.Errorf("Normal(%d, 0) = %v", a, v)
		}
	}
}

// Moments of 2^17 draws; the bounds are five standard errors.
func TestMoments(t *testing.T) {
	const n = 1 << 17
	s := New(11, "moments")
	var u1, u2, n1, n2, n3, n4 float64
	for i := range uint32(n) {
		b := s.At(0, i, 0)
		u, v := Uniform(b[0]), Normal(b[2], b[3])
		u1, u2 = u1+u/n, u2+u*u/n
		n1, n2, n3, n4 = n1+v/n, n2+v*v/n, n3+v*v*v/n, n4+v*v*v*v/n
	}
	for _, m := range []struct {
		name                string
		got, want, variance float64
	}{
		{"E u", u1, 1. / 2, 1. / 12},
		{"E u²", u2, 1. / 3, 1./5 - 1./9},
		{"E z", n1, 0, 1},
		{"E z²", n2, 1, 2},
		{"E z³", n3, 0, 15},
		{"E z⁴", n4, 3, 96},
	} {
		if bound := 5 * math.Sqrt(m.variance/n); math.Abs(m.got-m.want) > bound {
			t.Errorf("%s = %v, want %v within %v", m.name, m.got, m.want, bound)
		}
	}
}

func TestBelowIsEven(t *testing.T) {
	const n, draws = 7, 70_000
	q := New(2, "even").Sequence(0, 0)
	var count [n]int
	for range draws {
		count[q.Below(n)]++
	}
	chi := 0.0
	for _, c := range count {
		d := float64(c) - draws/n
		chi += d * d / (draws / n)
	}
	if chi > 27.9 { // six degrees of freedom, p = 0.0001
		t.Errorf("chi² = %v over %v", chi, count)
	}
}
