package cpu_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"nearfar/kernels/cpu"
)

// Search finds what a loop over all products finds. Elements are small integers: products are exact, and many are equal.
func TestSearch(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	table := func(n, d int) []float32 {
		v := make([]float32, n*d)
		for i := range v {
			v[i] = float32(r.IntN(9) - 4)
		}
		return v
	}
	for _, size := range [][3]int{{1, 1, 1}, {5, 16, 8}, {12, 32, 64}, {13, 33, 3}, {7, 100, 1}, {25, 1000, 64}, {40, 5000, 70}, {3, 0, 4}, {0, 3, 4}} {
		m, n, d := size[0], size[1], size[2]
		x, y := table(m, d), table(n, d)
		if d == 3 {
			y[20*d] = float32(math.NaN())
		}
		want := make([][]string, m)
		threshold := func(s, old float32) float32 { // it rises, but not to all that is found
			if s == s && s > old+2 {
				return s - 1
			}
			return old
		}
		limit := func() []float32 { return slices.Repeat([]float32{float32(math.Inf(-1))}, m) }
		old := limit()
		for i := range m {
			for j := range n {
				s := float32(0)
				for k := range d {
					s += x[i*d+k] * y[j*d+k]
				}
				if !(s < old[i]) {
					want[i] = append(want[i], fmt.Sprint(j, s))
					old[i] = threshold(s, old[i])
				}
			}
		}
		for _, set := range cpu.Sets() {
			got, old := make([][]string, m), limit()
			panels := set.Pack(y, n, d) // in what earlier sizes have left
			panels.Search(x, m, func(i, j int, s float32) float32 {
				got[i] = append(got[i], fmt.Sprint(j, s))
				old[i] = threshold(s, old[i])
				return old[i]
			})
			panels.Release()
			if m > 0 && n > 0 {
				func() {
					defer func() {
						if recover() == nil {
							t.Errorf("%s, %v: released panels are searched", set.Name(), size)
						}
					}()
					panels.Search(x, m, nil)
				}()
			}
			for i := range m {
				if !slices.Equal(got[i], want[i]) {
					t.Errorf("%s, %v, row %d: found %v, want %v", set.Name(), size, i, got[i], want[i])
				}
			}
		}
	}
}

// BenchmarkSearch is the 20 largest products of each of 512 rows with 40,000.
func BenchmarkSearch(b *testing.B) {
	const m, n, d, top = 512, 40_000, 64, 20
	r := rand.New(rand.NewPCG(1, 2))
	x, y := real32(r, m, d).F32, real32(r, n, d).F32
	for _, s := range cpu.Sets() {
		b.Run(s.Name(), func(b *testing.B) {
			p := s.Pack(y, n, d)
			best := make([][]float32, m)
			start := processorTime()
			for b.Loop() {
				clear(best)
				p.Search(x, m, func(i, _ int, s float32) float32 {
					at, _ := slices.BinarySearchFunc(best[i], s, func(a, b float32) int { return -int(math.Copysign(1, float64(a-b))) })
					best[i] = slices.Insert(best[i], at, s)
					if len(best[i]) < top {
						return float32(math.Inf(-1))
					}
					best[i] = best[i][:top]
					return best[i][top-1]
				})
			}
			b.ReportMetric(2*m*n*d*float64(b.N)/float64(processorTime()-start), "GF/s")
		})
	}
}
