package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"nearfar/trainer/runfolder"
)

// Runs that are killed at random moments and resumed leave the bits of one that was not: embeddings, metrics, result. NEARFAR_KILLS=100 kills so
// many runs; half of the kills wait for an unfinished file.
func TestKilledRunsResume(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	kills := 6
	if text := os.Getenv("NEARFAR_KILLS"); text != "" {
		var err error
		if kills, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	for _, model := range []string{"sgl", "simgcl"} {
		t.Run(model, func(t *testing.T) {
			whole := filepath.Join(t.TempDir(), "whole")
			args := []string{"-model", model, "-dim", "8", "-layers", "2", "-batch", "4096", "-epochs", "4", "-eval-every", "1", "-threads", "1", "-checkpoint-every", "1ns"}
			begin := time.Now()
			if child, out := process(append(args, "-out", whole)...); child.Run() != nil {
				t.Fatal(out)
			}
			life := time.Since(begin)
			want := left(t, whole)
			luck := rand.New(rand.NewPCG(uint64(kills), uint64(len(model))))
			killed, during, fromPrevious, steps := 0, 0, 0, map[uint64]bool{}
			for tries := 0; killed < (kills+1)/2; tries++ {
				if tries > 3*kills {
					t.Fatalf("of %d runs %d could be killed: the rest had ended", tries, killed)
				}
				path := filepath.Join(t.TempDir(), "run")
				child, _ := process(append(args, "-out", path)...)
				if err := child.Start(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Duration(luck.Int64N(int64(life))))
				for wait := time.Now(); tries%2 == 0 && !writing(path) && time.Since(wait) < life/2; { // no sleep: such a file lives for a few ms
				}
				child.Process.Kill()
				if child.Wait() == nil {
					continue
				}
				folder, err := runfolder.Open(path)
				if err != nil { // it had not come so far as to make its folder
					continue
				}
				killed++
				if writing(path) {
					during++
				}
				var at struct{ Step uint64 }
				if _, err := folder.ReadCheckpoint(runfolder.LastCheckpoint, &at); err != nil && !errors.Is(err, os.ErrNotExist) {
					t.Errorf("after a kill: %v", err)
				}
				steps[at.Step] = true
				child, out := process("-resume", path)
				if err := child.Run(); err != nil {
					t.Fatalf("resume: %v\n%s", err, out)
				}
				if strings.Contains(out.String(), "previous.ckpt") {
					fromPrevious++
				}
				if writing(path) {
					t.Error("unfinished files are left after the resume")
				}
				if got := left(t, path); got != want {
					t.Errorf("killed at step %d: the resumed run differs from the uninterrupted one", at.Step)
				}
			}
			t.Logf("%d runs killed, at %d different saved steps, %d during a write, %d resumed from previous.ckpt", killed, len(steps), during, fromPrevious)
		})
	}
}

// writing tells whether an unfinished checkpoint is there.
func writing(run string) bool {
	found, _ := filepath.Glob(filepath.Join(run, "checkpoint", ".*.ckpt*"))
	return len(found) > 0
}

// left is what a run leaves, without its times.
func left(t *testing.T, run string) string {
	t.Helper()
	folder, err := runfolder.Open(run)
	if err != nil {
		t.Fatal(err)
	}
	var result map[string]any
	if err := folder.ReadResult(&result); err != nil {
		t.Fatal(err)
	}
	delete(result, "train_seconds")
	delete(result, "wall_seconds")
	events, err := folder.ReadMetrics()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		delete(e, "train_seconds")
	}
	text, err := json.Marshal([]any{result, events})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s %x", text, read(t, run, runfolder.Embeddings))
}

// A damaged or missing checkpoint is refused by name, and the run ends in the same bits by another one.
func TestDamagedCheckpoint(t *testing.T) {
	whole := filepath.Join(t.TempDir(), "whole")
	args := quick(t, "lightgcn", "-epochs", "4", "-warmup", "0")
	if got := runCommand(t, append(args, "-out", whole)...); got.err != nil {
		t.Fatal(got.err)
	}
	want := left(t, whole)
	good := read(t, whole, runfolder.LastCheckpoint)
	damage := map[string]func() []byte{"missing": nil, "magic": func() []byte { b := bytes.Clone(good); b[0] = 'X'; return b }}
	luck := rand.New(rand.NewPCG(1, 2))
	for range 12 {
		at, bit := luck.IntN(len(good)), byte(1)<<luck.IntN(8)
		damage[fmt.Sprintf("byte %d", at)] = func() []byte { b := bytes.Clone(good); b[at] ^= bit; return b }
		damage[fmt.Sprintf("cut at %d", at)] = func() []byte { return good[:at] }
	}
	for name, of := range damage {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "run")
			if err := os.CopyFS(path, os.DirFS(whole)); err != nil {
				t.Fatal(err)
			}
			last := filepath.Join(path, filepath.FromSlash(runfolder.LastCheckpoint))
			if err := os.Remove(last); err != nil {
				t.Fatal(err)
			}
			// best.ckpt may be of the last epoch, and would do as well.
			os.Remove(filepath.Join(path, filepath.FromSlash(runfolder.Result)))
			if of != nil {
				if err := os.WriteFile(last, of(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got := runCommand(t, "-resume", path)
			if got.err != nil || !strings.Contains(got.stderr, "last.ckpt") || !strings.Contains(got.stderr, "warn") {
				t.Fatalf("%v\n%s", got.err, got.stderr)
			}
			if left(t, path) != want {
				t.Error("the run has not ended in the same bits")
			}
		})
	}
}

