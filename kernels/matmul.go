package kernels

// MatMul multiplies matrices, one product for each leading (batch) index:
//
//	out[.., i, j] = Σ_k A[.., i, k] · B[.., k, j]
//
// TransA reads A as [.., k, i]; TransB reads B as [.., j, k]. Both have the same rank, 2 to 4, and the same batch dimensions.
type MatMul struct{ TransA, TransB bool }

func (m MatMul) Name() string { return "MatMul" }

// Sizes gives the batch count and the m, n, k of one product.
func (m MatMul) Sizes(a, b Desc) (batch, rows, cols, inner int) {
	r := a.Rank
	batch = 1
	for i := range r - 2 {
		batch *= a.Dim[i]
	}
	rows, inner = a.Dim[r-2], a.Dim[r-1]
	if m.TransA {
		rows, inner = inner, rows
	}
	cols = b.Dim[r-1]
	if m.TransB {
		cols = b.Dim[r-2]
	}
	return
}

func (m MatMul) Infer(in []Desc) ([]Desc, error) {
	const want = "two matrices (or batches of them) whose inner sizes agree"
	if len(in) != 2 || in[0].Rank < 2 || in[0].Rank != in[1].Rank || !floats(in...) {
		return nil, wrong(m, want, in)
	}
	r := in[0].Rank
	for i := range r - 2 {
		if in[0].Dim[i] != in[1].Dim[i] {
			return nil, wrong(m, want, in)
		}
	}
	_, rows, cols, inner := m.Sizes(in[0], in[1])
	kB := in[1].Dim[r-2]
	if m.TransB {
		kB = in[1].Dim[r-1]
	}
	if kB != inner {
		return nil, wrong(m, want, in)
	}
	out := in[0]
	out.Dim[r-2], out.Dim[r-1] = rows, cols
	return []Desc{out}, nil
}

func (m MatMul) Ref(out, in []Tensor64) {
	batch, rows, cols, inner := m.Sizes(in[0].Desc, in[1].Desc)
	for g := range batch {
		a, b, c := in[0].F[g*rows*inner:], in[1].F[g*inner*cols:], out[0].F[g*rows*cols:]
		for i := range rows {
			for j := range cols {
				s := 0.0
				for k := range inner {
					x, y := i*inner+k, k*cols+j
					if m.TransA {
						x = k*rows + i
					}
					if m.TransB {
						y = j*inner + k
					}
					s += a[x] * b[y]
				}
				c[i*cols+j] = s
			}
		}
	}
}
