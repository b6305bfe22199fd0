package sweep

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nearfar/trainer"
)

func TestSpread(t *testing.T) {
	for _, tt := range []struct {
		values          []float64
		mean, deviation float64
		text            string
	}{
		{[]float64{.5}, .5, 0, "0.5000"},
		{[]float64{.1, .1, .1}, .1, 0, "0.1000 ± 0.0000"},
		{[]float64{2, 4, 4, 4, 5, 5, 7, 9}, 5, math.Sqrt(32.0 / 7), "5.0000 ± 2.1381"},
	} {
		s := SpreadOf(tt.values)
		if math.Abs(s.Mean-tt.mean) > 1e-15 || math.Abs(s.Deviation-tt.deviation) > 1e-15 || s.N != len(tt.values) || s.String() != tt.text {
			t.Errorf("the spread of %v is %+v, %q", tt.values, s, s)
		}
	}
}

// outcome is a trial of tau with a validation and a test value for each seed; NaN is a run that failed, +Inf one that is missing.
func outcome(number int, tau string, valid, test []float64) Outcome {
	o := Outcome{Trial: Trial{number, []Setting{{"tau", tau}}}}
	for i, v := range valid {
		r := Run{Folder: o.Folder(uint64(i + 1)), Seed: uint64(i + 1), State: Done}
		switch {
		case math.IsNaN(v):
			r.State, r.Error = Failed, "diverged"
		case math.IsInf(v, 1):
			r.State = Absent
		default:
			r.Result = trainer.Result{Epoch: 10 + i, Epochs: 20, Valid: map[string]float64{"Recall@20": v}, Test: map[string]float64{"Recall@20": test[i]}}
		}
		o.Runs = append(o.Runs, r)
	}
	return o
}

func summary(outcomes ...Outcome) *Summary {
	s := &Summary{Model: "sgl", Data: "small", Select: trainer.SelectValid, Metric: "Recall@20", Metrics: []string{"Recall@20"}, Seeds: []uint64{1, 2},
		Repeat: func(t Trial) string { return "trainer " + t.String() }, Outcomes: outcomes}
	s.Sort()
	return s
}

// The validation split decides, whatever the test split says; a trial that lacks a seed is not compared; equals stand by number.
func TestSort(t *testing.T) {
	nan, missing := math.NaN(), math.Inf(1)
	s := summary(
		outcome(1, "1", []float64{.1, .2}, []float64{.9, .9}),
		outcome(2, "2", []float64{.5, nan}, []float64{.9, 0}),
		outcome(3, "3", []float64{.2, .3}, []float64{.1, .1}),
		outcome(4, "4", []float64{.3, .2}, []float64{.2, .2}),
		outcome(5, "5", []float64{.9, missing}, []float64{.9, 0}),
		outcome(6, "6", []float64{missing, missing}, []float64{0, 0}),
	)
	var order []int
	for _, o := range s.Outcomes {
		order = append(order, o.Number)
	}
	want := []int{3, 4, 1, 2, 5, 6}
	for i := range want {
		if order[i] != want[i] {
			t.Fatalf("the order is %v, want %v", order, want)
		}
	}
	if best := s.Best(); best == nil || best.Number != 3 || s.Finished() {
		t.Errorf("the best is %v, finished %t", best, s.Finished())
	}
	text := s.String()
	for _, line := range []string{
		"3 of 6 trials of sgl on small, mean ± sample deviation of seeds 1, 2, sorted by Recall@20 on the validation split",
		"      3    3  0.2500 ± 0.0707  10,11",
		"      2    2           failed",
		"      5    5     1 of 2 seeds",
		"      6    6          not run",
		"002-tau=2-s2 failed: diverged",
		"best on the validation split so far: trial 3, tau=3, epoch 10,11, selected on the validation split by Recall@20",
		"  Recall@20  0.2500 ± 0.0707  0.1000 ± 0.0000   0.1000   0.1000",
		"again: trainer tau=3",
	} {
		if !strings.Contains(text, line) {
			t.Errorf("no %q in\n%s", line, text)
		}
	}
	if strings.Contains(text, "0.9000") {
		t.Errorf("the table has the test numbers of others than the best:\n%s", text)
	}
	none := summary(outcome(1, "1", []float64{nan, .2}, []float64{0, .9}))
	if none.Best() != nil || !none.Finished() || strings.Contains(none.String(), "best on") {
		t.Errorf("a sweep whose trials have failed has a best:\n%s", none)
	}
}

