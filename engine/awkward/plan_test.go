package awkward

import (
	"math"
	"slices"
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

// Wherever the gradient of a log-sum-exp does not depend on it (lse - positive, in any mean or sum), forward and backward are one pass over the logits;
// where it does (softplus(lse - positive), a factor 1-P, a further log-sum-exp above) there are two.
func TestOnePassWhereTheGradientAllows(t *testing.T) {
	two := []string{"sampled-softmax", "tower-refined", "tower-exposed", "second-order", "skeleton-first", "skeleton-bilevel"}
	for _, mid := range middles() {
		n := count(trainingPlan(t, mid, devices()[0]))
		passes := n["LogSumExp"] + n["LogSumExpGrad"]
		if apart := slices.Contains(two, mid.name); apart != (passes > 0) || apart && n["LogSumExpWithGrad"] > 0 {
			t.Errorf("%s has %d LogSumExp, %d LogSumExpGrad and %d of both in one", mid.name, n["LogSumExp"], n["LogSumExpGrad"], n["LogSumExpWithGrad"])
		}
	}
}
