package evaluate

import (
	"math"
	"strings"
	"testing"

	"nearfar/kernels/philox"
)

func TestGeometryByHand(t *testing.T) {
	// Users on the axes, of any length; items at 0, 90 and 180 degrees.
	users := Table{Data: []float32{2, 0, 0, 5}, N: 2, D: 2}
	items := Table{Data: []float32{1, 0, 0, .1, -3, 0}, N: 3, D: 2}
	positives := lists(t, 3, []int32{0, 2}, []int32{0}) // squared distances 0, 4, 2
	g, err := Measure(users, items, positives, 1)
	if err != nil {
		t.Fatal(err)
	}
	near := func(what string, got, want, within float64) {
		t.Helper()
		if !(math.Abs(got-want) <= within) {
			t.Errorf("%s = %g, want %g", what, got, want)
		}
	}
	near("alignment", g.Alignment, 2, 1e-6)
	near("user cosine", g.UserCosine, 0, 1e-6)
	near("item cosine", g.ItemCosine, -1.0/3, 1e-6) // pairs 0, -1, 0
	near("user uniformity", g.UserUniformity, -4, 1e-6)
	near("item uniformity", g.ItemUniformity, math.Log((2*math.Exp(-4)+math.Exp(-8))/3), .01)
}

func TestGeometryAgainstAllPairs(t *testing.T) {
	const n, d = 200, 16
	x := Table{Data: make([]float32, n*d), N: n, D: d}
	words := philox.New(4, "rows").Sequence(0, 0)
	for i := range x.Data {
		x.Data[i] = float32(philox.Normal(words.Word(), words.Word()) + .3)
	}
	clear(x.Data[5*d : 6*d]) // a row of zeros stays one
	cosine, kernel := 0.0, 0.0
	unit := func(i int) []float64 {
		out, norm := make([]float64, d), 0.0
		for k, v := range x.Data[i*d : (i+1)*d] {
			out[k] = float64(v)
			norm += out[k] * out[k]
		}
		for k := range out {
			out[k] /= math.Max(math.Sqrt(norm), 1e-30)
		}
		return out
	}
	for i := range n {
		for j := range n {
			if i == j {
				continue
			}
			a, b, dot, dist := unit(i), unit(j), 0.0, 0.0
			for k := range a {
				dot += a[k] * b[k]
				dist += (a[k] - b[k]) * (a[k] - b[k])
			}
			cosine += dot / (n * (n - 1))
			kernel += math.Exp(-2*dist) / (n * (n - 1))
		}
	}
	positives := random(t, n, n, "positives", func(int) float64 { return .05 })
	g, err := Measure(x, x, positives, 7)
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(g.UserCosine-cosine) > 1e-6 || g.UserCosine != g.ItemCosine {
		t.Errorf("cosines %g and %g, want %g", g.UserCosine, g.ItemCosine, cosine)
	}
	for _, u := range []float64{g.UserUniformity, g.ItemUniformity} {
		if math.Abs(u-math.Log(kernel)) > .05 {
			t.Errorf("uniformity %g, want about %g", u, math.Log(kernel))
		}
	}
	again, _ := Measure(x, x, positives, 7)
	other, _ := Measure(x, x, positives, 8)
	if again != g || other.UserUniformity == g.UserUniformity {
		t.Error("the sample is not a function of the seed")
	}
}

func TestGeometryOfACollapse(t *testing.T) {
	x := Table{Data: []float32{1, 2, 2, 4, .5, 1}, N: 3, D: 2} // one direction
	g, err := Measure(x, x, lists(t, 3, []int32{0}, []int32{0}, nil), 1)
	if err != nil {
		t.Fatal(err)
	}
	for what, v := range map[string]float64{"alignment": g.Alignment, "uniformity": g.ItemUniformity, "cosine": g.UserCosine - 1} {
		if math.Abs(v) > 1e-6 {
			t.Errorf("%s is off by %g", what, v)
		}
	}
}

func TestMeasureRefuses(t *testing.T) {
	two := Table{Data: []float32{1, 2, 3, 4}, N: 2, D: 2}
	nan := Table{Data: []float32{1, 2, 3, float32(math.NaN())}, N: 2, D: 2}
	inf := Table{Data: []float32{float32(math.Inf(1)), 2, 3, 4}, N: 2, D: 2}
	pairs := lists(t, 2, []int32{0}, nil)
	for name, c := range map[string]struct {
		users, items Table
		want         string
	}{
		"NaN":        {two, nan, "item 1 is not finite"},
		"infinite":   {inf, two, "user 0 is not finite"},
		"dimensions": {two, Table{Data: []float32{1, 2}, N: 2, D: 1}, "dimensions"},
		"rows":       {two, Table{Data: []float32{1, 2}, N: 1, D: 2}, "items"},
		"short":      {Table{Data: []float32{1}, N: 2, D: 2}, two, "user table"},
	} {
		if _, err := Measure(c.users, c.items, pairs, 1); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
	if _, err := Measure(two, two, lists(t, 2, nil, nil), 1); err == nil {
		t.Error("no positive pairs: no error")
	}
}
