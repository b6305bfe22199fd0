package cpu

import (
	"math/bits"

	"nearfar/kernels"
	"nearfar/kernels/philox"
)

// Random: words = Philox4x32-10(key(seed, Stream), counter(t, row, column / per block)).
//
// Writes each element once; 20 multiplications of 32 bits a block of four words, about 8 ns. Normal goes through philox.Normal,
// whose logarithm and cosine outweigh the words.
func (c *call[T]) random(k kernels.Random) Work {
	out, clock, cols := c.out[0].F, c.in[0], k.Shape.Cols()
	wide := span{cols, grain / 4} // a part of a row starts at a block
	parts := wide.chunks()
	return Work{cut(k.Shape.Rows()*parts, 4*min(cols, wide.part)).phase(func(lo, hi int) {
		seed, t := kernels.Clock(clock.I)
		stream, key := philox.Keyed(seed, k.Stream), streamKey(seed, k.Stream)
		for at := lo; at < hi; at++ {
			r := at / parts
			beg, end := wide.at(at % parts)
			y := out[r*cols+beg : r*cols+end]
			if k.Distribution == kernels.Normal {
				normals(y, stream, t, uint32(r), beg)
				continue
			}
			uniforms(y, key, t, uint32(r), beg)
			if k.Distribution == kernels.Bernoulli {
				for j, u := range y {
					y[j] = indicator[T](float64(u) < k.P)
				}
			}
		}
	})}
}

// normals fills y from column col of row r on; col is even.
func normals[T float](y []T, s philox.Stream, t uint64, r uint32, col int) {
	for j := 0; j < len(y); j += 2 {
		b := s.At(t, r, uint32((col+j)/2))
		y[j] = T(philox.Normal(b[0], b[1]))
		if j+1 < len(y) {
			y[j+1] = T(philox.Normal(b[2], b[3]))
		}
	}
}

// uniforms fills y from column col of row r on; col is a multiple of 4.
func uniforms[T float](y []T, key [2]uint32, t uint64, r uint32, col int) {
	for j := uint32(col / 4); len(y) > 0; j++ {
		a, b, c, d := block(key, j, r, t)
		if len(y) < 4 {
			words := [4]uint32{a, b, c, d}
			for i := range y {
				y[i] = unit[T](words[i])
			}
			return
		}
		y[0], y[1], y[2], y[3] = unit[T](a), unit[T](b), unit[T](c), unit[T](d)
		y = y[4:]
	}
}

// unit is philox.Uniform, exact in either precision.
func unit[T float](w uint32) T { return T(int32(w>>8)) * (1.0 / (1 << 24)) }

// streamKey is the key of philox.Keyed(seed, name), which that type keeps to itself.
func streamKey(seed, name uint64) [2]uint32 {
	b := philox.Block([2]uint32{uint32(seed), uint32(seed >> 32)}, [4]uint32{uint32(name), uint32(name >> 32), 0x6e656172, 0x66617221})
	return [2]uint32{b[0], b[1]}
}

// block is philox.Stream.At in registers: an array there would go through memory at every round, which is 3 times slower.
func block(key [2]uint32, column, row uint32, t uint64) (a, b, c, d uint32) {
	const (
		multiplier0, multiplier1 = 0xD2511F53, 0xCD9E8D57
		weyl0, weyl1             = 0x9E3779B9, 0xBB67AE85
	)
	a, b, c, d = column, row, uint32(t), uint32(t>>32)
	k0, k1 := key[0], key[1]
	for range 10 {
		hi0, lo0 := bits.Mul32(multiplier0, a)
		hi1, lo1 := bits.Mul32(multiplier1, c)
		a, b, c, d = hi1^b^k0, lo1, hi0^d^k1, lo0
		k0 += weyl0
		k1 += weyl1
	}
	return
}
