package cpu

import (
	"fmt"
	"math"
	"testing"
)

func each() []Set { return Sets() }

// wave is n numbers without a pattern that a mistake in an index could repeat.
func wave(n int, phase float64) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(math.Sin(float64(i)*1.7 + phase))
	}
	return x
}

func TestMultiplyEverySize(t *testing.T) {
	const aPad, bPad, cPad = 2, 3, 1 // rows are longer than what is used of them
	var sizes []int
	for n := range 35 {
		sizes = append(sizes, n+1)
	}
	sizes = append(sizes, 63, 64, 65, 79, 80, 81, 127, 128, 143, 150) // about the widest tile and those behind it
	for _, k := range []int{1, 2, 31, 32, 33, 300} {
		for m := 1; m <= 14; m++ {
			for _, n := range sizes {
				for _, transposed := range []bool{false, true} {
					aRow, aCol := k+aPad, 1
					if transposed {
						aRow, aCol = 1, m+aPad
					}
					a, b := wave((m+aPad)*(k+aPad), 1), wave(k*(n+bPad), 2)
					for _, s := range each() {
						c := wave(m*(n+cPad), 3)
						before := wave(m*(n+cPad), 3)
						multiply(s, c, n+cPad, a, aRow, aCol, b, n+bPad, m, n, k)
						for i := range m {
							for j := range n + cPad {
								want := float64(before[i*(n+cPad)+j])
								for p := 0; p < k && j < n; p++ {
									want += float64(a[i*aRow+p*aCol]) * float64(b[p*(n+bPad)+j])
								}
								if d := math.Abs(float64(c[i*(n+cPad)+j]) - want); !(d < 1e-4) {
									t.Fatalf("%s m %d n %d k %d transposed %v: C[%d %d] is off by %g", s.Name(), m, n, k, transposed, i, j, d)
								}
							}
						}
					}
				}
			}
		}
	}
}

func TestExponentialsEveryLength(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	special := []float32{0, 1, -1, -inf, 177, 178, -174, -176, -1e30, 1e30, inf, nan}
	for n := range 40 {
		for _, biased := range []bool{false, true} {
			for _, s := range each() {
				x := wave(n+1, 1)
				for i := range x {
					x[i] *= 40
				}
				for at, v := range special {
					if n > 13 && at < n-13 {
						x[at] = v
					}
				}
				var bias []float32
				if biased {
					bias = wave(n, 2)
				}
				want := make([]float64, n)
				sum := 0.0
				for i := range n {
					v := float64(x[i]) * .5
					if biased {
						v += float64(bias[i])
					}
					want[i] = math.Exp(v - .25)
					if float32(want[i]) < 0x1p-126 {
						want[i] = 0
					}
					if want[i] > math.MaxFloat32 {
						want[i] = math.Inf(1)
					}
					sum += want[i]
				}
				guard := x[n]
				got := exponentials(s, x[:n], bias, .5, .25)
				where := fmt.Sprintf("%s, %d elements, biased %v", s.Name(), n, biased)
				for i := range n {
					// The argument is rounded at its own size, the exponential within 2 units.
					near(t, fmt.Sprintf("%s [%d]", where, i), float64(x[i]), want[i], 8e-6)
				}
				near(t, where+" sum", got, sum, 8e-6)
				if x[n] != guard {
					t.Fatalf("%s: wrote behind the end", where)
				}
			}
		}
	}
}

// The tile's powers and sums are right at every size, whatever the exponent; what lies behind a row of E stays.
func TestExpTile(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	special := []float32{0, 1, -1, 127.4, -125.5, -126, -126.1, -127, -1e30, -inf, nan, .5, -.5, 1.5, 127.99, 128, 461, inf}
	for _, s := range each() {
		if s.level < avx2 {
			continue
		}
		rows, width := expTileShape(s.level)
		for _, k := range []int{1, 2, 3, 4, 5, 8, 64, 65} {
			for panels := 1; panels <= 3; panels++ {
				cols := panels * width
				eRow := cols + 3
				a, b, e := wave(k*rows, 1), wave(k*cols, 2), wave(rows*eRow, 3)
				before := wave(rows*eRow, 3)
				for i := range rows {
					a[(k-1)*rows+i] = 1 // beside the bias
				}
				if k == 1 {
					for j := range cols {
						b[j] = special[j%len(special)]
					}
				}
				sums := expTile(s.level, k, a, b, cols, e, eRow)
				for i := range rows {
					sum := 0.0
					for j := range eRow {
						where := fmt.Sprintf("%s, inner size %d, %d columns, E[%d %d]", s.Name(), k, cols, i, j)
						if j >= cols {
							if e[i*eRow+j] != before[i*eRow+j] {
								t.Fatal(where, "is written")
							}
							continue
						}
						x := 0.0
						for p := range k {
							x += float64(a[p*rows+i]) * float64(b[(j/width*k+p)*width+j%width])
						}
						want := float64(float32(math.Exp2(x)))
						if x < -126 {
							want = 0
						}
						near(t, where, float64(e[i*eRow+j]), want, 2.4e-7+1e-7*float64(k))
						sum += want
					}
					near(t, fmt.Sprintf("%s, inner size %d, %d columns, sum %d", s.Name(), k, cols, i), float64(sums[i]), sum, 4e-7+1e-7*float64(k))
				}
			}
		}
	}
}

func TestExpIsWithinTwoUnits(t *testing.T) {
	for v := float32(-87.3); v < 88.7; v += .0137 {
		for _, s := range each() {
			x := make([]float32, 8)
			for i := range x {
				x[i] = v
			}
			exponentials(s, x, nil, 1, 0)
			near(t, fmt.Sprintf("%s e^%v", s.Name(), v), float64(x[3]), math.Exp(float64(v)), 2.4e-7)
		}
	}
}

func near(t *testing.T, what string, have, want, relative float64) {
	t.Helper()
	if have == want || math.IsNaN(have) && math.IsNaN(want) {
		return
	}
	if d := math.Abs(have - want); !(d <= relative*math.Abs(want)+0x1p-126) {
		t.Fatalf("%s is %v, want %v", what, have, want)
	}
}
