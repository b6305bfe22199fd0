package trainer

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestCheck(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"-k 10,20,10", "-k has 10 twice"},
		{"-k=", "-k is empty"},
		{"-k 10", "-metric Recall@20"},
		{"-k 10 -select last", "-metric Recall@20"}, // it is printed with every evaluation
		{"-k 10 -metric NDCG@10", ""},
		{"-k 10 -epochs 0", ""},
		{"-split-ratio 0.9,0,0.1", "-select valid needs a validation split"},
		{"-split-ratio 0.9,0,0.1 -select test", ""},
		{"-split-ratio 0.9,0.1,0 -select test", "-select test needs a test split"},
		{"-split-ratio 0.9,0.1,0 -epochs 0", ""},
		{"-split-ratio 0.9,0.1,0 -select last -split given", "-split given"},
		{"-split leave-one-out -split-ratio 0.8,0.1,0.1", "-split leave-one-out"},
		{"-split temporal -valid pairs.txt", "leave one of them out"},
		{"-split given -split-by user", "-split-by user"},
		{"-k-core 5,3,2", "-k-core has 3 numbers"},
		{"-k-core 5,3", ""},
		{"-metric MRR@50", ""},
		{"-metric Gini@20", "less of it is better"},
		{"-candidates 100 -metric Recall@20(sampled100)", ""},
		{"-candidates 100 -metric Novelty@20", "-metric Novelty@20"},
		{"-gpu first", "-gpu first"},
		{"-gpu -1", "-gpu -1"},
		{"-gpu 1", ""},
	} {
		j := newJob(t, "bprmf", "", strings.Fields(tt.args)...)
		err := j.Options.Check()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: error %v, want %q", tt.args, err, tt.want)
		}
	}
}

// -mask is about the test ranking: what selects an epoch does not depend on it.
func TestMaskLeavesValidationAlone(t *testing.T) {
	results := map[string]Result{}
	for _, mask := range []string{"train", "train+valid", "none"} {
		res, err := newJob(t, "bprmf", "", "-mask", mask).mustRun(t, t.Context())
		if err != nil {
			t.Fatal(err)
		}
		results[mask] = res
	}
	for _, mask := range []string{"train+valid", "none"} {
		if !maps.Equal(results[mask].Valid, results["train"].Valid) {
			t.Errorf("-mask %s: validation %v, with train %v", mask, results[mask].Valid, results["train"].Valid)
		}
		if maps.Equal(results[mask].Test, results["train"].Test) {
			t.Errorf("-mask %s changes nothing at test", mask)
		}
	}
}

// One user has no pairs of users, and still a ranking.
func TestOneUser(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"train.txt": "0 1 2 3\n", "test.txt": "0 4\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, model := range []string{"lightgcn", "sgl", "simgcl"} {
		res, err := newJob(t, model, "", "-data", dir, "-select", "test").mustRun(t, t.Context())
		if err != nil {
			t.Errorf("%s: %v", model, err)
		} else if res.Test["Recall@10"] != 1 { // the only item that is not masked
			t.Errorf("%s: %v", model, res.Test)
		}
	}
}

// Patience says that it was what ended the training.
func TestPatienceSaysSo(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	j := newJob(t, "bprmf", "", "-epochs", "9", "-patience", "1", "-warmup", "0", "-lr", "1e-30")
	j.Log = zap.New(core)
	res, err := j.mustRun(t, t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if res.Epoch != 1 || res.Epochs != 2 {
		t.Errorf("epoch %d of %d, want 1 of 2: nothing moves", res.Epoch, res.Epochs)
	}
	if logs.FilterMessageSnippet("-patience 1").Len() != 1 {
		t.Errorf("the log says %v", logs.All())
	}
}

// A run that is interrupted between training and report says how to get the report.
func TestInterruptedBeforeTheReport(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run")
	j := newJob(t, "bprmf", path)
	first, err := j.mustRun(t, t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := embeddings(t, path)
	j.Resume = true
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := j.mustRun(t, ctx); !errors.Is(err, ErrInterrupted) || !strings.Contains(err.Error(), path) {
		t.Fatalf("error %v", err)
	}
	again, err := j.mustRun(t, t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if string(embeddings(t, path)) != string(want) {
		t.Error("the report that was interrupted changed the run")
	}
	if again.TrainTime != first.TrainTime || again.WallTime < again.TrainTime {
		t.Errorf("training took %g s and the resumed run says %g s, of %g s in all", first.TrainTime, again.TrainTime, again.WallTime)
	}
}

// A model that does not train has nothing to go on from: an interruption of its report is one all the same, and -resume makes the run.
func TestInterruptedReportOfWhatDoesNotTrain(t *testing.T) {
	for _, args := range [][]string{nil, {"-select", "last"}} {
		path := filepath.Join(t.TempDir(), "run")
		j := newJob(t, "popularity", path, args...)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := j.mustRun(t, ctx); !errors.Is(err, ErrInterrupted) || !strings.HasSuffix(err.Error(), "start it anew with -resume "+path) {
			t.Fatalf("error %v", err)
		}
		j.Resume = true
		if res, err := j.mustRun(t, t.Context()); err != nil || len(res.Test) == 0 {
			t.Errorf("resumed: %+v (%v)", res, err)
		}
	}
}
