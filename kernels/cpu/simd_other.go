//go:build !amd64 || noasm

package cpu

// detect finds no more than plain Go here, so that none of the functions below is reached.
func detect() level { return plain }

func multiplySIMD(l level, c []float32, cRow int, a []float32, aRow, aCol int, b []float32, bRow int, m, n, k int) {
	multiplyPlain(c, cRow, a, aRow, aCol, b, bRow, m, n, k)
}

func expTile(l level, k int, a, b []float32, cols int, e []float32, eRow int) (sums [maxTileRows]float32) {
	panic("cpu: plain Go has no fused tile")
}

func exponentialsAVX2(x, bias []float32, scale, shift float32) float64 {
	return exponentialsPlain(x, bias, scale, shift)
}

func (s *sparse[T]) rowsAssembly(lo, hi int) { s.rows(lo, hi) }

func (s *sparse[T]) pieceAssembly(n int, goesOn, last bool) {}

func topAssembly(x []float32) float32 { return 0 }

func roundAssembly(half []uint16, x []float32, scale float32) {}

func (p *Panels) next(x, y []float32, panels int, threshold, s []float32, which []uint32) int {
	return p.nextPlain(x, y, panels, threshold, s, which)
}
