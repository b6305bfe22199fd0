package kerneltest

import (
	"math"

	"nearfar/kernels"
	"nearfar/kernels/philox"
)

// blocks are shapes of every rank.
func blocks() (shapes [][]int) {
	for _, n := range sizes {
		shapes = append(shapes, []int{n}, []int{n, 3}, []int{2, n})
	}
	return append(shapes, []int{1, 1}, []int{2, 3, 5}, []int{7, 1, 9}, []int{2, 3, 4, 5}, []int{65, 33}, []int{3, 17, 2, 8}, []int{200, 101})
}

func fillCases(*gen) (cases []Case) {
	for _, s := range append(blocks(), []int{}, []int{40_013}) {
		for _, v := range []float64{0, 1, .1, -inf} {
			cases = append(cases, of(kernels.Fill{Value: v, Shape: kernels.Of(kernels.Float64, s...)}))
		}
	}
	return cases
}

func randomCases(g *gen) (cases []Case) {
	for i, s := range append(blocks(), []int{}, []int{300, 65}, []int{20_003}) {
		clock := ints(int32(i*7919), -int32(i), int32(i*i), 0)
		if i%3 == 0 {
			clock = ints(-1, -1, -1, -1)
		}
		for d := kernels.Uniform; d <= kernels.Bernoulli; d++ {
			for _, p := range []float64{.3, 0, 1} {
				if d == kernels.Bernoulli || p == .3 {
					r := kernels.Random{Distribution: d, P: p, Stream: philox.Name("dropout"), Shape: kernels.Of(kernels.Float64, s...)}
					cases = append(cases, of(r, clock))
					if len(s) == 2 {
						r.Rows = true
						cases = append(cases, of(r, clock, g.index(2*s[0], s[0])), of(r, clock, g.index(1<<31-1, s[0])))
					}
				}
			}
		}
	}
	return cases
}

func signedNoiseCases(g *gen) (cases []Case) {
	for i, s := range append(matrices(), []int{3, 4_096}) {
		if len(s) != 2 {
			continue
		}
		clock := ints(int32(i*7919), -int32(i), int32(i*i), 0)
		x := g.normal(1, s...)
		for _, k := range []kernels.SignedNoise{{Scale: .1, Eps: 1e-12}, {Scale: -2, Eps: .5}, {Scale: 1e6, Eps: 1e-12, Rows: true}} {
			k.Stream = philox.Name("noise")
			for _, x := range []kernels.Tensor64{x, g.normal(1e-4, s...), withRow(x, s[0]-1, 0), withRow(x, 0, math.Copysign(0, -1)), withRow(x, 0, nan), with(x, inf, 0)} {
				c := of(k, x, clock)
				if k.Rows {
					c.In = append(c.In, g.index(1<<31-1, s[0]))
				}
				c.InPlace = [][]int{{0}}
				cases = append(cases, c)
			}
		}
	}
	return cases
}

func reshapeCases(g *gen) (cases []Case) {
	for _, s := range blocks() {
		x := g.normal(1, s...)
		cases = append(cases, of(kernels.Reshape{Shape: kernels.Of(kernels.Float32, 1, x.Desc.Elems())}, x))
		cases = append(cases, of(kernels.Reshape{Shape: kernels.Of(kernels.Float32, x.Desc.Elems())}, x))
	}
	return append(cases, of(kernels.Reshape{Shape: kernels.Of(kernels.Float32)}, vector(3)), of(kernels.Reshape{Shape: kernels.Of(kernels.Int32, 5, 2)}, g.index(9, 10)))
}

func concatCases(g *gen) (cases []Case) {
	for _, s := range blocks() {
		x := g.normal(1, s...)
		for axis := range s {
			other := append([]int{}, s...)
			other[axis] = 1 + g.below(9)
			y := g.normal(1, other...)
			k := kernels.Concat{Axis: axis}
			cases = append(cases, of(k, x), of(k, x, y), of(k, y, x, x, y), of(k, with(x, nan, 0), x, y))
		}
	}
	return cases
}

func sliceCases(g *gen) (cases []Case) {
	for _, s := range blocks() {
		x := with(g.normal(1, s...), nan, 0)
		for axis, n := range s {
			for _, r := range [][2]int{{0, n}, {0, 1}, {n - 1, n}, {n / 3, n/2 + 1}} {
				cases = append(cases, of(kernels.Slice{Axis: axis, Beg: r[0], End: r[1]}, x))
			}
		}
	}
	return cases
}

func padCases(g *gen) (cases []Case) {
	for _, s := range blocks() {
		x := with(g.normal(1, s...), nan, 0)
		for axis := range s {
			for _, r := range [][2]int{{0, 0}, {1, 0}, {0, 3}, {5, 9}} {
				cases = append(cases, of(kernels.Pad{Axis: axis, Before: r[0], After: r[1]}, x))
			}
		}
	}
	return cases
}

func permuteCases(g *gen) (cases []Case) {
	for _, s := range append(blocks(), []int{}) {
		x := with(g.normal(1, s...), nan, 0)
		for _, order := range permutations(len(s)) {
			k := kernels.Permute{}
			copy(k.Order[:], order)
			cases = append(cases, of(k, x))
		}
	}
	return cases
}

// permutations lists the orders of n things.
func permutations(n int) [][]int {
	if n == 0 {
		return [][]int{{}}
	}
	var all [][]int
	for _, p := range permutations(n - 1) {
		for at := range n {
			q := append(append(append([]int{}, p[:at]...), n-1), p[at:]...)
			all = append(all, q)
		}
	}
	return all
}
