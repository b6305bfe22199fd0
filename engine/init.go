package engine

import (
	"fmt"
	"math"

	"nearfar/engine/op"
	"nearfar/kernels"
	"nearfar/kernels/philox"
)

// An Init gives an entry its first values from a stream of the run's seed and the entry's name.
type Init func(s philox.Stream, d kernels.Desc, out []float64)

// Zeros is the default Init.
func Zeros(philox.Stream, kernels.Desc, []float64) {}

// Constant fills with one value.
func Constant(v float64) Init {
	return func(_ philox.Stream, _ kernels.Desc, out []float64) {
		for i := range out {
			out[i] = v
		}
	}
}

// Values copies given numbers, row-major; another number of them than the entry has is a mistake that Build returns.
func Values(v []float64) Init {
	return func(_ philox.Stream, d kernels.Desc, out []float64) {
		if len(v) != len(out) {
			panic(&op.Error{Err: fmt.Errorf("initial values: %d numbers for %v", len(v), d)})
		}
		copy(out, v)
	}
}

// Gaussian draws N(0, std²).
func Gaussian(std float64) Init {
	return func(s philox.Stream, d kernels.Desc, out []float64) {
		r := kernels.Random{Distribution: kernels.Normal}
		each(d, out, func(row, col uint32) float64 { return std * r.At(s, 0, row, col) })
	}
}

// UniformIn draws from [-a, a).
func UniformIn(a float64) Init {
	return func(s philox.Stream, d kernels.Desc, out []float64) {
		r := kernels.Random{Distribution: kernels.Uniform}
		each(d, out, func(row, col uint32) float64 { return a * (2*r.At(s, 0, row, col) - 1) })
	}
}

// XavierUniform draws from ±sqrt(6/(fan in + fan out)) of a matrix (Glorot, Bengio 2010; torch.nn.init.xavier_uniform_).
func XavierUniform(s philox.Stream, d kernels.Desc, out []float64) {
	UniformIn(math.Sqrt(6/float64(fans(d))))(s, d, out)
}

// XavierNormal draws N(0, 2/(fan in + fan out)) (torch.nn.init.xavier_normal_).
func XavierNormal(s philox.Stream, d kernels.Desc, out []float64) {
	Gaussian(math.Sqrt(2/float64(fans(d))))(s, d, out)
}

// fans is fan in + fan out of a matrix [in, out].
func fans(d kernels.Desc) int { return d.Rows() + d.Cols() }

func each(d kernels.Desc, out []float64, f func(row, col uint32) float64) {
	cols := d.Cols()
	for i := range out {
		out[i] = f(uint32(i/cols), uint32(i%cols))
	}
}
