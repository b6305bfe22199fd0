//go:build !amd64 || noasm

package cpu

import "nearfar/kernels"

// vectors is false here, so that none of the functions below is reached.
func vectors[T float](s Set) bool { return false }

func adamAll[T float](out, in [3][]T, g []T, c *[10]float32) {}

func sgdAll[T float](k kernels.SGD, out, in [3][]T, g []T, scale, lr float32) {}

func adagradAll[T float](k kernels.Adagrad, out, in [3][]T, g []T, scale, lr float32) {}

func uniformsAVX(set Set, y []float32, s stretch) {}

func applyAVX2[T float](op kernels.MapOp, d, a, b, c []T, imm T) bool { return false }

func rowDotAll[T float](out, x, y []T, d int) {}

func normaliseAll[T float](y, inv, x []T, d int, eps float64) {}

func normaliseGradAll[T float](dx, y, inv, g []T, d int) {}

func addNoiseAll[T float](y, x, u []T, d int, scale float32, eps float64) {}

func totalAVX2[T float](op kernels.ReduceOp, x []T) (float64, bool) { return 0, false }

func roundingWordsAVX(set Set, words *[roundedBlock]uint32, r kernels.RoundedMoments, block uint64, blocks int) bool {
	return false
}

func roundedAll[T float](p, pIn []T, m, v, mIn, vIn []uint16, g []T, words []uint32, c *[10]float32) {
}