// A checkpoint of a newer program, or one that the system cannot read, may be whole: the run ends, and leaves it as it is.
func TestUnreadableCheckpoint(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run")
	if got := runCommand(t, quick(t, "bprmf", "-out", path)...); got.err != nil {
		t.Fatal(got.err)
	}
	last := filepath.Join(path, filepath.FromSlash(runfolder.LastCheckpoint))
	newer := read(t, path, runfolder.LastCheckpoint)
	newer[8]++
	if err := os.WriteFile(last, newer, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := runCommand(t, "-resume", path); !errors.Is(got.err, runfolder.ErrVersion) || !bytes.Equal(read(t, path, runfolder.LastCheckpoint), newer) {
		t.Errorf("a newer version: %v", got.err)
	}
	if err := errors.Join(os.Remove(last), os.Mkdir(last, 0o700)); err != nil {
		t.Fatal(err)
	}
	if got := runCommand(t, "-resume", path); got.err == nil || errors.Is(got.err, runfolder.ErrFormat) {
		t.Errorf("a folder in its place: %v", got.err)
	}
	if info, err := os.Stat(last); err != nil || !info.IsDir() {
		t.Errorf("it was moved: %v", err)
	}
	if err := os.Remove(last); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(path, runfolder.MetricsFile), []byte("{}\ngarbage\n{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := runCommand(t, "-resume", path); got.err != nil || !strings.Contains(got.stderr, runfolder.MetricsFile+".damaged") {
		t.Errorf("metrics that are damaged: %v\n%s", got.err, got.stderr)
	}
}

// A second process is refused while the first has the run; a lock that a killed one left is no obstacle, as TestKilledRunsResume shows.
func TestLockedRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run")
	if got := runCommand(t, quick(t, "bprmf", "-out", path)...); got.err != nil {
		t.Fatal(got.err)
	}
	folder, err := runfolder.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := folder.Lock(); err != nil {
		t.Fatal(err)
	}
	if got := runCommand(t, "-resume", path); !errors.Is(got.err, runfolder.ErrLocked) {
		t.Errorf("a second process: %v", got.err)
	}
	if err := folder.Unlock(); err != nil {
		t.Fatal(err)
	}
	if got := runCommand(t, "-resume", path); got.err != nil || !strings.Contains(got.stdout, "Recall@20") {
		t.Errorf("a complete run: %v\n%s", got.err, got.stdout)
	}
}

// Without best.ckpt the parameters that were to be reported are gone: the run says so, reports what it still has, and names the lost epoch. Where
// the previous checkpoint is of before that epoch, nothing is lost.
func TestDamagedBest(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		lost bool
	}{
		{"far back", []string{"-epochs", "12", "-lr", "0.5"}, true},
		{"patience has ended", []string{"-epochs", "12", "-lr", "0.5", "-patience", "4", "-warmup", "0"}, true},
		{"the last epoch", []string{"-epochs", "4", "-lr", "0.003"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "run")
			if got := runCommand(t, append(quick(t, "bprmf", "-patience", "0", "-out", path), tt.args...)...); got.err != nil {
				t.Fatal(got.err)
			}
			var before, after struct {
				Epoch, Epochs int
				Lost          *struct{ Epoch int } `json:"lost_best"`
			}
			folder, err := runfolder.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := folder.ReadResult(&before); err != nil {
				t.Fatal(err)
			}
			if far := before.Epoch < before.Epochs; far != tt.lost {
				t.Fatalf("the best epoch is %d of %d: another case", before.Epoch, before.Epochs)
			}
			table := read(t, path, runfolder.Embeddings)
			if err := os.Truncate(folder.File(runfolder.BestCheckpoint), 100); err != nil {
				t.Fatal(err)
			}
			got := runCommand(t, "-resume", path)
			if got.err != nil || !strings.Contains(got.stderr, "best.ckpt") {
				t.Fatalf("%v\n%s", got.err, got.stderr)
			}
			if err := folder.ReadResult(&after); err != nil {
				t.Fatal(err)
			}
			switch same := bytes.Equal(table, read(t, path, runfolder.Embeddings)); {
			case after.Epochs != before.Epochs:
				t.Errorf("it ended with epoch %d and now with %d", before.Epochs, after.Epochs)
			case tt.lost && (after.Lost == nil || after.Lost.Epoch != before.Epoch || !strings.Contains(got.stderr, "are lost")):
				t.Errorf("the lost epoch %d is not named: %+v\n%s", before.Epoch, after, got.stderr)
			case !tt.lost && (after.Lost != nil || !same || after.Epoch != before.Epoch):
				t.Errorf("epoch %d was to be trained again: %+v", before.Epoch, after)
			}
		})
	}
}
