package evaluate

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"nearfar/trainer/dataset"
)

// Metrics of score matrices with ties agree with numpy's from the definitions: testdata/golden/metrics.py.
func TestGoldenMetrics(t *testing.T) {
	var golden struct {
		Cases []struct {
			Name         string
			Users, Items int
			Cutoffs      []int
			Masks        []string
			Inputs       struct {
				Scores struct {
					Divisor float64
					Data    []float64
				}
				Ties                  []uint64
				GroupKeys             []uint64 `json:"group_keys"`
				Train, Valid, Targets [][]int32
			}
			Outputs struct {
				Rows        []int32
				Totals      map[string]float64
				PerUser     map[string][]float64 `json:"per_user"`
				Groups      []int32
				GroupRecall map[string][]float64 `json:"group_recall"`
			}
		}
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "testdata", "golden", "metrics.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &golden); err != nil {
		t.Fatal(err)
	}
	if len(golden.Cases) == 0 {
		t.Fatal("no cases")
	}
	for _, c := range golden.Cases {
		t.Run(c.Name, func(t *testing.T) {
			near := func(what string, got, want float64) {
				t.Helper()
				if !(math.Abs(got-want) <= 1e-9) {
					t.Errorf("%s: %.15g, numpy has %.15g", what, got, want)
				}
			}
			s := &table{users: c.Users, items: c.Items}
			for _, x := range c.Inputs.Scores.Data {
				s.scores = append(s.scores, float32(x/c.Inputs.Scores.Divisor))
			}
			train, targets := lists(t, c.Items, c.Inputs.Train...), lists(t, c.Items, c.Inputs.Targets...)
			p := Protocol{Targets: targets, K: c.Cutoffs, Train: train, Diversity: true, Threads: 2, Block: 5}
			for _, m := range c.Masks {
				p.Mask = append(p.Mask, map[string]*dataset.Interactions{"train": train, "valid": lists(t, c.Items, c.Inputs.Valid...)}[m])
			}
			r, err := rankBy(t.Context(), s, p, func(a, b int32) bool { return c.Inputs.Ties[a] < c.Inputs.Ties[b] })
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(r.Users, c.Outputs.Rows) {
				t.Fatalf("users %v, want %v", r.Users, c.Outputs.Rows)
			}
			if len(r.Metrics) != len(c.Outputs.Totals) {
				t.Errorf("%d metrics, numpy has %d", len(r.Metrics), len(c.Outputs.Totals))
			}
			for _, m := range r.Metrics {
				want, ok := c.Outputs.Totals[m.Name]
				if !ok {
					t.Errorf("numpy has no %s", m.Name)
				}
				near(m.Name, m.Value, want)
				if len(m.PerUser) != len(c.Outputs.PerUser[m.Name]) {
					t.Fatalf("%s has %d users, numpy %d", m.Name, len(m.PerUser), len(c.Outputs.PerUser[m.Name]))
				}
				for row, v := range m.PerUser {
					near(m.Name+" of a user", v, c.Outputs.PerUser[m.Name][row])
				}
			}
			of := groupItems(train.ItemDegrees(), c.Inputs.GroupKeys)
			if !slices.Equal(of.of, c.Outputs.Groups) {
				t.Errorf("items are in groups %v, numpy has %v", of.of, c.Outputs.Groups)
			}
			for _, g := range r.itemGroups(targets, of) {
				number := 0
				for g.Name != groupName(number) {
					number++
				}
				for name, want := range c.Outputs.GroupRecall {
					near(name+" of group "+g.Name, g.Metrics[name], want[number])
				}
			}
		})
	}
}
