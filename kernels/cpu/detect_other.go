//go:build !amd64

package cpu

// detect finds no more than plain Go here.
func detect() level { return plain }

func (s *sparse[T]) rowsAVX2(lo, hi int) { s.rows(lo, hi) }
