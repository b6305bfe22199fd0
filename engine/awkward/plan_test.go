package awkward

import (
	"math"
	"testing"

	"nearfar/engine/op"
	"nearfar/kernels"
)

// A Map over indices alone has no precision of its own: folding a constant into it must not lose the program's.
func TestConstantsFoldIntoIndices(t *testing.T) {
	mid := middle{name: "indices", loss: func(m *model) *op.Node {
		ids := m.ints("ids", 3, func(t uint64, i int) int { return i + 1 })
		return op.Sum(op.Mul(op.Mul(op.Add(ids, m.Scalar(.5)), m.Scalar(2)), m.matrix("w", 3)))
	}}
	for _, float := range []kernels.DType{kernels.Float64, kernels.Float32} {
		c := compile(t, mid, oracle(), float, nil)
		v := c.run(t)
		if want := 3*v["w"][0] + 5*v["w"][1] + 7*v["w"][2]; !(math.Abs(v["loss"][0]-want) < 1e-6) {
			t.Errorf("%v: the loss is %v, want %v", float, v["loss"][0], want)
		}
		c.close(t)
	}
}
