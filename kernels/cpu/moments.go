package cpu

import (
	"nearfar/kernels"
	"nearfar/kernels/philox"
)

// Adam's moments in bfloat16: the random words of a block of elements are drawn into the first-level cache, then the block takes its step.

// roundedBlock is the elements of a block, whole blocks of Philox.
const roundedBlock = 512

// rounded is the update of Adam with moments in bfloat16.
func (c *call[T]) rounded(f *adam[T], clock tensor[T]) update[T] {
	return func(from []tensor[T], at int, g []T) {
		r := f.Rounding(clock.I)
		k := f.coefficients()
		var words [roundedBlock]uint32
		for len(g) > 0 {
			n := min(len(g), roundedBlock-at%4)
			roundingWords(c.set, &words, r, at, n)
			end := at + n
			k.roundedStep(c.set, c.out[0].F[at:end], from[0].F[at:end], c.out[1].B[at:end], c.out[2].B[at:end], from[1].B[at:end], from[2].B[at:end],
				g[:n], words[at%4:][:n])
			at, g = end, g[n:]
		}
	}
}

// roundedStep is coefficients.step, with moments that are rounded by the halves of their words.
func (k *coefficients[T]) roundedStep(set Set, pOut, p []T, mOut, vOut, m, v []uint16, g []T, words []uint32) {
	if vectors[T](set) {
		singles := k.singles()
		roundedAll(pOut, p, mOut, vOut, m, v, g, words, &singles)
		return
	}
	for i, w := range words {
		pi, mi, vi := k.element(p[i], T(kernels.FromBFloat16(m[i])), T(kernels.FromBFloat16(v[i])), g[i])
		pOut[i] = pi
		mOut[i], vOut[i] = kernels.RoundBFloat16(float32(mi), uint16(w)), kernels.RoundBFloat16(float32(vi), uint16(w>>16))
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
