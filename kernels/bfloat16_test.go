package kernels

import (
	"math"
	"testing"
)

// Every bfloat16 stays what it is, however it is rounded; NaN stays NaN.
func TestBFloat16Stays(t *testing.T) {
	for b := range 1 << 16 {
		f := FromBFloat16(uint16(b))
		for _, random := range []uint16{0, 1, 0x8000, 0xffff} {
			for _, got := range []uint16{ToBFloat16(f), RoundBFloat16(f, random)} {
				if f != f && FromBFloat16(got) != FromBFloat16(got) {
					continue
				}
				if got != uint16(b) {
					t.Fatalf("%v (%#x) is rounded to %#x", f, b, got)
				}
			}
		}
	}
	for _, bits := range []uint32{0x7fffffff, 0xffffffff, 0x7f800001} { // which would carry into the sign, or be infinite
		if got := FromBFloat16(RoundBFloat16(math.Float32frombits(bits), 0xffff)); got == got {
			t.Errorf("the NaN %#x is rounded to %v", bits, got)
		}
	}
}

func TestToBFloat16(t *testing.T) {
	for _, c := range []struct {
		f    float32
		want float32
	}{{1, 1}, {1 + 0x1p-8, 1}, {1 + 0x1.8p-8, 1 + 0x1p-7}, {1 + 0x3p-8, 1 + 0x1p-6}, {-1 - 0x1.01p-8, -1 - 0x1p-7}, {math.MaxFloat32, float32(math.Inf(1))}, {0x1p-149, 0}} {
		if got := FromBFloat16(ToBFloat16(c.f)); got != c.want {
			t.Errorf("%v is rounded to %v, want %v", c.f, got, c.want)
		}
	}
}

// Over all random numbers the mean of what a float32 is rounded to is the float32, exactly.
func TestRoundBFloat16IsUnbiased(t *testing.T) {
	for _, f := range []float32{0, 1, .3, -.3, 1e-30, -7e20, 1 + 0x1p-23, 2 - 0x1p-23, 0x1p-149, 3e-40, .001 * .09} {
		sum, ups := 0.0, map[uint16]bool{}
		for random := range 1 << 16 {
			b := RoundBFloat16(f, uint16(random))
			sum += float64(FromBFloat16(b))
			ups[b] = true
		}
		if len(ups) > 2 {
			t.Errorf("%v is rounded to %d numbers", f, len(ups))
		}
		if mean := sum / (1 << 16); math.Abs(mean-float64(f)) > 1e-12*math.Abs(float64(f)) {
			t.Errorf("%v is rounded to %v on the average", f, mean)
		}
	}
}

// The words of neighbouring elements, and of the two moments, are not the same.
func TestRoundedMomentsAreIndependent(t *testing.T) {
	r := Adam{Stream: 3}.Rounding([]int32{1, 0, 9, 0})
	const n = 1 << 14
	var up, both [2]int
	for e := range n {
		m, v := r.At(e, 1+0x1p-8, 1+0x1p-8) // half way
		m1, _ := r.At(e+1, 1+0x1p-8, 1+0x1p-8)
		one := FromBFloat16(m) > 1
		for i, b := range []uint16{v, m1} {
			if FromBFloat16(b) > 1 {
				up[i]++
				if one {
					both[i]++
				}
			}
		}
	}
	for i := range up {
		if math.Abs(float64(up[i])/n-.5) > .02 || math.Abs(float64(both[i])/n-.25) > .02 {
			t.Errorf("%d of %d are rounded up, %d together with the first moment", up[i], n, both[i])
		}
	}
}
