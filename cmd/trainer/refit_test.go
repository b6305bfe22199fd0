package main

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nearfar/trainer"
	"nearfar/trainer/runfolder"
	"nearfar/trainer/sweep"
)

// tensors are the bytes of a run's embeddings, without the header.
func tensors(t *testing.T, elements ...string) (all []byte) {
	t.Helper()
	_, entries, err := runfolder.ReadSafetensors(filepath.Join(append(elements, runfolder.Embeddings)...))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Data...)
	}
	return all
}

// -refit trains as many epochs as were selected on train and validation; its embeddings are exported and its test metrics stand beside. Its own
// folder is an ordinary run that its configuration repeats.
func TestRefit(t *testing.T) {
	plain, path, again := filepath.Join(t.TempDir(), "plain"), filepath.Join(t.TempDir(), "run"), filepath.Join(t.TempDir(), "again")
	args := append(quick(t, "lightgcn"), "-epochs", "6", "-lr", "0.05")
	mustRun(t, append(args, "-out", plain)...)
	got := mustRun(t, append(args, "-refit", "-out", path)...)
	was, res, refit := result(t, plain), result(t, path), result(t, path, trainer.Refitted)
	if !maps.Equal(was.Test, res.Test) || !maps.Equal(was.Valid, res.Valid) || was.Epoch != res.Epoch {
		t.Errorf("-refit changes the selected run from %+v to %+v", was, res)
	}
	if res.Refit == nil || res.Refit.Epochs != res.Epoch || !maps.Equal(res.Refit.Test, refit.Test) || refit.Epochs != res.Epoch || refit.Valid != nil {
		t.Errorf("epoch %d was selected, refit: %+v, its own result %+v", res.Epoch, res.Refit, refit)
	}
	if maps.Equal(res.Refit.Test, res.Test) {
		t.Error("more training data has changed nothing")
	}
	if !bytes.Equal(tensors(t, path), tensors(t, path, trainer.Refitted)) || bytes.Equal(tensors(t, path), tensors(t, plain)) {
		t.Error("the run does not export the refit's embeddings")
	}
	if !strings.Contains(got.stdout, "refit, test") || !strings.Contains(got.stdout, "anew on train and validation") {
		t.Errorf("the table does not name the refit:\n%s", got.stdout)
	}
	mustRun(t, "-config", filepath.Join(path, trainer.Refitted, runfolder.Config), "-out", again)
	if !bytes.Equal(tensors(t, again), tensors(t, path)) {
		t.Error("the refit's configuration does not repeat it")
	}
	// A run that has ended may be refitted later.
	mustRun(t, "-resume", plain, "-refit")
	if !bytes.Equal(tensors(t, plain), tensors(t, path)) {
		t.Error("refitted later, the embeddings are others")
	}
}

// An interrupted refit goes on by resuming the run.
func TestRefitInterrupted(t *testing.T) {
	whole, parts := filepath.Join(t.TempDir(), "whole"), filepath.Join(t.TempDir(), "parts")
	args := append(quick(t, "lightgcn", "-refit"), "-epochs", "60", "-patience", "0", "-lr", "1e-9", "-metric", "Recall@50")
	mustRun(t, append(args, "-out", whole)...)
	if e := result(t, whole).Epoch; e > 60 || e < 1 {
		t.Fatalf("epoch %d", e)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		for ctx.Err() == nil {
			if _, err := os.Stat(filepath.Join(parts, trainer.Refitted, runfolder.LogFile)); err == nil {
				cancel()
			}
			time.Sleep(time.Millisecond)
		}
	}()
	var stdout, stderr bytes.Buffer
	err := command(ctx, append(args, "-out", parts), &stdout, &stderr)
	if !errors.Is(err, trainer.ErrInterrupted) || !strings.HasSuffix(err.Error(), "-resume "+parts) {
		t.Fatalf("it ends with %v", err)
	}
	mustRun(t, "-resume", parts)
	if !bytes.Equal(tensors(t, whole), tensors(t, parts)) {
		t.Error("resumed, a refit ends with other bits")
	}
}

// Of a grid the best trial alone is refitted, under every seed.
func TestGridRefitsTheBest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sweep")
	got := mustRun(t, quick(t, "bprmf", "-grid", "lr=.001,.05", "-seeds", "1,2", "-refit", "-out", path)...)
	refitted, err := filepath.Glob(filepath.Join(path, "*", trainer.Refitted))
	if err != nil || len(refitted) != 2 || filepath.Base(filepath.Dir(refitted[0]))[:3] != filepath.Base(filepath.Dir(refitted[1]))[:3] {
		t.Fatalf("refitted: %v (%v)", refitted, err)
	}
	best := filepath.Base(filepath.Dir(refitted[0]))[2:3]
	if !strings.Contains(got.stdout, "best on the validation split: trial "+best) || !strings.Contains(got.stdout, "refit, test s2") {
		t.Errorf("trial %s was refitted:\n%s", best, got.stdout)
	}
	if res := result(t, filepath.Dir(refitted[1])); res.Refit == nil {
		t.Errorf("no refit in %+v", res)
	}
}

