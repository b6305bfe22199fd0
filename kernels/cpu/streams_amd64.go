//go:build !noasm

package cpu

import (
	"unsafe"

	"nearfar/kernels"
	"nearfar/kernels/philox"
)

// Kernels that wait for memory, for float32 by AVX2: the functions below are reached where vectors says so.

// vectors tells whether the set has assembly for T.
func vectors[T float](s Set) bool { return s.level >= avx2 && unsafe.Sizeof(T(0)) == 4 }

// at is where x begins; T is float32.
func at[T float](x []T) *float32 { return (*float32)(unsafe.Pointer(unsafe.SliceData(x))) }

// The next three are the loops of the optimisers, with the coefficients that their assembly takes.

func adamAll[T float](out, in [3][]T, g []T, c *[10]float32) {
	n := mustHold(3, out, in, len(g))
	adamAVX2(at(out[0]), at(out[1]), at(out[2]), at(in[0]), at(in[1]), at(in[2]), at(g), n, c)
}

func sgdAll[T float](k kernels.SGD, out, in [3][]T, g []T, scale, lr float32) {
	n := mustHold(1+k.States(), out, in, len(g))
	c := [4]float32{scale, float32(k.Decay), lr, float32(k.Momentum)}
	switch {
	case k.States() == 0:
		sgdAVX2(at(out[0]), at(in[0]), at(g), n, (*[3]float32)(c[:]))
	case k.Nesterov:
		nesterovAVX2(at(out[0]), at(out[1]), at(in[0]), at(in[1]), at(g), n, &c)
	default:
		momentumAVX2(at(out[0]), at(out[1]), at(in[0]), at(in[1]), at(g), n, &c)
	}
}

func adagradAll[T float](k kernels.Adagrad, out, in [3][]T, g []T, scale, lr float32) {
	n := mustHold(2, out, in, len(g))
	adagradAVX2(at(out[0]), at(out[1]), at(in[0]), at(in[1]), at(g), n, &[4]float32{scale, float32(k.Decay), lr, float32(k.Eps)})
}

// mustHold panics unless the first tensors have n elements each.
func mustHold[T float](tensors int, out, in [3][]T, n int) int {
	for k := range tensors {
		_, _ = out[k][:n], in[k][:n]
	}
	return n
}

// mapTileOps are the operations that mapTile has, a bit for each.
const mapTileOps = 1<<kernels.Neg | 1<<kernels.Sign | 1<<kernels.Sqrt | 1<<kernels.Recip | 1<<kernels.ReLU | 1<<kernels.Square | 1<<kernels.Positive |
	1<<kernels.Scale | 1<<kernels.AddImm | 1<<kernels.MaxImm | 1<<kernels.Add | 1<<kernels.Sub | 1<<kernels.Mul | 1<<kernels.Div | 1<<kernels.Max |
	1<<kernels.Min | 1<<kernels.Equal | 1<<kernels.Greater | 1<<kernels.Where

// applyAVX2 is apply where there is assembly for the operation.
func applyAVX2[T float](op kernels.MapOp, d, a, b, c []T, imm T) bool {
	if mapTileOps>>op&1 == 0 {
		return false
	}
	_ = a[:len(d)]
	if op >= kernels.Add {
		_ = b[:len(d)]
	}
	if op == kernels.Where {
		_ = c[:len(d)]
	}
	mapTile(int(op), at(d), at(a), at(b), at(c), len(d), float32(imm))
	return true
}

// The next three are the loops of rowDot, normaliseRows and normaliseRowsGrad over whole operands.

func rowDotAll[T float](out, x, y []T, d int) {
	n := len(out)
	if n > 0 {
		_, _ = x[:n*d], y[:n*d]
		rowDotAVX2(at(out), at(x), at(y), n, d)
	}
}

func normaliseAll[T float](y, inv, x []T, d int, eps float64) {
	n := len(inv)
	if n > 0 {
		_, _ = x[:n*d], y[:n*d]
		normaliseRowsAVX2(at(y), at(inv), at(x), n, d, eps)
	}
}

func normaliseGradAll[T float](dx, y, inv, g []T, d int) {
	n := len(inv)
	if n > 0 {
		_, _, _ = dx[:n*d], y[:n*d], g[:n*d]
		normaliseRowsGradAVX2(at(dx), at(y), at(inv), at(g), n, d)
	}
}

