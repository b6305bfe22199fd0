package kernels

import "math"

// Gather picks rows by index; -1 gives zeros:
//
//	out[i, :] = X[id_i, :]
//
// Ids are checked by whoever makes them, the reader of the data or the feed, here and in every kernel with ids: -1 <= id_i < N.
//
// Inputs: X [N, d] or [N], or int32 [N], id [B]. Output: [B, d] or [B], of X's type. Indices are gathered where a plan computes only some rows of
// a sparse matrix: -1 then begins and ends at 0, an empty row.
type Gather struct{}

func (g Gather) Name() string { return "Gather" }

func (g Gather) Infer(in []Desc) ([]Desc, error) {
	if len(in) != 2 || in[0].Rank < 1 || in[0].Rank > 2 || !floats(in[0]) && !indices(in[0]) || !indices(in[1]) {
		return nil, wrong(g, "X [N d] or [N], id [B]", in)
	}
	out := in[0]
	out.Dim[0] = in[1].Dim[0]
	return []Desc{out}, nil
}

// width is the length of one row of a table [N, d] or [N].
func width(d Desc) int {
	if d.Rank == 1 {
		return 1
	}
	return d.Dim[1]
}

func (g Gather) Ref(out, in []Tensor64) {
	gatherRows(out[0].F, in[0].F, in[1].I, width(in[0].Desc))
	gatherRows(out[0].I, in[0].I, in[1].I, 1)
}

// gatherRows is Gather of either type; of the other there is no memory.
func gatherRows[T float64 | int32](out, x []T, ids []int32, d int) {
	if out == nil {
		return
	}
	for i, id := range ids {
		y := out[i*d : i*d+d]
		clear(y)
		if id >= 0 {
			copy(y, x[int(id)*d:])
		}
	}
}

// ScatterAdd adds rows into a table by index; -1 is skipped:
//
//	out = base (Onto) or 0;  out[id_i, :] += G[i, :]
//
// Inputs: (base [Rows, d] with Onto), G [B, d] or [B], id [B]; with Sorted also the inverse of id: rows [B], the distinct ids in
// increasing order with -1 behind them, seg [B+1] and perm [B], where the places of rows_k in id are perm[seg_k .. seg_k+1).
// The inverse makes the sum parallel and deterministic: each row of the table has one owner, which adds in the order of perm.
type ScatterAdd struct {
	Rows         int
	Sorted, Onto bool
}

func (s ScatterAdd) Name() string {
	if s.Onto {
		return "ScatterAddOnto"
	}
	return "ScatterAdd"
}

func (s ScatterAdd) Infer(in []Desc) ([]Desc, error) {
	const want = "(base [Rows d]), G [B d] or [B], id [B] (rows [B], seg [B+1], perm [B])"
	all := in
	var base Desc
	if s.Onto && len(in) > 0 {
		base, in = in[0], in[1:]
	}
	n := 2
	if s.Sorted {
		n = 5
	}
	if len(in) != n || in[0].Rank < 1 || in[0].Rank > 2 || !floats(in[0]) || !indices(in[1:]...) || in[0].Dim[0] != in[1].Dim[0] || s.Rows < 1 {
		return nil, wrong(s, want, all)
	}
	b := in[1].Dim[0]
	if s.Sorted && (in[2].Dim[0] != b || in[3].Dim[0] != b+1 || in[4].Dim[0] != b) {
		return nil, wrong(s, want, all)
	}
	out := in[0]
	out.Dim[0] = s.Rows
	if s.Onto && base != out {
		return nil, wrong(s, want, all)
	}
	return []Desc{out}, nil
}

func (s ScatterAdd) Ref(out, in []Tensor64) {
	clear(out[0].F)
	if s.Onto {
		copy(out[0].F, in[0].F)
		in = in[1:]
	}
	d := width(in[0].Desc)
	for i, id := range in[1].I {
		if id < 0 {
			continue
		}
		for k := range d {
			out[0].F[int(id)*d+k] += in[0].F[i*d+k]
		}
	}
}

// SegmentSum is ScatterAdd's sum for the distinct rows only:
//
//	out[k, :] = Σ_{p = seg_k .. seg_k+1 -1} G[perm_p, :]
//
// Inputs: G [B, d], seg [B+1], perm [B]. Output [B, d]; rows behind the distinct ones are zero. It feeds the row optimisers.
type SegmentSum struct{}

func (s SegmentSum) Name() string { return "SegmentSum" }

