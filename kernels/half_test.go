package kernels

import (
	"math"
	"testing"
)

func TestHalfScale(t *testing.T) {
	for _, top := range []float64{0, math.SmallestNonzeroFloat32, 1e-30, 1e-8, .49, .5, 1, 3, 32767, 32768, 65504, 1e20, math.MaxFloat32} {
		scale := HalfScale(top)
		if f, _ := math.Frexp(scale); f != .5 || float64(float32(scale)) != scale {
			t.Errorf("of %v: %v is no power of 2 in float32", top, scale)
		}
		if y := top * scale; top > 2e-15 && (y < 1<<14 || y >= 1<<15) {
			t.Errorf("%v becomes %v", top, y)
		}
	}
}

// Every binary16 is its own nearest, and between two neighbours the nearer one is taken, the even one in the middle.
func TestHalf(t *testing.T) {
	value := func(h uint16) float64 { // by the definition
		sign, exponent, fraction := 1-2*float64(h>>15), int(h>>10&31), float64(h&1023)
		switch {
		case exponent == 0:
			return sign * math.Ldexp(fraction, -24)
		case exponent == 31 && fraction == 0:
			return sign * math.Inf(1)
		case exponent == 31:
			return math.NaN()
		}
		return sign * math.Ldexp(1024+fraction, exponent-25)
	}
	for i := range 1 << 16 {
		h := uint16(i)
		want, got := value(h), float64(FromHalf(h))
		if math.IsNaN(want) {
			if !math.IsNaN(got) || FromHalf(ToHalf(FromHalf(h))) == FromHalf(h) {
				t.Errorf("%#x is %v", h, got)
			}
			continue
		}
		if got != want || math.Signbit(got) != math.Signbit(want) {
			t.Errorf("%#x is %v, want %v", h, got, want)
		}
		if back := ToHalf(float32(want)); back != h {
			t.Errorf("%v becomes %#x, want %#x", want, back, h)
		}
		if h&0x7fff >= 0x7c00 {
			continue
		}
		next := value(h + 1)
		if h&0x7fff == 0x7bff { // beyond the largest, as if there were one more
			next = 2*want - value(h-1)
		}
		middle := (want + next) / 2
		even := h + h&1
		for _, c := range []struct {
			x    float64
			want uint16
		}{{middle, even}, {float64(math.Nextafter32(float32(middle), float32(want))), h}, {float64(math.Nextafter32(float32(middle), float32(next))), h + 1}} {
			if got := ToHalf(float32(c.x)); got != c.want {
				t.Errorf("%v becomes %#x, want %#x", c.x, got, c.want)
			}
		}
	}
}