// addNoiseAll is addNoise by AVX2.
func addNoiseAll[T float](y, x, u []T, d int, scale float32, eps float64) {
	_, _ = x[:len(y)], u[:len(y)]
	var inv [64][2]float32
	for n := 0; d > 0 && len(y) > 0; y, x, u = y[n*d:], x[n*d:], u[n*d:] {
		n = min(len(inv), len(y)/d)
		inverseNormsAVX2(&inv[0], at(u), n, d, eps)
		signedNoiseAVX2(at(y), at(x), at(u), &inv[0], n, d, scale)
	}
}

// totalAVX2 is total where there is assembly for the operation.
func totalAVX2[T float](op kernels.ReduceOp, x []T) (s float64, ok bool) {
	const most = 1 << 20 // elements of a call, which nothing interrupts
	for ; len(x) > most; x = x[most:] {
		part, _ := totalAVX2(op, x[:most])
		s += part
	}
	switch op {
	case kernels.Sum:
		return s + sumAVX2(at(x), len(x)), true
	case kernels.SumSquares:
		return s + sumSquaresAVX2(at(x), len(x)), true
	case kernels.AllFinite:
		return s + sumDifferencesAVX2(at(x), len(x)), true
	}
	return 0, false
}

// uniformsAVX is uniforms by 32 numbers; what is left of each row is taken from 32 more.
func uniformsAVX(set Set, y []float32, s stretch) {
	if len(y) == 0 {
		return
	}
	keys := philox.Keys(s.Key())
	counter := [4]uint32{uint32(s.col / 4), uint32(s.row), uint32(s.t), uint32(s.t >> 32)}
	rows, whole := len(y)/s.cols, s.cols/32
	if whole > 0 {
		philoxRows(set, &y[0], rows, whole, 4*s.cols, &keys, &counter)
	}
	if left := s.cols % 32; left > 0 {
		counter[0] += uint32(8 * whole)
		for r := range rows {
			var more [32]float32
			philoxRows(set, &more[0], 1, 1, 0, &keys, &counter)
			copy(y[(r+1)*s.cols-left:][:left], more[:])
			counter[1]++
		}
	}
}

func philoxRows(set Set, y *float32, rows, groups, rowBytes int, keys *[20]uint32, counter *[4]uint32) {
	if set.level >= avx512 {
		philoxAVX512(y, rows, groups, rowBytes, keys, counter)
	} else {
		philoxAVX2(y, rows, groups, rowBytes, keys, counter)
	}
}

// roundingWordsAVX sets whole groups of eight blocks, which is never more than words holds.
func roundingWordsAVX(set Set, words *[roundedBlock]uint32, r kernels.RoundedMoments, block uint64, blocks int) bool {
	if uint32(block)+uint32(blocks)+8 < uint32(block) { // the count's upper half would change on the way
		return false
	}
	keys := philox.Keys(r.Key())
	counter := [4]uint32{uint32(block), uint32(block >> 32), uint32(r.T), uint32(r.T >> 32)}
	groups := (blocks + 7) / 8
	_ = words[32*groups-1]
	if set.level >= avx512 {
		philoxWordsAVX512(&words[0], 1, groups, 0, &keys, &counter)
	} else {
		philoxWordsAVX2(&words[0], 1, groups, 0, &keys, &counter)
	}
	return true
}

// roundedAll is a step of adam with moments in bfloat16. The last elements go through a copy, with the same arithmetic.
func roundedAll[T float](p, pIn []T, m, v, mIn, vIn []uint16, g []T, words []uint32, c *[10]float32) {
	n := len(g)
	_, _, _, _, _, _, _ = p[:n], pIn[:n], m[:n], v[:n], mIn[:n], vIn[:n], words[:n]
	whole := n &^ 7
	if whole > 0 {
		roundedAdamAVX2(at(p), &m[0], &v[0], at(pIn), &mIn[0], &vIn[0], at(g), &words[0], whole, c)
	}
	if whole < n {
		var f [2][8]T
		var b [2][8]uint16
		var w [8]uint32
		copy(f[0][:], pIn[whole:n])
		copy(f[1][:], g[whole:])
		copy(b[0][:], mIn[whole:n])
		copy(b[1][:], vIn[whole:n])
		copy(w[:], words[whole:n])
		roundedAdamAVX2(at(f[0][:]), &b[0][0], &b[1][0], at(f[0][:]), &b[0][0], &b[1][0], at(f[1][:]), &w[0], 8, c)
		copy(p[whole:n], f[0][:])
		copy(m[whole:n], b[0][:])
		copy(v[whole:n], b[1][:])
	}
}
