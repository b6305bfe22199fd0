package cpu

import (
	"math"
	"unsafe"

	"nearfar/kernels"
)

// apply computes one instruction over a tile: d[i] = op(a[i], b[i], c[i]). d may be a, b or c.
func apply[T float](op kernels.MapOp, d, a, b, c []T, imm T) {
	a = a[:len(d)]
	switch op {
	case kernels.Copy:
		copy(d, a)
	case kernels.Neg:
		for i, x := range a {
			d[i] = -x
		}
	case kernels.Sign:
		for i, x := range a {
			d[i] = sign(x)
		}
	case kernels.Exp:
		for i, x := range a {
			d[i] = exp(x)
		}
	case kernels.Log:
		for i, x := range a {
			d[i] = T(math.Log(float64(x)))
		}
	case kernels.Sqrt:
		for i, x := range a {
			d[i] = sqrt(x)
		}
	case kernels.Recip:
		for i, x := range a {
			d[i] = 1 / x
		}
	case kernels.Sigmoid:
		for i, x := range a {
			d[i] = 1 / (1 + exp(-x))
		}
	case kernels.Tanh:
		for i, x := range a {
			d[i] = T(math.Tanh(float64(x)))
		}
	case kernels.ReLU:
		for i, x := range a {
			d[i] = max(x, 0)
		}
	case kernels.Softplus:
		for i, x := range a {
			d[i] = max(x, 0) + T(math.Log1p(float64(exp(-abs(x)))))
		}
	case kernels.Square:
		for i, x := range a {
			d[i] = x * x
		}
	case kernels.Positive:
		for i, x := range a {
			d[i] = indicator[T](x > 0)
		}
	case kernels.Scale:
		for i, x := range a {
			d[i] = x * imm
		}
	case kernels.AddImm:
		for i, x := range a {
			d[i] = x + imm
		}
	case kernels.MaxImm:
		for i, x := range a {
			d[i] = max(x, imm)
		}
	default:
		applyTwo(op, d, a, b[:len(d)], c)
	}
}

// applyTwo is apply for the instructions of two and three operands.
func applyTwo[T float](op kernels.MapOp, d, a, b, c []T) {
	a, b = a[:len(d)], b[:len(d)]
	switch op {
	case kernels.Add:
		for i := range d {
			d[i] = a[i] + b[i]
		}
	case kernels.Sub:
		for i := range d {
			d[i] = a[i] - b[i]
		}
	case kernels.Mul:
		for i := range d {
			d[i] = a[i] * b[i]
		}
	case kernels.Div:
		for i := range d {
			d[i] = a[i] / b[i]
		}
	case kernels.Max:
		for i := range d {
			d[i] = max(a[i], b[i])
		}
	case kernels.Min:
		for i := range d {
			d[i] = min(a[i], b[i])
		}
	case kernels.Equal:
		for i := range d {
			d[i] = indicator[T](a[i] == b[i])
		}
	case kernels.Greater:
		for i := range d {
			d[i] = indicator[T](a[i] > b[i])
		}
	case kernels.Where:
		c = c[:len(d)]
		for i := range d {
			if a[i] != 0 {
				d[i] = b[i]
			} else {
				d[i] = c[i]
			}
		}
	}
}

func indicator[T float](yes bool) T {
	if yes {
		return 1
	}
	return 0
}

func sign[T float](x T) T {
	switch {
	case x > 0:
		return 1
	case x < 0:
		return -1
	}
	return x // keeps 0 and NaN
}

func abs[T float](x T) T { return T(math.Abs(float64(x))) }

func sqrt[T float](x T) T { return T(math.Sqrt(float64(x))) }

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
