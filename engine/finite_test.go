package engine_test

import (
	"math"
	"testing"

	"nearfar/engine"
)

// An instruction is guilty of what it made and was not given; -Inf among its operands is no excuse for NaN, and none is one for a constant's -Inf.
func TestGuilty(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	tests := []struct {
		name    string
		in, out []float64
		want    bool
	}{
		{"finite", []float64{1}, []float64{2, -3}, false},
		{"NaN of finite", []float64{1}, []float64{2, nan}, true},
		{"Inf of finite", []float64{1}, []float64{inf}, true},
		{"-Inf of finite", []float64{0}, []float64{-inf}, true},
		{"-Inf of -Inf", []float64{-inf}, []float64{-inf, 1}, false},
		{"NaN of -Inf", []float64{-inf}, []float64{nan}, true},
		{"NaN of NaN", []float64{nan}, []float64{nan, -inf}, false},
		{"-Inf of Inf", []float64{inf}, []float64{-inf}, false},
		{"a constant", nil, []float64{-inf}, false},
		{"a constant NaN", nil, []float64{nan}, true},
	}
	for _, c := range tests {
		in, out := engine.FindNonFinite(c.in), engine.FindNonFinite(c.out)
		if got := out.Guilty(in, len(c.in)); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
