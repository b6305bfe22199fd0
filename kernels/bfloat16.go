package kernels

import (
	"math"

	"nearfar/kernels/philox"
)

// FromBFloat16 is the value of a bfloat16: 8 bits of significand, and the range of a float32.
func FromBFloat16(b uint16) float32 { return math.Float32frombits(uint32(b) << 16) }

// ToBFloat16 rounds to the nearest bfloat16, ties to even.
func ToBFloat16(f float32) uint16 {
	bits := math.Float32bits(f)
	return bfloat16(f, 0x7fff+bits>>16&1)
}

// RoundBFloat16 rounds to one of the two bfloat16 between which f is, by 16 random bits: up in magnitude with the probability f - down : up - down, so that
// the mean of the results is f. What is a bfloat16 stays. Above the largest one, up is infinite. (Stochastic rounding: Gupta, Agrawal, Gopalakrishnan,
// Narayanan, ICML 2015.)
func RoundBFloat16(f float32, random uint16) uint16 { return bfloat16(f, uint32(random)) }

// bfloat16 is the upper half of f's bits and a number below 2^16, which is what carries.
func bfloat16(f float32, add uint32) uint16 {
	if f != f {
		return 0x7fc0
	}
	return uint16((math.Float32bits(f) + add) >> 16)
}

// RoundedMoments rounds Adam's moments. The second one changes by a thousandth a step, which is less than half of the distance between two bfloat16: the
// nearest would be the same for ever. Rounded by chance it moves, and is right on the average. The bits are a pure function of
// (seed, stream, t, element): word e mod 4 of
//
//	Philox4x32-10(key(seed, Stream), counter(e / 4 low, e / 4 high, t low, t high))
//
// of which the lower half is for m, and the upper for v.
type RoundedMoments struct {
	philox.Stream
	T uint64
}

// Rounding is that of a step, whose clock is given.
func (a Adam) Rounding(clock []int32) RoundedMoments {
	seed, t := Clock(clock)
	return RoundedMoments{philox.Keyed(seed, a.Stream), t}
}

// At rounds the moments of element e, counted through the whole parameter.
func (r RoundedMoments) At(e int, m, v float32) (m16, v16 uint16) {
	block := uint64(e) / 4
	word := r.Stream.At(r.T, uint32(block>>32), uint32(block))[e%4]
	return RoundBFloat16(m, uint16(word)), RoundBFloat16(v, uint16(word>>16))
}
