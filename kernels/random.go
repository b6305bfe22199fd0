package kernels

import (
	"math"

	"nearfar/kernels/philox"
)

// Distribution of random numbers.
type Distribution uint8

const (
	Uniform   Distribution = iota // [0, 1) in steps of 2^-24
	Normal                        // mean 0, variance 1
	Bernoulli                     // 1 with probability P, else 0
)

var distributionNames = [...]string{"Uniform", "Normal", "Bernoulli"}

// Random fills a tensor with numbers that are a pure function of (seed, stream, t, row, column), where an element's row and column are
// those of its tensor seen as [Rows, Cols]:
//
//	words = Philox4x32-10(key(seed, Stream), counter(t, row, column / per block))
//
// Uniform and Bernoulli take one word an element (four a block), Normal two. Inputs: the clock, int32 [4] = seed (low, high), t (low,
// high); with Rows also id [B]: row i of the output [B, d] is then row id_i of a larger tensor, and zeros for -1, as Gather would give of
// that. Uniform and Bernoulli are equal bits on every device; Normal is equal up to the rounding of ln and cos.
type Random struct {
	Distribution Distribution
	P            float64
	Stream       uint64 // philox.Name of the stream
	Shape        Desc   // of the output
	Rows         bool
}

func (r Random) Name() string { return "Random" + distributionNames[r.Distribution] }

func (r Random) Infer(in []Desc) ([]Desc, error) {
	if len(in) < 1 || in[0] != Of(Int32, 4) || !floats(r.Shape) || !r.Rows && len(in) != 1 {
		return nil, wrong(r, "the clock, int32[4]", in)
	}
	if r.Rows && (r.Shape.Rank != 2 || len(in) != 2 || in[1] != Of(Int32, r.Shape.Dim[0])) {
		return nil, wrong(r, "the clock, int32[4], id [B]", in)
	}
	return []Desc{r.Shape}, nil
}

// Clock splits the clock input into the run's seed and t.
func Clock(c []int32) (seed, t uint64) {
	word := func(i int) uint64 { return uint64(uint32(c[i])) }
	return word(0) | word(1)<<32, word(2) | word(3)<<32
}

func (r Random) Ref(out, in []Tensor64) {
	seed, t := Clock(in[0].I)
	s := philox.Keyed(seed, r.Stream)
	cols := r.Shape.Cols()
	for e := range out[0].F {
		row := int32(e / cols)
		if r.Rows {
			row = in[1].I[row]
		}
		if out[0].F[e] = 0; row >= 0 {
			out[0].F[e] = r.At(s, t, uint32(row), uint32(e%cols))
		}
	}
}

// At is the element at (row, col).
func (r Random) At(s philox.Stream, t uint64, row, col uint32) float64 {
	if r.Distribution == Normal {
		b := s.At(t, row, col/2)
		return philox.Normal(b[col%2*2], b[col%2*2+1])
	}
	u := philox.Uniform(s.At(t, row, col/4)[col%4])
	if r.Distribution == Bernoulli {
		return indicator(u < r.P)
	}
	return u
}

// SignedNoise moves each row of a table by a random vector of a fixed length, away from 0 in the row's own orthant, or towards 0 where Scale < 0:
//
//	y_i = x_i + Scale · sign(x_i) ⊙ u_i / max(|u_i|, Eps),  u = Random{Uniform, Stream, Rows}
//
// Inputs: X [N, d], the clock, int32 [4]; with Rows also id [N], as Random has it: a row of id -1 is not moved, if Eps > 0. Output Y [N, d]. A zero of X
// stays, as the sign of 0 is 0, and makes the vector shorter. (SimGCL, Yu et al., SIGIR 2022, eq. 4)
type SignedNoise struct {
	Scale, Eps float64
	Stream     uint64
	Rows       bool
}

func (n SignedNoise) Name() string { return "SignedNoise" }

func (n SignedNoise) Infer(in []Desc) ([]Desc, error) {
	if len(in) > 1 && in[0].Rank == 2 && floats(in[0]) {
		if _, err := n.Noise(in[0]).Infer(in[1:]); err == nil {
			return in[:1:1], nil
		}
	}
	return nil, wrong(n, "X [N d], the clock, int32[4], with Rows id [N]", in)
}

// Noise draws u, of X's shape.
func (n SignedNoise) Noise(x Desc) Random {
	return Random{Distribution: Uniform, Stream: n.Stream, Shape: x, Rows: n.Rows}
}

func (n SignedNoise) Ref(out, in []Tensor64) {
	u := NewTensor64(in[0].Desc)
	n.Noise(u.Desc).Ref([]Tensor64{u}, in[1:])
	for i := range u.Desc.Rows() {
		length := max(math.Sqrt(dot(u.row(i), u.row(i))), n.Eps)
		for k, x := range in[0].row(i) {
			out[0].row(i)[k] = x + n.Scale*Sign.Apply(x, 0, 0, 0)*u.row(i)[k]/length
		}
	}
}
