package paranoid

import (
	"strings"
	"testing"

	"nearfar/kernels"
)

func ints(v ...int32) kernels.Tensor64 {
	return kernels.Tensor64{Desc: kernels.Of(kernels.Int32, len(v)), I: v}
}

func reals(dims ...int) kernels.Tensor64 {
	return kernels.NewTensor64(kernels.Of(kernels.Float64, dims...))
}

// Each contract on ids, kept and broken.
func TestFindsPlantedIndices(t *testing.T) {
	const rows, d = 5, 2
	type operands = []kernels.Tensor64
	sorted := func(rows, seg, perm kernels.Tensor64) (kernels.Kernel, operands) {
		return kernels.ScatterAdd{Rows: 5, Sorted: true}, operands{reals(4, d), ints(3, -1, 0, 3), rows, seg, perm}
	}
	with := func(k kernels.Kernel, in operands) func() (kernels.Kernel, operands) {
		return func() (kernels.Kernel, operands) { return k, in }
	}
	inverse := func(rows, seg, perm kernels.Tensor64) func() (kernels.Kernel, operands) {
		return with(sorted(rows, seg, perm))
	}
	scalar := reals()
	rowAdam := func(rows ...int32) func() (kernels.Kernel, operands) {
		return with(kernels.RowAdam{}, operands{reals(5, d), reals(5, d), reals(5, d), reals(len(rows), d), ints(rows...), reals(3), scalar, scalar})
	}
	excluded := func(k func(kernels.Similarity) kernels.Kernel, added int, row, col kernels.Tensor64) func() (kernels.Kernel, operands) {
		in := operands{reals(3, d), reals(4, d)}
		for range added {
			in = append(in, reals(3))
		}
		return with(k(kernels.Similarity{Scale: 1, Excludes: true}), append(in, row, col))
	}
	lse := func(s kernels.Similarity) kernels.Kernel { return kernels.LogSumExp{Similarity: s} }
	grad := func(s kernels.Similarity) kernels.Kernel { return kernels.LogSumExpGrad{Similarity: s} }
	both := func(s kernels.Similarity) kernels.Kernel { return kernels.LogSumExpWithGrad{Similarity: s} }
	tests := []struct {
		name, want string // "" is no error
		build      func() (kernels.Kernel, operands)
	}{
		{"gather", "", with(kernels.Gather{}, operands{reals(rows, d), ints(4, -1, 4)})},
		{"gather above", "id[1] is 5", with(kernels.Gather{}, operands{reals(rows, d), ints(4, 5)})},
		{"gather below", "id[0] is -2", with(kernels.Gather{}, operands{reals(rows, d), ints(-2)})},
		{"random rows", "id[1] is -2", with(kernels.Random{Shape: kernels.Of(kernels.Float32, 2, d), Rows: true}, operands{ints(0, 0, 0, 0), ints(-1, -2)})},
		{"noise", "", with(kernels.SignedNoise{Rows: true}, operands{reals(2, d), ints(0, 0, 0, 0), ints(-1, 1<<30)})},
		{"noise at no row", "id[1] is -2", with(kernels.SignedNoise{Rows: true}, operands{reals(2, d), ints(0, 0, 0, 0), ints(-1, -2)})},
		{"put", "", with(kernels.Put{}, operands{reals(rows, d), reals(4, d), ints(4, -1, 0, -1)})},
		{"put twice", "distinct", with(kernels.Put{}, operands{reals(rows, d), reals(3, d), ints(4, 0, 4)})},
		{"inverse", "", inverse(ints(0, 3, -1, -1), ints(0, 1, 3, 3, 3), ints(2, 0, 3, 77))},
		{"onto", "id[0] is 5", with(kernels.ScatterAdd{Rows: 5, Onto: true}, operands{reals(5, d), reals(1, d), ints(5)})},
		{"a row left out", "2 places of 3", inverse(ints(3, -1, -1, -1), ints(0, 2, 2, 2, 2), ints(0, 3, -1, -1))},
		{"another row", "the id there is 3", inverse(ints(0, 2, -1, -1), ints(0, 1, 3, 3, 3), ints(2, 0, 3, -1))},
		{"rows that fall", "increasing", inverse(ints(3, 0, -1, -1), ints(0, 2, 3, 3, 3), ints(0, 3, 2, -1))},
		{"rows behind -1", "behind", inverse(ints(0, -1, 3, -1), ints(0, 1, 1, 3, 3), ints(2, 0, 3, -1))},
		{"a place twice", "before", inverse(ints(0, 3, -1, -1), ints(0, 1, 3, 3, 3), ints(2, 0, 0, -1))},
		{"a place that is none", "perm[2] is 9", inverse(ints(0, 3, -1, -1), ints(0, 1, 3, 3, 3), ints(2, 0, 9, -1))},
		{"segments that fall", "seg[2]", inverse(ints(0, 3, -1, -1), ints(0, 3, 1, 3, 3), ints(2, 0, 3, -1))},
		{"an empty segment", "has the places", inverse(ints(0, 2, 3, -1), ints(0, 1, 1, 3, 3), ints(2, 0, 3, -1))},
		{"segment sum", "", with(kernels.SegmentSum{}, operands{reals(3, d), ints(0, 2, 3, 3), ints(2, 0, 1)})},
		{"segments not from 0", "seg[0]", with(kernels.SegmentSum{}, operands{reals(3, d), ints(1, 2, 3, 3), ints(2, 0, 1)})},
		{"row adam", "", rowAdam(0, 2, 4, -1)},
		{"row adam twice", "increasing", rowAdam(0, 2, 2, -1)},
		{"row adam outside", "rows[2] is 5", rowAdam(0, 2, 5, -1)},
		{"row adagrad", "increasing", with(kernels.RowAdagrad{}, operands{reals(5, d), reals(5, d), reals(2, d), ints(2, 1), reals(1), scalar, scalar})},
		{"edges", "", with(kernels.SpMM{}, operands{reals(3, d), ints(0, 2), ints(1, 2), ints(2, -1)})},
		{"a column", "row 0: column[1] is -1", with(kernels.SpMM{}, operands{reals(3, d), ints(0, 2), ints(2, 2), ints(2, -1)})},
		{"edges outside", "row 1", with(kernels.SpMM{}, operands{reals(3, d), ints(0, 1), ints(1, 3), ints(2, 1)})},
		{"excluded", "", excluded(lse, 0, ints(0, 0, 2, -1), ints(3, 1, 0, 99))},
		{"excluded unsorted", "sorted", excluded(lse, 0, ints(1, 0, 2, -1), ints(3, 1, 0, 0))},
		{"excluded behind -1", "sorted", excluded(grad, 2, ints(0, -1, 2, -1), ints(3, 1, 0, 0))},
		{"excluded row", "excluded row[2] is 3", excluded(both, 1, ints(0, 0, 3, -1), ints(3, 1, 0, 0))},
		{"excluded column", "excluded column 4", excluded(both, 1, ints(0, 0, 2, -1), ints(3, 1, 4, 0))},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			k, in := c.build()
			var descs []kernels.Desc
			for _, x := range in {
				descs = append(descs, x.Desc)
			}
			if _, err := k.Infer(descs); err != nil {
				t.Fatal(err)
			}
			err := checkIndices(k, in)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("the error is %v, want one with %q", err, c.want)
			}
		})
	}
}
