package cpu

import (
	"math"
	"unsafe"

	"nearfar/kernels"
)

// apply computes one instruction over a tile: d[i] = op(a[i], b[i], c[i]). d may be a, b or c.
func apply[T float](set Set, op kernels.MapOp, d, a, b, c []T, imm T) {
	if vectors[T](set) && applyAVX2(op, d, a, b, c, imm) {
		return
	}
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
		copy(d, a)
		exponentials(set, d, nil, 1, 0)
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
		copy(d, a)
		exponentials(set, d, nil, -1, 0)
		apply(set, kernels.AddImm, d, d, nil, nil, 1)
		apply(set, kernels.Recip, d, d, nil, nil, 0)
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

// indicator is written so that it compiles without a branch: comparisons of noise cannot be predicted.
func indicator[T float](yes bool) T {
	var n int32
	if yes {
		n = 1
	}
	return T(n)
}

// sign keeps 0 and NaN.
func sign[T float](x T) T {
	if x == 0 || x != x {
		return x
	}
	if unsafe.Sizeof(x) == 4 {
		return T(math.Float32frombits(math.Float32bits(float32(x))&(1<<31) | math.Float32bits(1)))
	}
	return T(math.Copysign(1, float64(x)))
}

func abs[T float](x T) T { return T(math.Abs(float64(x))) }

func sqrt[T float](x T) T { return T(math.Sqrt(float64(x))) }
