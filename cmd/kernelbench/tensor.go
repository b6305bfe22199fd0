package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"unsafe"

	"nearfar/kernels"
	"nearfar/kernels/kerneltest"
)

// tensor is an operand in the host's memory: float32 or int32.
type tensor = kerneltest.Tensor

// draws makes operands from one seed, so that a problem has the same numbers in every run and for every kernel.
type draws struct{ *rand.Rand }

func newDraws(name string) draws {
	seed := uint64(14695981039346656037) // FNV-1a
	for _, c := range []byte(name) {
		seed = (seed ^ uint64(c)) * 1099511628211
	}
	return draws{rand.New(rand.NewPCG(seed, 0))}
}

func blank(d kernels.Desc) tensor {
	t := tensor{Desc: d}
	switch d.Type {
	case kernels.Int32:
		t.I32 = make([]int32, d.Elems())
	case kernels.BFloat16:
		t.B16 = make([]uint16, d.Elems())
	default:
		t.F32 = make([]float32, d.Elems())
	}
	return t
}

func filled(f func(i int) float32, dims ...int) tensor {
	t := blank(kernels.Of(kernels.Float32, dims...))
	for i := range t.F32 {
		t.F32[i] = f(i)
	}
	return t
}

func constant(v float32, dims ...int) tensor {
	return filled(func(int) float32 { return v }, dims...)
}

// normal has a deviation of 0.1, as trained embeddings about have.
func (r draws) normal(dims ...int) tensor {
	return filled(func(int) float32 { return .1 * float32(r.NormFloat64()) }, dims...)
}

// bfloat16 is t rounded.
func bfloat16(t tensor) tensor {
	b := blank(t.Desc.As(kernels.BFloat16))
	for i, v := range t.F32 {
		b.B16[i] = kernels.ToBFloat16(v)
	}
	return b
}

// unit is rows of length 1.
func (r draws) unit(n, d int) tensor {
	t := r.normal(n, d)
	for at := 0; at < len(t.F32); at += d {
		row, sum := t.F32[at:at+d], 0.0
		for _, v := range row {
			sum += float64(v) * float64(v)
		}
		for k := range row {
			row[k] /= float32(math.Sqrt(sum))
		}
	}
	return t
}

func indices(v []int32) tensor { return tensor{Desc: kernels.Of(kernels.Int32, len(v)), I32: v} }

// ids are drawn uniformly below n.
func (r draws) ids(b, n int) []int32 {
	v := make([]int32, b)
	for i := range v {
		v[i] = r.Int32N(int32(n))
	}
	return v
}

// inverse is what an index feed brings beside its ids: the distinct ones in increasing order with -1 behind, and where each stands.
func inverse(id []int32) (rows, seg, perm []int32) {
	for i := range id {
		perm = append(perm, int32(i))
	}
	slices.SortStableFunc(perm, func(a, b int32) int { return int(id[a]) - int(id[b]) })
	seg = append(seg, 0)
	for i, p := range perm {
		if i == 0 || id[p] != rows[len(rows)-1] {
			if i > 0 {
				seg = append(seg, int32(i))
			}
			rows = append(rows, id[p])
		}
	}
	for len(rows) < len(id) {
		rows, seg = append(rows, -1), append(seg, int32(len(id)))
	}
	return rows, append(seg, int32(len(id))), perm
}

func descs(ts []tensor) []kernels.Desc {
	d := make([]kernels.Desc, len(ts))
	for i, t := range ts {
		d[i] = t.Desc
	}
	return d
}

// bytesOf is a tensor's memory.
func bytesOf(t tensor) []byte {
	if t.Desc.Elems() == 0 {
		return nil
	}
	p := unsafe.Pointer(unsafe.SliceData(t.F32))
	switch {
	case t.I32 != nil:
		p = unsafe.Pointer(unsafe.SliceData(t.I32))
	case t.B16 != nil:
		p = unsafe.Pointer(unsafe.SliceData(t.B16))
	}
	return unsafe.Slice((*byte)(p), t.Desc.Bytes())
}

// wide is a tensor for a reference.
func wide(t tensor) kernels.Tensor64 {
	w := kernels.Tensor64{Desc: t.Desc, I: t.I32}
	if t.I32 == nil {
		w.F = make([]float64, t.Desc.Elems())
	}
	for i, v := range t.F32 {
		w.F[i] = float64(v)
	}
	for i, v := range t.B16 {
		w.F[i] = float64(kernels.FromBFloat16(v))
	}
	return w
}

func allWide(ts []tensor) []kernels.Tensor64 {
	w := make([]kernels.Tensor64, len(ts))
	for i, t := range ts {
		w[i] = wide(t)
	}
	return w
}

// rowsOf are some rows of a tensor, along its first dimension.
func rowsOf(t tensor, rows []int) tensor {
	width := t.Desc.Elems() / max(1, t.Desc.Dim[0])
	d := t.Desc
	d.Dim[0] = len(rows)
	s := tensor{Desc: d}
	for _, r := range rows {
		if t.I32 != nil {
			s.I32 = append(s.I32, t.I32[r*width:(r+1)*width]...)
		} else {
			s.F32 = append(s.F32, t.F32[r*width:(r+1)*width]...)
		}
	}
	return s
}
