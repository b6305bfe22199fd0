//go:build !noasm

package cpu

func (p *Panels) next(x, y []float32, panels int, threshold, s []float32, which []uint32) int {
	switch {
	case p.set.level >= avx512:
		return search12x32(&x[0], p.d, &y[0], panels, &threshold[0], &s[0], &which[0])
	case p.set.level >= avx2:
		return search6x16(&x[0], p.d, &y[0], panels, &threshold[0], &s[0], &which[0])
	}
	return p.nextPlain(x, y, panels, threshold, s, which)
}
