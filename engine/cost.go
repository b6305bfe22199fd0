package engine

import "nearfar/kernels"

// Cost is an instruction's floating-point operations and the bytes that it must move at least: what explain prints and kernelbench divides by, so
// that a rate says the same whatever the implementation does twice. Kernels whose work depends on the data (SpMM) count what their operands could
// hold; optimisers and Put, that they write over their table.
func Cost(k kernels.Kernel, out, in []kernels.Desc) (flops, bytes int64) {
	for _, d := range append(append([]kernels.Desc{}, out...), in...) {
		bytes += d.Bytes()
	}
	n := int64(0)
	if len(out) > 0 {
		n = int64(out[0].Elems())
	}
	pairs := func(x, y kernels.Desc) int64 { return int64(x.Dim[0]) * int64(y.Dim[0]) * int64(x.Dim[1]) }
	switch k := k.(type) {
	case kernels.Map:
		return n * int64(k.Len()), bytes
	case kernels.MatMul:
		b, r, c, inner := k.Sizes(in[0], in[1])
		return 2 * int64(b) * int64(r) * int64(c) * int64(inner), bytes
	case kernels.SpMM: // for every edge a row of X, a column and what weighs it; each row of the output once
		edges, d, size := int64(in[3].Elems()), int64(in[0].Cols()), int64(in[0].Type.Size())
		edge, rounded := d*size+int64(in[3].Type.Size()), int64(0)
		if k.Half { // X is read, and written in 16 bits
			edge -= d * (size - 2)
			rounded = in[0].Bytes() + 2*int64(in[0].Elems())
		}
		if k.Scaled {
			edge += size
		}
		if k.Valued {
			edge += size
		}
		return 2 * edges * d, edges*edge + rounded + out[0].Bytes()
	case kernels.LogSumExp:
		return 2 * pairs(in[0], in[1]), bytes
	case kernels.LogSumExpGrad, kernels.LogSumExpWithGrad: // the logits, dX and dY
		return 6 * pairs(in[0], in[1]), bytes
	case kernels.SignedNoise:
		return 5 * n, bytes
	case kernels.Adam:
		return 12 * n, bytes
	case kernels.RowAdam: // the batch's rows of three tables, read and written
		if k.Dense { // all of them
			return 12 * n, bytes
		}
		rows := int64(in[3].Elems()) * int64(2*(in[0].Type.Size()+in[1].Type.Size()+in[2].Type.Size()))
		return 12 * int64(in[3].Elems()), bytes - tables(out, in) + rows
	case kernels.RowAdagrad:
		return 6 * int64(in[2].Elems()), bytes - tables(out, in) + 4*in[2].Bytes()
	case kernels.Put:
		return 0, in[1].Bytes()*2 + in[2].Bytes()
	case kernels.Gather:
		return 0, bytes - in[0].Bytes() + out[0].Bytes()
	case kernels.ScatterAdd, kernels.Fill, kernels.Concat, kernels.Slice, kernels.Pad, kernels.Permute:
		return 0, bytes
	}
	if len(in) > 0 {
		n = max(n, int64(in[0].Elems()))
	}
	return 2 * n, bytes
}

// tables is the bytes of a row optimiser's outputs and of the inputs that they replace.
func tables(out, in []kernels.Desc) (bytes int64) {
	for i, d := range out {
		bytes += d.Bytes() + in[i].Bytes()
	}
	return bytes
}
