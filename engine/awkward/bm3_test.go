package awkward

import (
	"math"

	"nearfar/engine/op"
)

// Users, items, dimensions and features of BM3.
const mU, mI, mD, mF = 4, 5, 3, 6

// apart is the mean of 1 - cos of corresponding rows.
func apart(x, y *op.Node) *op.Node {
	return op.AddConst(op.Neg(op.Mean(op.Cosine(x, y))), 1)
}

// bm3: one online side with a predictor, targets that are dropped out and stopped, no negatives; un-squared norms of whole tables. Rows are gathered
// before they are projected; the raw features are trained too.
func bm3(m *model) *op.Node {
	const B, p = 3, .3
	users, items := m.matrix("users", mU, mD), m.matrix("items", mI, mD)
	features := m.matrix("image", mI, mF)
	w, bias := m.matrix("P", mD, mD), m.matrix("P.bias", mD)
	image, imageBias := m.matrix("W", mF, mD), m.matrix("W.bias", mD)
	predict := func(x *op.Node) *op.Node { return op.Linear(x, w, bias) }
	a, b := m.index("a", B, mU, false), m.index("b", B, mI, false)
	for name, x := range map[string]op.Index{"a-ids": a, "b-ids": b} {
		m.show(name, m.asReal(x.ID))
	}
	u, i := op.Gather(users, a), op.Gather(items, b)
	v := op.Linear(op.Gather(features, b), image, imageBias)
	target := func(name string, x *op.Node) *op.Node { return m.stop(name, m.Dropout(name, x, p)) }
	tu, ti, tv := target("user target", u), target("item target", i), target("image target", v)
	reconstruct := op.Add(apart(predict(u), ti), apart(predict(i), tu))
	align, mask := apart(predict(v), ti), apart(predict(v), tv)
	norms := op.Add(op.Sqrt(op.SumSquares(users)), op.Sqrt(op.SumSquares(items)))
	return op.SumOf(reconstruct, op.Scale(op.Add(align, mask), 2), op.Scale(norms, .1/mI))
}

func wantBM3(v values) float64 {
	const B = 3
	linear := func(x []float64, w, bias string) []float64 {
		y := append([]float64(nil), v[bias]...)
		for j := range y {
			for k, a := range x {
				y[j] += a * v[w][k*len(y)+j]
			}
		}
		return y
	}
	cos := func(x, y []float64) float64 {
		var xx, xy, yy float64
		for k := range x {
			xx, xy, yy = xx+x[k]*x[k], xy+x[k]*y[k], yy+y[k]*y[k]
		}
		return xy / max(math.Sqrt(xx), 1e-12) / max(math.Sqrt(yy), 1e-12)
	}
	norm := func(x []float64) (s float64) {
		for _, a := range x {
			s += a * a
		}
		return math.Sqrt(s)
	}
	loss := .1 / mI * (norm(v["users"]) + norm(v["items"]))
	for r := range B {
		row := func(name string) []float64 { return v[name][r*mD : r*mD+mD] }
		a, b := int(v["a-ids"][r]), int(v["b-ids"][r])
		u, i := v["users"][a*mD:a*mD+mD], v["items"][b*mD:b*mD+mD]
		image := linear(linear(v["image"][b*mF:b*mF+mF], "W", "W.bias"), "P", "P.bias")
		loss += (1 - cos(linear(u, "P", "P.bias"), row("item target")) + 1 - cos(linear(i, "P", "P.bias"), row("user target"))) / B
		loss += 2 * (1 - cos(image, row("item target")) + 1 - cos(image, row("image target"))) / B
	}
	return loss
}
