package cpu

import (
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
		stream := philox.Keyed(seed, k.Stream)
		for at := lo; at < hi; at++ {
			r := at / parts
			beg, end := wide.at(at % parts)
			y := out[r*cols+beg : r*cols+end]
			if k.Rows {
				if r = int(c.in[1].I[r]); r < 0 {
					clear(y)
					continue
				}
			}
			if k.Distribution == kernels.Normal {
				normals(y, stream, t, uint32(r), beg)
				continue
			}
			uniforms(y, stream.Key(), t, uint32(r), beg)
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
		a, b, c, d := philox.Words(key, j, r, uint32(t), uint32(t>>32)) // Stream.At
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
