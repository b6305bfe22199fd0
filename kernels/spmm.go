package kernels

import "math"

// SpMM multiplies a sparse matrix of [M x N], given by rows, by a dense X [N, d]:
//
//	y_i = rowScale_i · Σ_{e = beg_i .. end_i-1} val_e · colScale_{col_e} · x_{col_e}
//
// Inputs: X [N, d], beg [M], end [M], col [nnz]; with Scaled, rowScale [M] and colScale [N]; with Valued, val [nnz]. Rows carry
// `end` beside `beg` so that a view of a graph may use only a part of each row's slot. A normalised adjacency needs two scale
// vectors and no value per edge; an embedding bag is an SpMM over a fed CSR.
//
// Every edge's column is a row of X: 0 <= col_e < N for beg_i <= e < end_i, and 0 <= beg_i, end_i <= nnz; -1 is no column here (an absent edge is
// behind its row's end). What lies outside all rows' parts is not read. As everywhere, ids are checked by whoever makes them, the reader of
// the data or the feed: a kernel is free to panic on others, and a kernel that is not on the processor to read other memory.
//
// With Half, X is rounded to binary16 before it is multiplied, x = ToHalf(x · s) / s with s = HalfScale(max |X|), so that a kernel may keep it at half
// the size: the rows of X that edges point to are nearly all that is read. Sums are as exact as without.
//
// ZeroRows says that most rows of X are zeros, as of a gradient that has only come to a batch's rows. It changes results by rounding at most, since scales
// and values are finite: a kernel may leave out the edges to such rows.
type SpMM struct{ Scaled, Valued, Half, ZeroRows bool }

func (s SpMM) Name() string { return "SpMM" }

// Inputs is the number of inputs.
func (s SpMM) Inputs() int {
	n := 4
	if s.Scaled {
		n += 2
	}
	if s.Valued {
		n++
	}
	return n
}

func (s SpMM) Infer(in []Desc) ([]Desc, error) {
	const want = "X [N d], beg [M], end [M], col [nnz] (rowScale [M], colScale [N]) (val [nnz])"
	if len(in) != s.Inputs() || in[0].Rank != 2 || !floats(in[0]) || !indices(in[1:4]...) || !in[1].SameShape(in[2]) {
		return nil, wrong(s, want, in)
	}
	if s.Scaled && (!floats(in[0], in[4], in[5]) || !in[4].SameShape(in[1]) || in[5].Rank != 1 || in[5].Dim[0] != in[0].Dim[0]) {
		return nil, wrong(s, want, in)
	}
	if s.Valued && (!floats(in[0], in[len(in)-1]) || !in[len(in)-1].SameShape(in[3])) {
		return nil, wrong(s, want, in)
	}
	return []Desc{Of(in[0].Type, in[1].Dim[0], in[0].Dim[1])}, nil
}

func (s SpMM) Ref(out, in []Tensor64) {
	beg, end, col := in[1].I, in[2].I, in[3].I
	top := 0.0
	for _, x := range in[0].F {
		if x = math.Abs(x); s.Half && x <= math.MaxFloat32 {
			top = max(top, x)
		}
	}
	scale := HalfScale(top)
	for i := range beg {
		y := out[0].row(i)
		clear(y)
		for e := beg[i]; e < end[i]; e++ {
			v := 1.0
			if s.Valued {
				v = in[len(in)-1].F[e]
			}
			if s.Scaled {
				v *= in[5].F[col[e]] * in[4].F[i]
			}
			for k, x := range in[0].row(int(col[e])) {
				if s.Half {
					x = float64(FromHalf(ToHalf(float32(x*scale)))) / scale
				}
				y[k] += v * x
			}
		}
	}
}
