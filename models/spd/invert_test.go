package spd

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"

	"nearfar/kernels/cpu"
	"nearfar/kernels/philox"
)

// gram is X Xᵀ + lambda I of a random binary X [n, n/2+1].
func gram[T Float](n int, lambda float64) (*Matrix[T], *mat.SymDense) {
	words := philox.New(1, "spd").Sequence(0, uint32(n))
	x := mat.NewDense(n, n/2+1, nil)
	for i := range n {
		for j := range n/2 + 1 {
			if words.Below(10) < 2 {
				x.Set(i, j, 1)
			}
		}
	}
	g := mat.NewSymDense(n, nil)
	g.SymOuterK(1, x)
	m := New[T](n)
	for i := range n {
		g.SetSym(i, i, g.At(i, i)+lambda)
		for j := range i + 1 {
			m.Set(i, j, T(g.At(i, j)))
		}
	}
	return m, g
}

func testInvert[T Float](t *testing.T, set cpu.Set, bound float64) {
	for _, n := range []int{1, 2, tile - 1, tile, tile + 1, 2*tile + 37} {
		m, g := gram[T](n, 3)
		for i := range n { // symmetric before and after
			for j := range n {
				if float64(m.At(i, j)) != g.At(i, j) {
					t.Fatalf("n %d: element (%d, %d) is %v, not %v", n, i, j, m.At(i, j), g.At(i, j))
				}
			}
		}
		var c mat.Cholesky
		want := mat.NewSymDense(n, nil)
		if !c.Factorize(g) || c.InverseTo(want) != nil {
			t.Fatal("the oracle fails")
		}
		calls := 0
		if err := m.Invert(t.Context(), set, 2, func(done, total int) {
			if calls++; done != calls || total != m.blocks() {
				t.Errorf("n %d: call %d of step says %d of %d", n, calls, done, total)
			}
		}); err != nil {
			t.Fatal(err)
		}
		if calls != m.blocks() {
			t.Errorf("n %d: %d calls of step for %d blocks", n, calls, m.blocks())
		}
		row, x, y := make([]T, n), make([]float64, n), make([]float64, n)
		for i := range x {
			x[i] = math.Sin(float64(i))
		}
		m.Multiply(x, y)
		for i := range n {
			m.Row(i, row)
			sum := 0.0
			for j := range n {
				if d := math.Abs(float64(row[j]) - want.At(i, j)); !(d <= bound) || row[j] != m.At(i, j) {
					t.Fatalf("n %d: element (%d, %d) is %v (At %v), want %v", n, i, j, row[j], m.At(i, j), want.At(i, j))
				}
				sum += float64(row[j]) * x[j]
			}
			if math.Abs(sum-y[i]) > 1e-12 {
				t.Fatalf("n %d: row %d of the product is %v, want %v", n, i, y[i], sum)
			}
		}
	}
}

// The largest element of the inverses is about 1/3, their condition about 1000.
func TestInvertAgainstCholesky(t *testing.T) {
	t.Run("float64", func(t *testing.T) { testInvert[float64](t, cpu.Best(), 1e-13) })
	for _, set := range []cpu.Set{cpu.Generic(), cpu.Best()} {
		t.Run("float32 "+set.Name(), func(t *testing.T) { testInvert[float32](t, set, 1e-5) })
	}
}

func TestInvertDoesNotDependOnThreads(t *testing.T) {
	var first *Matrix[float32]
	for _, threads := range []int{1, 2, 5, 0} {
		m, _ := gram[float32](2*tile+37, 3)
		if err := m.Invert(t.Context(), cpu.Best(), threads, nil); err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = m
		}
		for b := range m.block {
			if !slices.Equal(m.block[b], first.block[b]) {
				t.Fatalf("%d threads give other bits in block %d", threads, b)
			}
		}
	}
}

func TestInvertRefuses(t *testing.T) {
	m := New[float64](tile + 3)
	for i := range m.N {
		m.Set(i, i, 1)
	}
	m.Set(tile+1, tile+1, -1)
	if err := m.Invert(t.Context(), cpu.Best(), 1, nil); err == nil || err.Error() != notDefinite(tile, tile+3).Error() {
		t.Errorf("an indefinite matrix: %v", err)
	}
}

// A context ends the work between two blocks of the product.
func TestInvertEndsWithTheContext(t *testing.T) {
	m, _ := gram[float32](3*tile, 3)
	ctx, cancel := context.WithCancel(t.Context())
	err := m.Invert(ctx, cpu.Best(), 2, func(done, _ int) {
		if done == 1 {
			cancel()
		} else {
			t.Errorf("block %d is done after the end", done)
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
}

// Bytes is what a matrix and the two block rows of Invert take.
func TestBytes(t *testing.T) {
	for _, n := range []int{1, tile, 5 * tile} {
		m, elements := New[float64](n), 0
		for _, b := range m.block {
			elements += len(b)
		}
		if need := Bytes[float64](n); need < int64(8*(elements+2*tile*n)) || n%tile == 0 && need != int64(8*(elements+2*tile*n)) {
			t.Errorf("%d rows: %d bytes, of which %d elements", n, need, elements)
		}
		if Bytes[float32](n)*2 != Bytes[float64](n) {
			t.Error("float32 does not halve it")
		}
	}
}

// go test ./models/spd -run - -bench Invert -benchtime 1x
func BenchmarkInvert(b *testing.B) {
	for _, n := range []int{1024, 4096} {
		b.Run(fmt.Sprint("float32/", n), func(b *testing.B) { benchmark[float32](b, n) })
		b.Run(fmt.Sprint("float64/", n), func(b *testing.B) { benchmark[float64](b, n) })
	}
}

func benchmark[T Float](b *testing.B, n int) {
	m := New[T](n)
	for i := range n {
		m.Set(i, i, 2)
	}
	for b.Loop() {
		if err := m.Invert(b.Context(), cpu.Best(), 0, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*math.Pow(float64(n), 3)/b.Elapsed().Seconds()/1e9, "GF/s")
}
