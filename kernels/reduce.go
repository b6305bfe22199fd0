package kernels

import "math"

// ReduceOp says how elements are combined.
type ReduceOp uint8

const (
	Sum        ReduceOp = iota // Σ a
	SumSquares                 // Σ a²
	Largest                    // max a
	LogSumExps                 // ln Σ e^a, about the maximum; -Inf where every a is -Inf
	AllFinite                  // 1 where no a is NaN or infinite, else 0
)

var reduceNames = [...]string{"Sum", "SumSquares", "Max", "RowLogSumExp", "AllFinite"}

// Axes is a set of dimensions: bit i is dimension i.
type Axes uint8

// AllAxes reduces to a scalar.
const AllAxes Axes = 1<<MaxRank - 1

// Axis is the set of one dimension.
func Axis(i int) Axes { return 1 << i }

// Reduce combines the elements along Axes:
//
//	out[kept...] = op over reduced of in[...]
//
// The reduced dimensions are dropped, or stay as 1 where Keep. Partial results are formed over a fixed number of chunks and
// combined in chunk order.
type Reduce struct {
	Op   ReduceOp
	Axes Axes
	Keep bool
}

func (r Reduce) Name() string { return reduceNames[r.Op] }

func (r Reduce) Infer(in []Desc) ([]Desc, error) {
	if len(in) != 1 || !floats(in[0]) {
		return nil, wrong(r, "one real input", in)
	}
	out := Desc{Type: in[0].Type}
	for i := range in[0].Rank {
		k := in[0].Dim[i]
		if r.Axes&Axis(i) != 0 {
			if !r.Keep {
				continue
			}
			k = 1
		}
		out.Dim[out.Rank] = k
		out.Rank++
	}
	return []Desc{out}, nil
}

// Kept is the output's shape with the reduced dimensions as 1: the shape that broadcasts against the input.
func (r Reduce) Kept(in Desc) Desc {
	for i := range in.Rank {
		if r.Axes&Axis(i) != 0 {
			in.Dim[i] = 1
		}
	}
	return in
}

func (r Reduce) Ref(out, in []Tensor64) {
	d := in[0].Desc
	s := Strides(d, r.Kept(d))
	at := func(e int) int {
		o := 0
		for i := d.Rank - 1; i >= 0; i-- {
			o += e % d.Dim[i] * s[i]
			e /= d.Dim[i]
		}
		return o
	}
	o := out[0].F
	start := map[ReduceOp]float64{Largest: math.Inf(-1), LogSumExps: math.Inf(-1), AllFinite: 1}[r.Op]
	for i := range o {
		o[i] = start
	}
	var sums []float64
	if r.Op == LogSumExps {
		sums = make([]float64, len(o))
		for e, a := range in[0].F {
			o[at(e)] = max(o[at(e)], a)
		}
	}
	for e, a := range in[0].F {
		k := at(e)
		switch r.Op {
		case Sum:
			o[k] += a
		case SumSquares:
			o[k] += a * a
		case Largest:
			o[k] = max(o[k], a)
		case LogSumExps:
			if !math.IsInf(a, -1) {
				sums[k] += math.Exp(a - o[k])
			}
		case AllFinite:
			if math.IsNaN(a) || math.IsInf(a, 0) {
				o[k] = 0
			}
		}
	}
	for k, s := range sums {
		if !math.IsInf(o[k], -1) {
			o[k] += math.Log(s)
		}
	}
}

// Softmax normalises along the last dimension; with Masked, the second input (same shape) says which elements take part:
//
//	p_j = m_j e^(z_j) / Σ_k m_k e^(z_k),  m in {0, 1}
//
// A row in which nothing takes part is zero.
type Softmax struct{ Masked bool }

func (s Softmax) Name() string { return "Softmax" }

func (s Softmax) Infer(in []Desc) ([]Desc, error) {
	n := 1
	if s.Masked {
		n = 2
	}
	if len(in) != n || in[0].Rank == 0 || !floats(in...) || !in[0].SameShape(in[n-1]) {
		return nil, wrong(s, "logits (and a mask of their shape)", in)
	}
	return []Desc{in[0]}, nil
}

func (s Softmax) Ref(out, in []Tensor64) {
	for r := range in[0].Desc.Rows() {
		z, p := in[0].row(r), out[0].row(r)
		on := func(j int) bool { return !s.Masked || in[1].row(r)[j] != 0 }
		top := math.Inf(-1)
		for j, v := range z {
			if on(j) {
				top = max(top, v)
			}
		}
		sum := 0.0
		for j, v := range z {
			p[j] = 0
			if on(j) && !math.IsInf(top, -1) {
				p[j] = math.Exp(v - top)
				sum += p[j]
			}
		}
		for j := range p {
			if sum > 0 {
				p[j] /= sum
			}
		}
	}
}

// TopK finds the K largest of each row, in decreasing order, ties by the lower index:
//
//	value[.., k], index[.., k]
//
// NaN stands behind -Inf, and is the value where it is chosen. K = 1 is argmax.
type TopK struct{ K int }

func (t TopK) Name() string { return "TopK" }

func (t TopK) Infer(in []Desc) ([]Desc, error) {
	if len(in) != 1 || in[0].Rank == 0 || !floats(in[0]) || t.K < 1 || t.K > in[0].Cols() {
		return nil, wrong(t, "rows of at least K numbers", in)
	}
	v := in[0]
	v.Dim[v.Rank-1] = t.K
	return []Desc{v, v.As(Int32)}, nil
}

func (t TopK) Ref(out, in []Tensor64) {
	for r := range in[0].Desc.Rows() {
		taken := make([]bool, in[0].Desc.Cols())
		for k := range t.K {
			best := -1
			for j, v := range in[0].row(r) {
				if !taken[j] && (best < 0 || v > in[0].row(r)[best] || math.IsNaN(in[0].row(r)[best]) && !math.IsNaN(v)) {
					best = j
				}
			}
			taken[best] = true
			out[0].row(r)[k] = in[0].row(r)[best]
			out[1].I[r*t.K+k] = int32(best)
		}
	}
}
