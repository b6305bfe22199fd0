package engine

import "nearfar/kernels"

// cost estimates an instruction's floating-point operations and the bytes that it must move at least. Kernels whose work depends on the
// data (SpMM) count what their operands could hold.
func cost(k kernels.Kernel, out, in []kernels.Desc) (flops, bytes int64) {
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
	case kernels.SpMM: // a row of X for every edge
		edges, d, size := int64(in[3].Elems()), int64(in[0].Cols()), int64(in[0].Type.Size())
		if k.Half { // X is read, and written at half the size
			return 2 * edges * d, bytes + in[0].Bytes()/size*2 + edges*d*2
		}
		return 2 * edges * d, bytes - in[0].Bytes() + edges*d*size
	case kernels.LogSumExp:
		return 2 * pairs(in[0], in[1]), bytes
	case kernels.LogSumExpGrad: // forms the logits twice, so that each output has one owner
		return 8 * pairs(in[0], in[1]), bytes
	case kernels.LogSumExpWithGrad:
		return 6 * pairs(in[0], in[1]), bytes
	case kernels.Adam:
		return 12 * n, bytes
	case kernels.Gather, kernels.ScatterAdd, kernels.Fill, kernels.Concat, kernels.Slice, kernels.Pad, kernels.Permute, kernels.Put:
		if _, ok := k.(kernels.Gather); ok {
			bytes -= in[0].Bytes() - out[0].Bytes()
		}
		return 0, bytes
	}
	if len(in) > 0 {
		n = max(n, int64(in[0].Elems()))
	}
	return 2 * n, bytes
}
