package cpu

import (
	"nearfar/kernels"
	"nearfar/kernels/philox"
)

// Adam's moments in bfloat16: a block of them is widened, takes its step in the first-level cache, and is rounded by random bits.

// roundedBlock is the elements of a block, whole blocks of Philox.
const roundedBlock = 512

// rounded is the step of Adam with moments in bfloat16.
func (c *call[T]) rounded(f adam[T], clock tensor[T]) update[T] {
	return func(from []tensor[T], at int, g []T) {
		r := f.Rounding(clock.I)
		for len(g) > 0 {
			n := min(len(g), roundedBlock-at%4)
			c.roundedStep(f, r, from, at, g[:n])
			at, g = at+n, g[n:]
		}
	}
}

// roundedStep is rounded for elements of which all random words are in a block.
func (c *call[T]) roundedStep(f adam[T], r kernels.RoundedMoments, from []tensor[T], at int, g []T) {
	var (
		moment [2][roundedBlock]T
		words  [roundedBlock]uint32
		n      = len(g)
		m, v   = moment[0][:n], moment[1][:n]
	)
	widen(c.set, m, from[1].B[at:at+n])
	widen(c.set, v, from[2].B[at:at+n])
	f.do([3][]T{c.out[0].F[at : at+n], m, v}, [3][]T{from[0].F[at : at+n], m, v}, g)
	roundingWords(c.set, &words, r, at, n)
	roundMoments(c.set, c.out[1].B[at:at+n], c.out[2].B[at:at+n], m, v, words[at%4:][:n])
}

func widen[T float](set Set, y []T, b []uint16) {
	done := 0
	if vectors[T](set) {
		done = widenAVX(y, b)
	}
	for i, v := range b[done:] {
		y[done+i] = T(kernels.FromBFloat16(v))
	}
}

// roundingWords sets the words of the n elements from at on, and of those before them in the first block of Philox.
func roundingWords(set Set, words *[roundedBlock]uint32, r kernels.RoundedMoments, at, n int) {
	block, blocks := uint64(at/4), (at%4+n+3)/4
	if vectors[float32](set) && roundingWordsAVX(set, words, r, block, blocks) {
		return
	}
	key := r.Key()
	for i := range blocks {
		b := block + uint64(i)
		words[4*i], words[4*i+1], words[4*i+2], words[4*i+3] = philox.Words(key, uint32(b), uint32(b>>32), uint32(r.T), uint32(r.T>>32))
	}
}

// roundMoments rounds by the words' halves.
func roundMoments[T float](set Set, m16, v16 []uint16, m, v []T, words []uint32) {
	done := 0
	if vectors[T](set) {
		done = roundMomentsAVX(m16, v16, m, v, words)
	}
	for i := done; i < len(words); i++ {
		m16[i] = kernels.RoundBFloat16(float32(m[i]), uint16(words[i]))
		v16[i] = kernels.RoundBFloat16(float32(v[i]), uint16(words[i]>>16))
	}
}
