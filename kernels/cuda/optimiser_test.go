package cuda

import (
	"fmt"
	"slices"
	"testing"

	"nearfar/kernels"
)

// TestRowOptimisersTouchTheirRows: in place there is no step over the whole table.
func TestRowOptimisersTouchTheirRows(t *testing.T) {
	table, rates := kernels.Of(kernels.Float32, 1_000_000, 64), kernels.Of(kernels.Float32, 3)
	in := outlines([]kernels.Desc{table, table, table, kernels.Of(kernels.Float32, 2_048, 64), kernels.Of(kernels.Int32, 2_048), rates,
		kernels.Of(kernels.Float32), kernels.Of(kernels.Float32)})
	for i := range in {
		in[i].At = Ptr(i+1) << 32
	}
	out := slices.Clone(in[:3])
	steps := func(k kernels.RowAdam) string {
		w, err := Set{}.Bind(k, out, in, Memory{})
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(w.Steps)
	}
	const launch = "row_adam4<<<[128 1 1], 256, 0>>>"
	if have := steps(kernels.RowAdam{}); have != "["+launch+"]" {
		t.Errorf("in place: %s", have)
	}
	out[1].At = 9 << 32
	if have := steps(kernels.RowAdam{}); have != "[copy of 256000000 bytes "+launch+"]" {
		t.Errorf("the first moment elsewhere: %s", have)
	}
	const dense = "row_adam_dense4<<<[62500 1 1], 256, 0>>>"
	if have := steps(kernels.RowAdam{Dense: true}); have != "["+dense+"]" {
		t.Errorf("all rows: %s", have)
	}
}
