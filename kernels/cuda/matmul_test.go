package cuda

import (
	"testing"

	"nearfar/kernels"
)

// TestSplit: the parts of a product's sum cover it once, in whole vectors.
func TestSplit(t *testing.T) {
	for _, k := range []int{1, 255, 1024, 1025, 2000, 4097, 31_668, 38_048, 40_000, 65_537, 1_000_003} {
		for _, m := range []int{1, 64, 128, 2048, 100_000} {
			p := &Product{M: m, N: 64, K: k}
			n, terms := p.split()
			left := k - n*terms
			if n < 1 || left < 0 || left >= terms && n > 1 || n == 1 && left != 0 {
				t.Errorf("[%d %d] by [%d 64]: %d parts of %d leave %d", m, k, k, n, terms, left)
			}
			if n > 1 && (terms%4 != 0 || terms < shortestPart || int64(p.parts()) > enoughTiles*tileRows*tileCols*3/2) {
				t.Errorf("[%d %d] by [%d 64]: %d parts of %d, %d elements", m, k, k, n, terms, p.parts())
			}
		}
	}
}

// TestManyMatrices: a batch of more matrices than one call of cuBLAS takes.
func TestManyMatrices(t *testing.T) {
	a, b := kernels.Of(kernels.Float32, 700, 100, 2, 3), kernels.Of(kernels.Float32, 700, 100, 5, 3)
	k := kernels.MatMul{TransB: true}
	out, err := k.Infer([]kernels.Desc{a, b})
	if err != nil {
		t.Fatal(err)
	}
	w, err := Set{}.Bind(k, []Tensor{{out[0], 3 << 40}}, []Tensor{{a, 1 << 40}, {b, 2 << 40}}, Memory{})
	if err != nil {
		t.Fatal(err)
	}
	at, left := 0, 70_000
	for _, s := range w.Steps {
		p := s.(*Product)
		for _, m := range []struct {
			matrix      Matrix
			base, elems int
		}{{p.A, 1 << 40, 2 * 3}, {p.B, 2 << 40, 5 * 3}, {p.C, 3 << 40, 2 * 5}} {
			if want := Ptr(m.base + at*m.elems*float); m.matrix.At != want || m.matrix.Batch != int64(m.elems) {
				t.Errorf("matrix %d is at %x, a batch of %d apart; want %x, %d", at, m.matrix.At, m.matrix.Batch, want, m.elems)
			}
		}
		at, left = at+p.Batches, left-p.Batches
	}
	if left != 0 || len(w.Steps) != 2 {
		t.Errorf("%d steps leave %d matrices", len(w.Steps), left)
	}
}
