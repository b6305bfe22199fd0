package cpu

import (
	"math"
	"unsafe"
)

// exponentials replaces x by e^(x·scale + bias - shift) and returns the sum; without a bias it is nil. NaN stays and -Inf gives 0.
func exponentials[T float](s Set, x, bias []T, scale, shift T) float64 {
	if s.level >= avx2 && unsafe.Sizeof(shift) == 4 {
		return exponentialsAVX2(as32(x), as32(bias), float32(scale), float32(shift))
	}
	return exponentialsPlain(x, bias, scale, shift)
}

func exponentialsPlain[T float](x, bias []T, scale, shift T) (sum float64) {
	if len(bias) == 0 {
		for i, v := range x {
			e := exp(T(v*scale) - shift)
			x[i] = e
			sum += float64(e)
		}
		return sum
	}
	bias = bias[:len(x)]
	for i, v := range x {
		e := exp(T(v*scale) + bias[i] - shift)
		x[i] = e
		sum += float64(e)
	}
	return sum
}

// exp is e^x in the precision of T. The size is known when the function is compiled for T, so nothing is left of the choice.
func exp[T float](x T) T {
	if unsafe.Sizeof(x) == 4 {
		return T(exp32(float32(x)))
	}
	return T(math.Exp(float64(x)))
}

const (
	// ln 2 in two parts: n·ln2High is exact for every exponent n of a float32.
	ln2High = 0.693359375
	ln2Low  = math.Ln2 - ln2High
	// Adding rounding and taking it away again rounds to an integer.
	rounding = 1.5 * (1 << 23)
	// Between expMin and expMax e^x is a normal float32.
	expMin = -126 * math.Ln2
	expMax = 128 * math.Ln2
)

// e^f = 1 + f + f²·(exp2nd + f·exp3rd + ..) within 3e-9 for |f| <= ln 2 / 2 (a minimax fit).
const (
	exp2nd = 0.4999999403953552
	exp3rd = 0.1666652113199234
	exp4th = 0.04166838899254799
	exp5th = 0.008368710055947304
	exp6th = 0.001381461275741458
)

// exp32 is e^x as 2^n·e^f. The error is below 2 units in the last place; results below the smallest normal number are 0.
func exp32(x float32) float32 {
	switch {
	case x != x:
		return x
	case x < expMin:
		return 0
	case x >= expMax:
		return float32(math.Inf(1))
	}
	n := float32(x*math.Log2E+rounding) - rounding
	f := x - n*ln2High
	f -= n * ln2Low
	p := f*exp6th + exp5th
	p = p*f + exp4th
	p = p*f + exp3rd
	p = p*f + exp2nd
	p = p*f*f + f + 1
	return math.Float32frombits(math.Float32bits(p) + uint32(int32(n))<<23)
}