// A run that is gone on with and ends with another result has no part of the former one's refit: it is measured by its own numbers, and a later refit
// is of what it selected then.
func TestStaleRefit(t *testing.T) {
	path, whole := filepath.Join(t.TempDir(), "run"), filepath.Join(t.TempDir(), "whole")
	args := append(quick(t, "lightgcn"), "-lr", "0.001", "-patience", "0")
	mustRun(t, append(args, "-refit", "-out", path)...)
	first := result(t, path)
	recall := func() string {
		t.Helper()
		return lines(mustRun(t, "evaluate", path).stdout)["Recall@20"]
	}
	mustRun(t, "-resume", path, "-refit=false")
	if _, err := os.Stat(filepath.Join(path, trainer.Refitted)); err != nil || recall() != digits(result(t, path).Test["Recall@20"]) {
		t.Errorf("the refit of the same result, not asked for, is to stay and not to be served (%v)", err)
	}
	if got := mustRun(t, "-resume", path, "-refit"); strings.Contains(got.stderr, "refit on train and validation") || recall() != digits(first.Refit.Test["Recall@20"]) {
		t.Errorf("it was to be found again:\n%s", got.stderr)
	}
	mustRun(t, "-resume", path, "-refit=false", "-epochs", "8")
	res := result(t, path)
	if res.Epoch == first.Epoch {
		t.Fatalf("epoch %d was selected before and now: another case", res.Epoch)
	}
	if _, err := os.Stat(filepath.Join(path, trainer.Refitted)); !errors.Is(err, os.ErrNotExist) || res.Refit != nil {
		t.Errorf("the refit of the former result is there (%v)", err)
	}
	if got := recall(); got != digits(res.Test["Recall@20"]) {
		t.Errorf("Recall@20 is %s, the run's own is %.4f, its former refit's %.4f", got, res.Test["Recall@20"], first.Refit.Test["Recall@20"])
	}
	mustRun(t, "-resume", path, "-refit")
	mustRun(t, append(args, "-epochs", "8", "-refit", "-out", whole)...)
	if !bytes.Equal(tensors(t, path), tensors(t, whole)) || result(t, path, trainer.Refitted).Epochs != res.Epoch {
		t.Error("the new refit is not of the new result")
	}
}

// Damaged checkpoints, and files that are lost, cost a refit its time and nothing else.
func TestDamagedRefit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run")
	mustRun(t, quick(t, "lightgcn", "-refit", "-out", path)...)
	want, refit := tensors(t, path), filepath.Join(path, trainer.Refitted)
	cut := func(file string) {
		t.Helper()
		if err := os.Truncate(filepath.Join(refit, filepath.FromSlash(file)), 100); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	remove := func(file string) {
		t.Helper()
		if err := os.Remove(filepath.Join(refit, file)); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name   string
		damage func()
		said   string
	}{
		{"the checkpoints", func() {
			remove(runfolder.Result)
			for _, file := range []string{runfolder.LastCheckpoint, runfolder.PreviousCheckpoint, runfolder.BestCheckpoint} {
				cut(file)
			}
		}, "begins anew"},
		{"the result", func() { cut(runfolder.Result) }, "refit on train and validation"},
		{"the embeddings", func() { remove(runfolder.Embeddings) }, "refit on train and validation"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.damage()
			got := mustRun(t, "-resume", path)
			if !strings.Contains(got.stderr, tt.said) || !bytes.Equal(tensors(t, path), want) || result(t, path).Refit == nil {
				t.Errorf("%+v\n%s", result(t, path), got.stderr)
			}
		})
	}
}

// What was selected is printed also where its refit fails.
func TestFailingRefit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run")
	mustRun(t, quick(t, "bprmf", "-out", path)...)
	if err := os.WriteFile(filepath.Join(path, trainer.Refitted), nil, 0o600); err != nil { // in the way of the folder
		t.Fatal(err)
	}
	got := runCommand(t, "-resume", path, "-refit")
	if got.err == nil || !strings.Contains(got.err.Error(), "refit") || lines(got.stdout)["Recall@20"] == "" {
		t.Errorf("%v\n%s", got.err, got.stdout)
	}
}

// Of a configuration of which a seed has failed, the others are refitted; of a grid without a complete trial nothing is, and both are said.
func TestRefitWhereASeedFailed(t *testing.T) {
	for _, tt := range []struct {
		name, failed string
		args         []string
		refits       int
		said         string
	}{
		{"seeds", "s2", nil, 1, "warning: s2 is not refitted: it has failed"},
		{"grid", "001-lr=0.01-s2", []string{"-grid", "lr=.01"}, 0, "warning: nothing is refitted"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "sweep")
			args := append(quick(t, "bprmf", "-seeds", "1,2", "-out", path), tt.args...)
			mustRun(t, args...)
			if err := os.Remove(filepath.Join(path, tt.failed, runfolder.Result)); err != nil {
				t.Fatal(err)
			}
			if err := sweep.Fail(path, tt.failed, errors.New("it diverged")); err != nil {
				t.Fatal(err)
			}
			got := mustRun(t, append(args, "-refit")...)
			refits, err := filepath.Glob(filepath.Join(path, "*", trainer.Refitted, runfolder.Result))
			if err != nil || len(refits) != tt.refits || !strings.Contains(got.stderr, tt.said) {
				t.Errorf("refits %v (%v), want %d and %q\n%s", refits, err, tt.refits, tt.said, got.stderr)
			}
			if strings.Contains(got.stdout, "refit, test") != (tt.refits > 0) {
				t.Errorf("%s", got.stdout)
			}
		})
	}
}
