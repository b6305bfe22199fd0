package trainer

import (
	"context"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"nearfar/engine/cpu"
	kernelset "nearfar/kernels/cpu"
	"nearfar/trainer/dataset"
	"nearfar/trainer/evaluate"
	"nearfar/trainer/runfolder"
)

func values(r *evaluate.Report) map[string]float64 {
	v := map[string]float64{}
	for _, m := range r.Metrics {
		v[m.Name] = m.Value
	}
	return v
}

// What a run exported, and its best checkpoint, rank to the run's own numbers, to the last bit; its last checkpoint to others.
func TestEvaluateAgain(t *testing.T) {
	for _, model := range []string{"popularity", "bprmf", "lightgcn"} {
		t.Run(model, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "run")
			j := newJob(t, model, path, "-lr", "0.05")
			res, err := j.mustRun(t, t.Context())
			if err != nil {
				t.Fatal(err)
			}
			data, err := j.load(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			device := cpu.New(3, kernelset.Best()) // another number of threads
			defer device.Close()
			again := func(tables Tables) (valid, test map[string]float64) {
				t.Helper()
				s, err := NewTableScorer(t.Context(), device, tables)
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				for split, to := range map[string]*map[string]float64{"valid": &valid, "test": &test} {
					report, err := Evaluate(t.Context(), s, data, split, j.Options)
					if err != nil {
						t.Fatal(err)
					}
					*to = values(report)
				}
				return valid, test
			}
			tables, err := ReadTables(j.Folder)
			if err != nil {
				t.Fatal(err)
			}
			if valid, test := again(tables); !maps.Equal(valid, res.Valid) || !maps.Equal(test, res.Test) {
				t.Errorf("the export gives %v and %v, the run reported %v and %v", valid, test, res.Valid, res.Test)
			}
			if model == "popularity" {
				return
			}
			if tables, err = j.CheckpointTables(t.Context(), data, device, runfolder.BestCheckpoint); err != nil {
				t.Fatal(err)
			}
			if _, test := again(tables); !maps.Equal(test, res.Test) {
				t.Errorf("the best checkpoint gives %v, the run reported %v", test, res.Test)
			}
			if tables, err = j.CheckpointTables(t.Context(), data, device, runfolder.LastCheckpoint); err != nil {
				t.Fatal(err)
			}
			if _, test := again(tables); maps.Equal(test, res.Test) != (res.Epoch == res.Epochs) {
				t.Errorf("epoch %d of %d is reported, and the last checkpoint gives %v", res.Epoch, res.Epochs, test)
			}
		})
	}
}