func (s SegmentSum) Infer(in []Desc) ([]Desc, error) {
	if len(in) != 3 || in[0].Rank != 2 || !floats(in[0]) || !indices(in[1:]...) || in[1].Dim[0] != in[0].Dim[0]+1 || in[2].Dim[0] != in[0].Dim[0] {
		return nil, wrong(s, "G [B d], seg [B+1], perm [B]", in)
	}
	return in[:1:1], nil
}

func (s SegmentSum) Ref(out, in []Tensor64) {
	for k := range out[0].Desc.Rows() {
		y := out[0].row(k)
		clear(y)
		for p := in[1].I[k]; p < in[1].I[k+1]; p++ {
			for j, g := range in[0].row(int(in[2].I[p])) {
				y[j] += g
			}
		}
	}
}

// Put replaces rows of a table by index; -1 is skipped, and an index stands at most once:
//
//	out = T;  out[id_i, :] = X[i, :]
//
// Inputs: T [N, d] or [N], X [B, d] or [B], id [B]. With id = (t·B + i) mod N it is the ring of a negative queue.
type Put struct{}

func (p Put) Name() string { return "Put" }

func (p Put) Infer(in []Desc) ([]Desc, error) {
	if len(in) != 3 || in[0].Rank < 1 || in[0].Rank > 2 || in[1].Rank != in[0].Rank || !floats(in[:2]...) || !indices(in[2]) ||
		in[1].Dim[0] != in[2].Dim[0] || width(in[0]) != width(in[1]) {
		return nil, wrong(p, "T [N d] or [N], X [B d] or [B], id [B]", in)
	}
	return in[:1:1], nil
}

func (p Put) Ref(out, in []Tensor64) {
	copy(out[0].F, in[0].F)
	d := width(in[0].Desc)
	for i, id := range in[2].I {
		if id >= 0 {
			copy(out[0].F[int(id)*d:int(id)*d+d], in[1].F[i*d:])
		}
	}
}

// RowDot is the inner product of corresponding rows: out_i = Σ_k X[i, k] · Y[i, k]. Inputs [.., d]; output drops the last dimension.
type RowDot struct{}

func (r RowDot) Name() string { return "RowDot" }

func (r RowDot) Infer(in []Desc) ([]Desc, error) {
	if len(in) != 2 || in[0].Rank < 1 || !floats(in...) || in[0] != in[1] {
		return nil, wrong(r, "two tensors of one shape", in)
	}
	return []Desc{dropLast(in[0])}, nil
}

func dropLast(d Desc) Desc { return Of(d.Type, d.Shape()[:d.Rank-1]...) }

func (r RowDot) Ref(out, in []Tensor64) {
	for i := range out[0].F {
		out[0].F[i] = dot(in[0].row(i), in[1].row(i))
	}
}

// NormaliseRows scales rows to unit length:
//
//	inv_i = 1 / max(|x_i|, Eps);  y_i = x_i · inv_i
//
// Input X [.., d]. Outputs Y [.., d] and inv [..]. (torch.nn.functional.normalize)
type NormaliseRows struct{ Eps float64 }

func (n NormaliseRows) Name() string { return "NormaliseRows" }

func (n NormaliseRows) Infer(in []Desc) ([]Desc, error) {
	if len(in) != 1 || in[0].Rank < 1 || !floats(in[0]) {
		return nil, wrong(n, "X [.. d]", in)
	}
	return []Desc{in[0], dropLast(in[0])}, nil
}

func (n NormaliseRows) Ref(out, in []Tensor64) {
	for i := range out[1].F {
		x := in[0].row(i)
		inv := 1 / max(math.Sqrt(dot(x, x)), n.Eps)
		out[1].F[i] = inv
		for k, v := range x {
			out[0].row(i)[k] = v * inv
		}
	}
}

// NormaliseRowsGrad is the derivative of NormaliseRows' first output: dx_i = inv_i (g_i - y_i <y_i, g_i>).
// Inputs Y [.., d], inv [..], G [.., d].
type NormaliseRowsGrad struct{}

func (n NormaliseRowsGrad) Name() string { return "NormaliseRowsGrad" }

func (n NormaliseRowsGrad) Infer(in []Desc) ([]Desc, error) {
	if len(in) != 3 || in[0].Rank < 1 || !floats(in...) || in[0] != in[2] || in[1] != dropLast(in[0]) {
		return nil, wrong(n, "Y [.. d], inv [..], G [.. d]", in)
	}
	return in[:1:1], nil
}

func (n NormaliseRowsGrad) Ref(out, in []Tensor64) {
	for i, inv := range in[1].F {
		y, g := in[0].row(i), in[2].row(i)
		s := dot(y, g)
		for k := range y {
			out[0].row(i)[k] = inv * (g[k] - y[k]*s)
		}
	}
}
