// Package philox is the counter-based generator behind every random number of nearfar: Philox4x32-10.
//
// A counter-based generator is a pure function block = f(key, counter). Nothing is advanced, so a number can be drawn by any
// thread, on any device, in any order, and again after a resume, and it is always the same number.
//
// Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3. SC 2011.
package philox

import (
	"hash/fnv"
	"math"
	"math/bits"
)

const (
	multiplier0 = 0xD2511F53
	multiplier1 = 0xCD9E8D57
	weyl0       = 0x9E3779B9
	weyl1       = 0xBB67AE85
	rounds      = 10
)

// Block returns the four 32-bit words of one counter under one key.
func Block(key [2]uint32, counter [4]uint32) [4]uint32 {
	a, b, c, d := Words(key, counter[0], counter[1], counter[2], counter[3])
	return [4]uint32{a, b, c, d}
}

// Words is Block in registers, for inner loops: an array goes through memory at every round, which is 3 times slower.
func Words(key [2]uint32, a, b, c, d uint32) (uint32, uint32, uint32, uint32) {
	k0, k1 := key[0], key[1]
	for range rounds {
		hi0, lo0 := bits.Mul32(multiplier0, a)
		hi1, lo1 := bits.Mul32(multiplier1, c)
		a, b, c, d = hi1^b^k0, lo1, hi0^d^k1, lo0
		k0 += weyl0
		k1 += weyl1
	}
	return a, b, c, d
}

// Keys are the keys of the rounds, two for each, as Words forms them on its way.
func Keys(key [2]uint32) (keys [2 * rounds]uint32) {
	for i := range uint32(rounds) {
		keys[2*i], keys[2*i+1] = key[0]+i*weyl0, key[1]+i*weyl1
	}
	return keys
}

// Stream is a named sequence of random numbers under one seed. Two streams of different names are independent.
type Stream struct{ key [2]uint32 }

// Name is the 64-bit hash by which a stream is known (FNV-1a of its name).
func Name(stream string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(stream))
	return h.Sum64()
}

// New returns the stream called name of a run's seed.
func New(seed uint64, name string) Stream { return Keyed(seed, Name(name)) }

// Keyed is New for a name that is already hashed. The key is the first half of a block that mixes seed and name, so that
// neither a small change of the seed nor of the name leaves two streams related.
func Keyed(seed, name uint64) Stream {
	b := Block([2]uint32{uint32(seed), uint32(seed >> 32)}, [4]uint32{uint32(name), uint32(name >> 32), 0x6e656172, 0x66617221})
	return Stream{[2]uint32{b[0], b[1]}}
}

// Key is the stream's key for Words.
func (s Stream) Key() [2]uint32 { return s.key }

// At returns the four words at counter (t, row, column): t is the step or the epoch.
func (s Stream) At(t uint64, row, column uint32) [4]uint32 {
	return Block(s.key, [4]uint32{column, row, uint32(t), uint32(t >> 32)})
}

// Uniform maps a word to [0, 1) in steps of 2^-24; the result is exact in float32 and in float64.
func Uniform(x uint32) float64 { return float64(x>>8) * (1.0 / (1 << 24)) }

// Below maps a word to 0..n-1 by multiply-high. The bias is at most n/2^32.
func Below(x uint32, n int) int { return int(uint64(x) * uint64(n) >> 32) }

// Normal maps two words to a standard normal variate (Box-Muller).
func Normal(a, b uint32) float64 {
	u := (float64(a>>8) + 1) * (1.0 / (1 << 24)) // (0, 1], so that the logarithm is finite
	return math.Sqrt(-2*math.Log(u)) * math.Cos(2*math.Pi*Uniform(b))
}

// Sequence draws words one after another from a stream at a fixed (t, row), four columns' worth a block.
type Sequence struct {
	stream Stream
	t      uint64
	row    uint32
	next   uint32
	block  [4]uint32
}

// Sequence starts at column 0 of (t, row).
func (s Stream) Sequence(t uint64, row uint32) Sequence { return Sequence{stream: s, t: t, row: row} }

// Word returns the next 32 bits.
func (q *Sequence) Word() uint32 {
	if q.next%4 == 0 {
		q.block = q.stream.At(q.t, q.row, q.next/4)
	}
	q.next++
	return q.block[(q.next-1)%4]
}

// Below returns the next bounded integer, 0..n-1.
func (q *Sequence) Below(n int) int { return Below(q.Word(), n) }
