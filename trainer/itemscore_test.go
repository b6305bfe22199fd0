package trainer

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"nearfar/engine"
	"nearfar/engine/cpu"
	kernelset "nearfar/kernels/cpu"
	"nearfar/models"
	"nearfar/trainer/dataset"
	"nearfar/trainer/runfolder"
)

// built is a run whose scorer is ready, and its data.
func built(t *testing.T, model string, args ...string) *run {
	t.Helper()
	j := newJob(t, model, "", args...)
	data, err := j.load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	device := cpu.New(0, kernelset.Best())
	r := &run{Job: j, data: data}
	t.Cleanup(func() { r.close(); device.Close() })
	if err := r.build(t.Context(), device); err != nil {
		t.Fatal(err)
	}
	if err := r.scorer.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

// The item models on the embedded data, without a validation split. numpy gives .13091 for EASE (numpy.linalg.inv), and .1136 to .1145 for
// item-kNN by the order of equal similarities.
func TestItemModelsOnTheEmbeddedData(t *testing.T) {
	for _, c := range []struct {
		model          string
		recall, within float64
	}{{"ease", .1309, 1e-4}, {"itemknn", .1141, 1e-3}} {
		res, err := newJob(t, c.model, "", "-select", "last", "-valid-ratio", "0").mustRun(t, t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := res.Test["Recall@20"]; math.Abs(got-c.recall) > c.within {
			t.Errorf("%s has Recall@20 %.4f, want %.4f", c.model, got, c.recall)
		}
		if res.Epochs != 0 || res.TrainTime <= 0 || res.TrainTime > res.WallTime {
			t.Errorf("%s: %d epochs in %g s of %g", c.model, res.Epochs, res.TrainTime, res.WallTime)
		}
	}
}

// A user and somebody with its history are ranked alike.
func TestScoreHistoryOfItemModels(t *testing.T) {
	for _, model := range []string{"itemknn", "ease"} {
		s := built(t, model).scorer
		x := s.(*itemScorer).train
		user, history := make([]float32, x.Items), make([]float32, x.Items)
		for u := range 20 {
			if err := errors.Join(s.Score(t.Context(), []int32{int32(u)}, user), s.ScoreHistory(t.Context(), x.Of(u), history)); err != nil {
				t.Fatal(err)
			}
			for i := range user {
				if math.Abs(float64(user[i]-history[i])) > 1e-4 {
					t.Fatalf("%s, user %d, item %d: %v, of its history %v", model, u, i, user[i], history[i])
				}
			}
		}
	}
}

// Tables rank a history by the mean of its items' vectors.
func TestScoreHistoryOfTables(t *testing.T) {
	r := built(t, "bprmf", "-epochs", "1")
	_, items, err := r.scorer.(*tableScorer).read()
	if err != nil {
		t.Fatal(err)
	}
	out := make([]float32, items.N)
	if err := r.scorer.ScoreHistory(t.Context(), []int32{3, 1000, 5}, out); err != nil {
		t.Fatal(err)
	}
	for i, got := range out {
		want := 0.0
		for k := range items.D {
			at := func(row int) float64 { return float64(items.Data[row*items.D+k]) }
			want += (at(3) + at(1000) + at(5)) / 3 * at(i)
		}
		if math.Abs(float64(got)-want) > 1e-9 {
			t.Fatalf("item %d: %v, want %v", i, got, want)
		}
	}
	before := slices.Clone(out)
	// What is trained afterwards counts after a refresh.
	if err := errors.Join(r.train.Run(t.Context(), 0, 1, nil), r.scorer.refresh(t.Context())); err != nil {
		t.Fatal(err)
	}
	if err := r.scorer.ScoreHistory(t.Context(), []int32{3, 1000, 5}, out); err != nil || slices.Equal(before, out) {
		t.Errorf("a step later the scores are the same (%v)", err)
	}
}

// The exported weights rank as the model does.
func TestExportedWeights(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run")
	if _, err := newJob(t, "itemknn", path, "-neighbours", "7").mustRun(t, t.Context()); err != nil {
		t.Fatal(err)
	}
	meta, tensors, err := runfolder.ReadSafetensors(filepath.Join(path, runfolder.Weights))
	if err != nil {
		t.Fatal(err)
	}
	if len(tensors) != 3 || meta["model"] != "itemknn" || !strings.Contains(meta["score"], "ptr") {
		t.Fatalf("%d tensors, %v", len(tensors), meta)
	}
	s := built(t, "itemknn", "-neighbours", "7").scorer
	want := s.(*itemScorer).fitted.(models.SparseScorer).Weights()
	var got models.SparseWeights
	for _, e := range tensors {
		switch e.Name {
		case "ptr":
			got.Ptr = engine.View[int32](e.Data)
		case "item":
			got.Item = engine.View[int32](e.Data)
		case "weight":
			got.Weight = engine.View[float32](e.Data)
		}
	}
	if !slices.Equal(got.Ptr, want.Ptr) || !slices.Equal(got.Item, want.Item) || !slices.Equal(got.Weight, want.Weight) || len(got.Weight) < 7000 {
		t.Error("the exported weights are not the model's")
	}
}

// A fit that is interrupted leaves no result and says so.
func TestInterruptedFit(t *testing.T) {
	for _, model := range []string{"itemknn", "ease"} {
		path := filepath.Join(t.TempDir(), "run")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := newJob(t, model, path).mustRun(t, ctx); !errors.Is(err, ErrInterrupted) || !strings.Contains(err.Error(), "start it anew") {
			t.Errorf("%s: %v", model, err)
		}
		if _, err := os.Stat(filepath.Join(path, runfolder.Result)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s leaves a result (%v)", model, err)
		}
	}
}

// One user, one item, cold ones: a sensible ranking of what there is.
func TestItemModelsOnSmallData(t *testing.T) {
	for name, pairs := range map[string][2][]dataset.Pair{
		"one user":            {{{User: 0, Item: 0}, {User: 0, Item: 1}}, {{User: 0, Item: 2}}},
		"one item in train":   {{{User: 0, Item: 0}, {User: 1, Item: 0}}, {{User: 0, Item: 1}, {User: 1, Item: 1}}},
		"a cold user":         {{{User: 0, Item: 0}, {User: 0, Item: 1}}, {{User: 1, Item: 0}}},
		"a user of all items": {{{User: 0, Item: 0}, {User: 0, Item: 1}, {User: 1, Item: 0}}, {{User: 1, Item: 1}}},
	} {
		data := &dataset.Dataset{Name: "small", UserID: []string{"a", "b"}, ItemID: []string{"x", "y", "z"}}
		for i, into := range []**dataset.Interactions{&data.Train, &data.Test, &data.Valid} {
			var list []dataset.Pair
			if i < 2 {
				list = pairs[i]
			}
			x, _, err := dataset.FromPairs(2, 3, list)
			if err != nil {
				t.Fatal(err)
			}
			*into = x
		}
		for _, model := range []string{"itemknn", "ease"} {
			device := cpu.New(1, kernelset.Best())
			res, err := newJob(t, model, "").Run(t.Context(), data, device)
			device.Close()
			if err != nil || res.Test["Recall@10"] != 1 {
				t.Errorf("%s, %s: %v, %v", name, model, res.Test, err)
			}
		}
	}
}
