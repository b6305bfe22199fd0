package models

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"nearfar/engine"
)

// Of several candidates the features are compared of that which the model ranks highest, not of that which they would rank highest themselves.
func TestFREEDOMComparesFeaturesOfTheHardest(t *testing.T) {
	train, _ := blocks(t, 40, 50, 4)
	const rows = 20
	losses := func(each int, neg func(row int32) []int32) []map[string]float64 {
		m := newModel(t, "freedom", Data{Train: train, Seed: 1}, "-dim=6", "-batch=1", "-init=normal", "-init-std=1", fmt.Sprint("-hard-negatives=", each)).(*freedom)
		var given []batch
		for row := range int32(rows) {
			given = append(given, batch{User: []int32{row}, Pos: []int32{row + 1}, Neg: neg(row), Weight: []float64{1}})
		}
		triples := newFixedTriples(40, 50, false, given...)
		triples.offset, m.triples = 0, triples
		return run(t, build(t, platforms()[0].on(t), func(b *engine.Builder) (s engine.Step) {
			for _, term := range m.Train(b) {
				s.Scalars = append(s.Scalars, engine.Named{Name: term.Name, Value: term.Value})
			}
			return s
		}), rows)
	}
	first, second := func(row int32) []int32 { return []int32{row + 9} }, func(row int32) []int32 { return []int32{row + 25} }
	of := [2][]map[string]float64{losses(1, first), losses(1, second)}
	both := losses(2, func(row int32) []int32 { return append(first(row), second(row)...) })
	apart := 0
	for row, got := range both {
		hardest := 0
		if of[1][row]["bpr"] > of[0][row]["bpr"] {
			hardest = 1
		}
		for name, want := range of[hardest][row] {
			if math.Abs(got[name]-want) > 1e-12 {
				t.Errorf("row %d: %s is %g, of the hardest it is %g, of the other %g", row, name, got[name], want, of[1-hardest][row][name])
			}
		}
		if of[hardest][row]["side"] < of[1-hardest][row]["side"] {
			apart++
		}
	}
	if apart == 0 {
		t.Error("features rank everywhere as the model does")
	}
}

// Without the loss that trains them, features are not trained, and nothing is counted for that.
func TestFREEDOMWithoutSide(t *testing.T) {
	train, _ := blocks(t, 40, 50, 4)
	for args, want := range map[string]string{"-side=0": "frozen", "-side=0.1": "trained"} {
		m := newModel(t, "freedom", Data{Train: train, Seed: 1}, "-batch=64", "-dim=4", args).(*freedom)
		trained := false
		build(t, platforms()[3].on(t), func(b *engine.Builder) engine.Step {
			s := engine.Optimise(b, m.Train(b), engine.Adam(.001))
			for _, p := range b.Params() {
				trained = trained || IsFeatures(p.Name())
			}
			return s
		})
		if text, err := m.Describe(); err != nil || !strings.Contains(text, want) || trained != (want == "trained") {
			t.Errorf("%s: %q (%v), and features are parameters: %t", args, text, err, trained)
		}
	}
}