// Several seeds of one configuration: means, deviations and each seed's own numbers, on the screen and in both files.
func TestSeedsSummary(t *testing.T) {
	o := outcome(1, "", []float64{.1, .2}, []float64{.3, .5})
	o.Settings = nil
	o.Runs[0].Result.Refit = &trainer.Refit{Epochs: 10, Test: map[string]float64{"Recall@20": .6}}
	o.Runs[1].Result.Refit = &trainer.Refit{Epochs: 11, Test: map[string]float64{"Recall@20": .8}}
	s, path := summary(o), t.TempDir()
	want := "  Recall@20  0.1500 ± 0.0707  0.4000 ± 0.1414  0.7000 ± 0.1414          0.6000          0.8000"
	if text := s.String(); !strings.Contains(text, want) || !strings.Contains(text, "refit, test s2") {
		t.Errorf("no %q in\n%s", want, text)
	}
	if err := s.Save(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(path, SummaryMarkdown))
	if err != nil || !strings.Contains(string(text), "| Recall@20 | 0.1500 ± 0.0707 | 0.4000 ± 0.1414 | 0.7000 ± 0.1414 | 0.6000 | 0.8000 |") {
		t.Errorf("%s (%v)", text, err)
	}
	var e exported
	if text, err = os.ReadFile(filepath.Join(path, SummaryJSON)); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &e); err != nil {
		t.Fatal(err)
	}
	if run := e.Trials[0].Runs[1]; run.Epoch != 11 || run.Test["Recall@20"] != .5 || run.State != Done || e.Best != 0 {
		t.Errorf("%+v", e)
	}
	if d := e.Trials[0].Test["Recall@20"].Deviation; math.Abs(d-math.Sqrt(.02)) > 1e-15 {
		t.Errorf("the deviation in %s is %g", SummaryJSON, d)
	}
}

// A seed that was not refitted has no number in the refit's column, and the mean says of how many it is.
func TestSeedsPartlyRefitted(t *testing.T) {
	o := outcome(1, "", []float64{.1, .2}, []float64{.3, .5})
	o.Settings = nil
	o.Runs[1].Result.Refit = &trainer.Refit{Epochs: 11, Test: map[string]float64{"Recall@20": .8}}
	text := summary(o).String()
	for _, want := range []string{
		"   metric            valid             test  refit, test (1 of 2 seeds)  refit, test s1  refit, test s2\n",
		"Recall@20  0.1500 ± 0.0707  0.4000 ± 0.1414                      0.8000               -          0.8000\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// What a refit trains again: the best trial of a grid, or the only configuration, whatever has failed of it.
func TestSelected(t *testing.T) {
	nan, alone := math.NaN(), outcome(1, "", []float64{.1, math.NaN()}, []float64{.3, 0})
	alone.Settings = nil
	for _, tt := range []struct {
		name     string
		outcomes []Outcome
		want     int // 0: none
	}{
		{"the best", []Outcome{outcome(1, "1", []float64{.1, .1}, []float64{0, 0}), outcome(2, "2", []float64{.2, .2}, []float64{0, 0})}, 2},
		{"none is complete", []Outcome{outcome(1, "1", []float64{.1, nan}, []float64{0, 0})}, 0},
		{"no choice", []Outcome{alone}, 1},
	} {
		got := summary(tt.outcomes...).Selected()
		if (got == nil) != (tt.want == 0) || got != nil && got.Number != tt.want {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
}

// A result that no disk has stands in the table; what a folder has is not replaced.
func TestFill(t *testing.T) {
	missing := math.Inf(1)
	s := summary(outcome(1, "1", []float64{.1, .1}, []float64{0, 0}), outcome(2, "2", []float64{.2, missing}, []float64{0, 0}))
	s.Fill(map[string]trainer.Result{
		"001-tau=1-s1": {Epoch: 9, Valid: map[string]float64{"Recall@20": .9}},
		"002-tau=2-s2": {Epoch: 9, Valid: map[string]float64{"Recall@20": .4}},
	})
	if best := s.Best(); best == nil || best.Number != 2 || !s.Finished() {
		t.Errorf("the best is %+v", best)
	}
	if text := s.String(); !strings.Contains(text, "0.3000 ± 0.1414   10,9") || !strings.Contains(text, "0.1000 ± 0.0000  10,11") {
		t.Errorf("%s", text)
	}
}
