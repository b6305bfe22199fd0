package cpu

import (
	"fmt"
	"math"
	"testing"

	"nearfar/kernels"
	"nearfar/kernels/philox"
)

// Operations that round once have the same value in every set, at every length.
func TestApplyEveryLength(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	special := []float32{0, 1, -1, inf, -inf, nan, .5, 1e-44}
	for op := kernels.Neg; op <= kernels.Where; op++ {
		for n := range 40 {
			a, b, c := wave(n, 1), wave(n, 2), wave(n, 3)
			for i := range n { // all pairs meet in the longer ones
				if i%3 == 0 {
					a[i], b[i] = special[i%len(special)], special[(i/3+n)%len(special)]
				}
			}
			want := make([]float32, n)
			apply(Generic(), op, want, a, b, c, .3)
			for _, s := range each() {
				got := make([]float32, n+1)
				got[n] = 7
				apply(s, op, got[:n], a, b, c, .3)
				for i := range n {
					switch where := fmt.Sprintf("%s %v, %d elements [%d]", s.Name(), op, n, i); op {
					case kernels.Exp, kernels.Sigmoid:
						near(t, where, float64(got[i]), float64(want[i]), 5e-7)
					default:
						near(t, where, float64(got[i]), float64(want[i]), 0)
					}
				}
				if got[n] != 7 {
					t.Fatalf("%s %v: wrote behind %d elements", s.Name(), op, n)
				}
			}
		}
	}
}

func TestUniformsEveryWidth(t *testing.T) {
	for cols := 1; cols < 140; cols++ {
		const rows, extra = 3, 5
		at := stretch{philox.New(1, "x"), 1<<40 + 7, math.MaxUint32 - 1, 8, cols} // the count of rows begins again
		want := make([]float32, rows*cols)
		uniforms(want, at)
		for _, s := range each() {
			got := wave(rows*cols+extra, 1)
			draw(s, kernels.Random{}, got[:rows*cols], at)
			for i, v := range wave(rows*cols+extra, 1) {
				if i < rows*cols {
					v = want[i]
				}
				if got[i] != v {
					t.Fatalf("%s, %d columns: [%d] is %v, want %v", s.Name(), cols, i, got[i], v)
				}
			}
		}
	}
}

// m' is g and v' its square, so that nothing but their rounding is tried: of every kind of number, at every length, from places within a block of Philox
// and over the end of a count of blocks in 32 bits. Every set draws the same words and rounds to the same bits.
func TestRoundedMomentsEveryLength(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	special := []float32{0, 1, -1 - 0x1p-8, inf, -inf, nan, -nan, math.MaxFloat32, -math.MaxFloat32, 1e-44, -3e-39, 1.1e19}
	r := kernels.Adam{Stream: philox.Name("x")}.Rounding([]int32{7, -1, -2, 3})
	k := coefficients[float32]{scale: 1, a1: 1, a2: 1, c2: 1, eps: 1, shrink: 1}
	for n := 1; n < 70; n++ {
		g := wave(n, 1)
		for i := range g {
			if i%3 > 0 {
				g[i] = special[(i+n)%len(special)]
			}
		}
		for _, at := range []int{0, 1, 2, 3, 4*(1<<32-9) + n%4} {
			for _, s := range each() {
				const behind = 0xabcd
				m, v, p := make([]uint16, n+1), make([]uint16, n+1), make([]float32, n)
				m[n], v[n] = behind, behind
				var words [roundedBlock]uint32
				roundingWords(s, &words, r, at, n)
				k.roundedStep(s, p, p, m[:n], v[:n], m[:n], v[:n], g, words[at%4:][:n])
				for i, x := range g {
					if wantM, wantV := r.At(at+i, x, x*x); m[i] != wantM || v[i] != wantV {
						t.Fatalf("%s, element %d, %d of %d: %v is rounded to %#x and its square to %#x, want %#x and %#x", s.Name(), at+i, i, n, x, m[i], v[i], wantM, wantV)
					}
				}
				if m[n] != behind || v[n] != behind {
					t.Fatalf("%s writes behind the last of %d elements", s.Name(), n)
				}
			}
		}
	}
}

func TestTotalsEveryLength(t *testing.T) {
	for n := range 70 {
		x := wave(n+1, 1)
		x[n] = float32(math.NaN()) // behind the end
		for _, op := range []kernels.ReduceOp{kernels.Sum, kernels.SumSquares, kernels.AllFinite} {
			want := total(Generic(), op, x[:n], 0)
			for _, s := range each() {
				if got := total(s, op, x[:n], 0); !(math.Abs(got-want) < 1e-5) {
					t.Fatalf("%s %v of %d: %v, want %v", s.Name(), op, n, got, want)
				}
			}
		}
	}
	long := make([]float32, 5<<19) // more than one call takes
	for i := range long {
		long[i] = .5
	}
	for _, s := range each() {
		if got := total(s, kernels.Sum, long, 0); got != 5<<18 {
			t.Errorf("%s: a long sum is %v, want %v", s.Name(), got, 5<<18)
		}
	}
}
