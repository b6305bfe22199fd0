package cpu

import (
	"math"

	"nearfar/kernels"
	"nearfar/kernels/philox"
)

// Random: words = Philox4x32-10(key(seed, Stream), counter(t, row, column / per block)).
//
// Writes each element once; 20 multiplications of 32 bits a block of four words. Uniform, 70k x 64, on one thread of a Zen 4: 2.1 ms by AVX-512, 2.5 by
// AVX2, 18 in plain Go (2026-11-25). Normal goes through philox.Normal, whose logarithm and cosine outweigh the words.
func (c *call[T]) random(k kernels.Random) Work {
	out, clock, cols := c.out[0].F, c.in[0], k.Shape.Cols()
	wide := span{cols, grain / 4} // a part of a row starts at a block
	parts := wide.chunks()
	return Work{cut(k.Shape.Rows()*parts, 4*min(cols, wide.part)).phase(func(lo, hi int) {
		seed, t := kernels.Clock(clock.I)
		s := stretch{philox.Keyed(seed, k.Stream), t, lo, 0, cols}
		if parts == 1 && !k.Rows {
			draw(c.set, k, out[lo*cols:hi*cols], s)
			return
		}
		for at := lo; at < hi; at++ {
			beg, end := wide.at(at % parts)
			r := at / parts
			y := out[r*cols:][beg:end]
			if k.Rows {
				if r = int(c.in[1].I[r]); r < 0 {
					clear(y)
					continue
				}
			}
			s.row, s.col, s.cols = r, beg, end-beg
			draw(c.set, k, y, s)
		}
	})}
}

// signedNoise draws the noise of a few rows at a time into the L1 cache, where it is scaled and added: only X and the output pass through memory.
// yelp2018's 70k x 64 on one thread of a Zen 4: 3.6 ms by AVX-512, 4.0 by AVX2, 26 in plain Go; Random, NormaliseRows and the Map that it stands for take 6.4.
// 2.1 of it are Philox, of which two chains side by side brought a tenth. Prefetching the next tile of X did as much; the inverse norms of a tile before
// its sums, as two loops, three tenths. (2026-12-01)
func (c *call[T]) signedNoise(k kernels.SignedNoise) Work {
	x, y, clock := c.in[0].F, c.out[0].F, c.in[1]
	d := c.out[0].Cols()
	if d > noiseRoom {
		return nil
	}
	noise := k.Noise(c.out[0].Desc)
	return Work{cut(c.out[0].Rows(), 6*d).phase(func(lo, hi int) {
		var room [noiseRoom]T
		seed, t := kernels.Clock(clock.I)
		s := stretch{philox.Keyed(seed, k.Stream), t, 0, 0, d}
		few := max(1, noiseTile/max(1, d))
		if k.Rows {
			few = 1
		}
		for ; lo < hi; lo += few {
			n := min(few, hi-lo)
			u := room[:n*d]
			if s.row = lo; k.Rows {
				s.row = int(c.in[2].I[lo])
			}
			if s.row < 0 {
				clear(u)
			} else {
				draw(c.set, noise, u, s)
			}
			addNoise(c.set, y[lo*d:][:n*d], x[lo*d:][:n*d], u, d, k)
		}
	})}
}

const (
	noiseTile = 1024 // elements of a few rows; signedNoiseAVX2 prefetches so far ahead
	noiseRoom = 4096 // the longest row
)

// addNoise is y_i = x_i + scale · sign(x_i) ⊙ u_i / max(|u_i|, eps) for rows of d elements; y may be x.
func addNoise[T float](set Set, y, x, u []T, d int, k kernels.SignedNoise) {
	if vectors[T](set) {
		addNoiseAll(y, x, u, d, float32(k.Scale), k.Eps)
		return
	}
	scale := T(k.Scale)
	for ; len(y) > 0; y, x, u = y[d:], x[d:], u[d:] {
		inv := 1 / max(math.Sqrt(exactDot(u[:d], u[:d])), k.Eps)
		for j, v := range u[:d] {
			y[j] = x[j] + T(scale*(sign(x[j])*T(float64(v)*inv))) // rounded as if each were stored
		}
	}
}

// stretch is a place among the numbers of a stream: rows from row on, of each cols numbers from column col on, which is a multiple of 4.
type stretch struct {
	philox.Stream
	t              uint64
	row, col, cols int
}

// draw fills y with the numbers of a stretch.
func draw[T float](set Set, k kernels.Random, y []T, s stretch) {
	switch {
	case k.Distribution == kernels.Normal:
		normals(y, s)
		return
	case vectors[T](set):
		uniformsAVX(set, as32(y), s)
	default:
		uniforms(y, s)
	}
	if k.Distribution == kernels.Bernoulli {
		bernoulli(set, y, k.P)
	}
}

// bernoulli makes 1 of numbers below p and 0 of others. The numbers are multiples of 2^-24, and so may p be, rounded up: it is compared in the precision of T.
func bernoulli[T float](set Set, y []T, p float64) {
	var limit [tileMax]T
	for i := range limit {
		limit[i] = T(math.Ceil(p*(1<<24)) / (1 << 24))
	}
	for len(y) > 0 {
		tile := y[:min(tileMax, len(y))]
		apply(set, kernels.Greater, tile, limit[:len(tile)], tile, nil, 0)
		y = y[len(tile):]
	}
}

// normals is draw for Normal.
func normals[T float](y []T, s stretch) {
	for r := uint32(s.row); len(y) > 0; r++ {
		for j := 0; j < s.cols; j += 2 {
			b := s.At(s.t, r, uint32((s.col+j)/2))
			y[j] = T(philox.Normal(b[0], b[1]))
			if j+1 < s.cols {
				y[j+1] = T(philox.Normal(b[2], b[3]))
			}
		}
		y = y[s.cols:]
	}
}

// uniforms is draw for Uniform.
func uniforms[T float](y []T, s stretch) {
	for r := uint32(s.row); len(y) > 0; r++ {
		row := y[:s.cols]
		for j := uint32(s.col / 4); len(row) > 0; j++ {
			a, b, c, d := philox.Words(s.Key(), j, r, uint32(s.t), uint32(s.t>>32)) // Stream.At
			if len(row) < 4 {
				words := [4]uint32{a, b, c, d}
				for i := range row {
					row[i] = unit[T](words[i])
				}
				break
			}
			row[0], row[1], row[2], row[3] = unit[T](a), unit[T](b), unit[T](c), unit[T](d)
			row = row[4:]
		}
		y = y[s.cols:]
	}
}

// unit is philox.Uniform, exact in either precision.
func unit[T float](w uint32) T { return T(int32(w>>8)) * (1.0 / (1 << 24)) }