// Ids are matched by name: on the same interactions under another numbering the metrics are the same, an unknown user is left out, an unknown
// item is a miss.
func TestMatchIDs(t *testing.T) {
	tables := Tables{UserID: []string{"a", "b"}, ItemID: []string{"x", "y", "z"},
		Users: evaluate.Table{Data: []float32{1, 0, 0, 1}, N: 2, D: 2},
		Items: evaluate.Table{Data: []float32{3, 0, 2, 2, 0, -3}, N: 3, D: 2}} // a: x y z; b: y x z, z below zero
	device := cpu.New(1, kernelset.Best())
	defer device.Close()
	s, err := NewTableScorer(t.Context(), device, tables)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	set := func(users, items int, pairs ...dataset.Pair) *dataset.Interactions {
		x, _, err := dataset.FromPairs(users, items, pairs)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	o := Options{Evaluation: Evaluation{K: []int{1, 2}, Mask: "train"}}
	// b, a and the unknown c; z, the unknown w, y.
	data := &dataset.Dataset{UserID: []string{"b", "c", "a"}, ItemID: []string{"z", "w", "y"},
		Train: set(3, 3), Valid: set(3, 3),
		Test: set(3, 3, dataset.Pair{User: 0, Item: 2}, dataset.Pair{User: 1, Item: 0}, dataset.Pair{User: 2, Item: 1}, dataset.Pair{User: 2, Item: 0})}
	m := MatchIDs(data, tables.UserID, tables.ItemID)
	if m.UnknownUsers != 1 || m.UnknownItems != 1 || m.UnrankedItems != 1 || m.Identical(tables.UserID, tables.ItemID) {
		t.Errorf("%+v", m)
	}
	report, err := Evaluate(t.Context(), m.Scorer(s), m.Known(data), "test", o)
	if err != nil {
		t.Fatal(err)
	}
	// b's target y comes first. a's are z, second behind y, and w, behind everything though z has a score below zero.
	want := map[string]float64{"Recall@1": .5, "Recall@2": .75}
	for name, v := range want {
		if got := values(report)[name]; got != v || len(report.Users) != 2 {
			t.Errorf("%s is %g over %d users, want %g over 2", name, got, len(report.Users), v)
		}
	}
	if _, err := Evaluate(t.Context(), m.Scorer(s), data, "test", o); err == nil || !strings.Contains(err.Error(), "not known") {
		t.Errorf("ranking for an unknown user gives %v", err)
	}
	if _, err := Evaluate(t.Context(), s, data, "valid", o); err == nil || !strings.Contains(err.Error(), "no valid split") {
		t.Errorf("an empty split gives %v", err)
	}
	same := MatchIDs(&dataset.Dataset{UserID: tables.UserID, ItemID: tables.ItemID}, tables.UserID, tables.ItemID)
	if !same.Identical(tables.UserID, tables.ItemID) {
		t.Error("a data set does not match itself")
	}
	swapped := MatchIDs(&dataset.Dataset{UserID: []string{"b", "a"}, ItemID: tables.ItemID}, tables.UserID, tables.ItemID)
	if swapped.Identical(tables.UserID, tables.ItemID) {
		t.Error("another order of users is taken for the same")
	}
}

// A history is scored by the mean of its items.
func TestScoreHistory(t *testing.T) {
	device := cpu.New(1, kernelset.Best())
	defer device.Close()
	s, err := NewTableScorer(t.Context(), device, Tables{UserID: []string{"a"}, ItemID: []string{"x", "y", "z"},
		Users: evaluate.Table{Data: []float32{1, 0}, N: 1, D: 2}, Items: evaluate.Table{Data: []float32{3, 0, 1, 2, 0, -3}, N: 3, D: 2}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out := make([]float32, 3)
	if err := s.ScoreHistory(t.Context(), []int32{0, 1}, out); err != nil || out[0] != 6 || out[1] != 4 || out[2] != -3 {
		t.Errorf("the scores are %v (%v), want 6 4 -3: the mean is (2, 1)", out, err)
	}
}

func TestReadTablesRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run")
	j := newJob(t, "bprmf", path)
	if _, err := ReadTables(j.Folder); err == nil || !strings.Contains(err.Error(), "-resume "+path) {
		t.Errorf("an unfinished run gives %v", err)
	}
	if _, err := j.mustRun(t, t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := runfolder.WriteIDs(j.Folder.File(runfolder.Items), []string{"1", "2"}); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadTables(j.Folder); err == nil || !strings.Contains(err.Error(), "2 ids") {
		t.Errorf("ids that are too few give %v", err)
	}
}

// historical ranks each user by their training items alone.
type historical struct {
	HistoryScorer
	train *dataset.Interactions
}

func (h historical) Score(ctx context.Context, users []int32, out []float32) error {
	n := h.Items()
	for row, u := range users {
		if err := h.ScoreHistory(ctx, h.train.Of(int(u)), out[row*n:(row+1)*n]); err != nil {
			return err
		}
	}
	return nil
}

// Ranked by their history, users get what they would have got as users that the model knows, or nearly.
func TestHistoryRanksLikeTheUser(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run")
	j := newJob(t, "lightgcn", path, "-epochs", "6", "-select", "last")
	if _, err := j.mustRun(t, t.Context()); err != nil {
		t.Fatal(err)
	}
	data, err := j.load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tables, err := ReadTables(j.Folder)
	if err != nil {
		t.Fatal(err)
	}
	device := cpu.New(0, kernelset.Best())
	defer device.Close()
	s, err := NewTableScorer(t.Context(), device, tables)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var recall [2]float64
	for i, scorer := range []evaluate.Scorer{s, historical{s, data.Train}} {
		report, err := Evaluate(t.Context(), scorer, data, "test", j.Options)
		if err != nil {
			t.Fatal(err)
		}
		recall[i] = values(report)["Recall@20"]
	}
	t.Logf("Recall@20 %.4f by the users' embeddings, %.4f by their histories", recall[0], recall[1])
	if recall[1] < .8*recall[0] {
		t.Errorf("Recall@20 falls from %.4f to %.4f", recall[0], recall[1])
	}
}
