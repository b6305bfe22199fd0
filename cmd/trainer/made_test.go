package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A run whose data has moved finds it by -data, where its own data is needed too: for a checkpoint, and to fit a model again. Other data is measured on,
// and never taken for the run's.
func TestMovedData(t *testing.T) {
	for _, tt := range []struct {
		model string
		args  []string
	}{{"lightgcn", []string{"-checkpoint", "best"}}, {"itemknn", nil}, {"ease", nil}} {
		t.Run(tt.model, func(t *testing.T) {
			parent := t.TempDir()
			old, moved, run := filepath.Join(parent, "old"), filepath.Join(parent, "moved"), filepath.Join(parent, "run")
			other := dataFolder(t, "0 0 2 4\n1 1 3 5\n2 2 4 6\n3 3 5 7\n", "0 6\n1 7\n")
			if err := os.Rename(small(t), old); err != nil {
				t.Fatal(err)
			}
			args := []string{"-model", tt.model, "-data", old, "-out", run}
			if learns(tt.model) {
				args = append(args, "-batch", "64", "-dim", "8", "-epochs", "2", "-eval-every", "1")
			}
			mustRun(t, args...)
			evaluate := append([]string{"evaluate", run}, tt.args...)
			want, elsewhere := lines(mustRun(t, evaluate...).stdout), lines(mustRun(t, append(evaluate, "-data", other)...).stdout)
			if len(want) == 0 || want["NDCG@10"] == elsewhere["NDCG@10"] {
				t.Errorf("on the run's data %v, on other data %v", want, elsewhere)
			}

			if err := os.Rename(old, moved); err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{evaluate, append(evaluate, "-data", other), append(evaluate, "-data", filepath.Join(parent, "absent"))} {
				got := runCommand(t, args...)
				hint := "-data says where it is now"
				if len(args) > len(evaluate) {
					hint = "what the command line names is not it"
				}
				if got.err == nil || !strings.Contains(got.err.Error(), old) || !strings.Contains(got.err.Error(), hint) {
					t.Errorf("%v: error %v", args, got.err)
				}
			}
			for name, value := range lines(mustRun(t, append(evaluate, "-data", moved)...).stdout) {
				if want[name] != value {
					t.Errorf("where the data is now, %s is %s, and was %s", name, value, want[name])
				}
			}
			if items := listed(mustRun(t, "recommend", run, "-user", "1", "-data", moved).stdout)["1"]; len(items) != 10 {
				t.Errorf("recommended: %v", items)
			}

			// What stands at the old place need not be what stood there.
			if err := os.Rename(other, old); err != nil {
				t.Fatal(err)
			}
			if got := runCommand(t, evaluate...); got.err == nil || !strings.Contains(got.err.Error(), "made on other data") {
				t.Errorf("on what has taken the data's place: %v", got.err)
			}
		})
	}
}

// The checkpoint of a run that has not ended knows its data as well as a result does, and so do those of a validation file that has moved.
func TestMovedDataOfAnUnfinishedRun(t *testing.T) {
	parent := t.TempDir()
	old, moved, run := filepath.Join(parent, "old"), filepath.Join(parent, "moved"), filepath.Join(parent, "run")
	if err := os.Rename(small(t), old); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(old, "held.txt"), []byte("0 0\n1 3\n2 4\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	mustRun(t, "-model", "bprmf", "-data", old, "-valid", filepath.Join(old, "held.txt"), "-batch", "64", "-dim", "8", "-epochs", "2", "-eval-every", "1", "-out", run)
	if err := os.Remove(filepath.Join(run, "result.json")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(old, moved); err != nil {
		t.Fatal(err)
	}
	got := mustRun(t, "evaluate", run, "-checkpoint", "last", "-split", "valid", "-data", moved, "-valid", filepath.Join(moved, "held.txt"))
	if !strings.Contains(got.stdout, "mean over 3 users") {
		t.Error(got.stdout)
	}
}

// Without the run's data there are no titles, which is said; a -data that cannot be read is an error, whatever is asked for.
func TestRecommendWithoutData(t *testing.T) {
	run, data := filepath.Join(t.TempDir(), "run"), small(t)
	mustRun(t, "-model", "bprmf", "-data", data, "-batch", "64", "-dim", "8", "-epochs", "2", "-eval-every", "1", "-out", run)
	if err := os.RemoveAll(data); err != nil {
		t.Fatal(err)
	}
	for _, ask := range [][]string{{"-history", "7,8"}, {"-user", "1", "-include-seen"}} {
		args := append([]string{"recommend", run}, ask...)
		if got := mustRun(t, args...); !strings.Contains(got.stderr, "without their titles") || !strings.Contains(got.stderr, data) || len(listed(got.stdout)) != 1 {
			t.Errorf("%v prints %s%s", ask, got.stderr, got.stdout)
		}
		if got := runCommand(t, append(args, "-data", "/nonexistent")...); got.err == nil || !strings.Contains(got.err.Error(), "/nonexistent") || got.stdout != "" {
			t.Errorf("%v -data /nonexistent: %v", ask, got.err)
		}
	}
	if got := runCommand(t, "recommend", run, "-user", "1"); got.err == nil || !strings.Contains(got.err.Error(), "-include-seen does without it") {
		t.Errorf("without the items that a user has: %v", got.err)
	}
}
