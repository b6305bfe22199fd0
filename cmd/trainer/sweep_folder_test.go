package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nearfar/trainer/runfolder"
	"nearfar/trainer/sweep"
)

// contents are a folder's files, by name.
func contents(t *testing.T, path string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := fs.WalkDir(os.DirFS(path), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || e.Name() == runfolder.LockFile { // which names its last owner
			return err
		}
		all[name] = string(read(t, path, name))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// unchanged compares a folder with what it had.
func unchanged(t *testing.T, path string, before map[string]string) {
	t.Helper()
	after := contents(t, path)
	for name := range after {
		if _, ok := before[name]; !ok {
			t.Errorf("%s is new", name)
		}
	}
	for name, text := range before {
		if after[name] != text {
			t.Errorf("%s has changed", name)
		}
	}
}

// A second process on a sweep is refused in one line, whatever it asks for, and has changed nothing.
func TestLockedSweep(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sweep")
	args := quick(t, "bprmf", "-seeds", "1,2", "-out", path)
	mustRun(t, args...)
	if err := os.Remove(filepath.Join(path, "s2", runfolder.Result)); err != nil {
		t.Fatal(err)
	}
	lock, err := sweep.Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	before := contents(t, path)
	for _, args := range [][]string{args, {"-resume", path}, {"-resume", path, "-seeds", "1,2,3"}, {"-resume", path, "-refit"}} {
		got := runCommand(t, args...)
		if !errors.Is(got.err, runfolder.ErrLocked) || strings.Contains(got.err.Error(), "\n") || got.stdout != "" {
			t.Errorf("%v: %v\n%s", args, got.err, got.stdout)
		}
		unchanged(t, path, before)
	}
	lock.Close()
	mustRun(t, "-resume", path)
}

// Two processes that are given one new sweep: one makes it, the other is refused.
func TestSweepOfTwoProcesses(t *testing.T) {
	whole, path := filepath.Join(t.TempDir(), "whole"), filepath.Join(t.TempDir(), "sweep")
	args := append(quick(t, "bprmf", "-grid", "lr=.001,.01,.02,.03"), "-epochs", "60", "-patience", "0", "-threads", "1")
	mustRun(t, append(args, "-out", whole)...)
	first, out := process(append(args, "-out", path)...)
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); !sweep.Is(path); time.Sleep(time.Millisecond) {
		if time.Since(begin) > time.Minute {
			t.Fatal("no sweep in a minute")
		}
	}
	second, refusal := process(append(args, "-out", path)...)
	err := second.Run()
	if second.ProcessState.ExitCode() != failed || !strings.HasPrefix(refusal.String(), "trainer: "+path+" is being trained by another process (process ") ||
		strings.Count(refusal.String(), "\n") != 1 {
		t.Errorf("the second: %v, %q", err, refusal)
	}
	if err := first.Wait(); err != nil {
		t.Fatalf("the first: %v\n%s", err, out)
	}
	if files(t, path) != files(t, whole) {
		t.Errorf("the first has\n%s", read(t, path, sweep.SummaryMarkdown))
	}
}

// A run that another process trains ends the sweep, with its table, and is left alone: it has not failed, and nothing of it is removed.
func TestSweepOverALockedRun(t *testing.T) {
	for _, tt := range []struct {
		name string
		lose []string // of the run
		args []string
	}{
		{"that can be gone on with", []string{runfolder.Result}, nil},
		{"that has no checkpoint", []string{runfolder.Result, runfolder.LastCheckpoint, runfolder.PreviousCheckpoint}, nil},
		{"that is to be refitted", nil, []string{"-refit"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "sweep")
			mustRun(t, quick(t, "bprmf", "-seeds", "1,2", "-out", path)...)
			run, err := runfolder.Open(filepath.Join(path, "s2"))
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range tt.lose {
				if err := os.Remove(run.File(file)); err != nil && !errors.Is(err, os.ErrNotExist) {
					t.Fatal(err)
				}
			}
			if err := run.Lock(); err != nil {
				t.Fatal(err)
			}
			before := contents(t, run.Path())
			got := runCommand(t, append([]string{"-resume", path}, tt.args...)...)
			if !errors.Is(got.err, runfolder.ErrLocked) || !strings.Contains(got.stdout, "Recall@20") {
				t.Errorf("it ends with %v and prints\n%s", got.err, got.stdout)
			}
			unchanged(t, run.Path(), before)
			if err := run.Unlock(); err != nil {
				t.Fatal(err)
			}
			if got := mustRun(t, append([]string{"-resume", path}, tt.args...)...); strings.Contains(got.stdout, "failed") {
				t.Errorf("%s", got.stdout)
			}
		})
	}
}

// A run that somebody has gone on with by other options than its trial's is not compared, and not thrown away.
func TestSweepOverAnotherRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sweep")
	args := quick(t, "bprmf", "-grid", "lr=.001,.01", "-patience", "0", "-out", path)
	mustRun(t, args...)
	run := filepath.Join(path, "001-lr=0.001-s1")
	mustRun(t, "-resume", run, "-threads", "1") // this is no other run
	want := files(t, path)
	if mustRun(t, args...); files(t, path) != want {
		t.Errorf("%s", files(t, path))
	}
	mustRun(t, "-resume", run, "-epochs", "4")
	for _, ended := range []bool{true, false} {
		if !ended {
			if err := os.Remove(filepath.Join(run, runfolder.Result)); err != nil {
				t.Fatal(err)
			}
		}
		before := contents(t, path)
		got := runCommand(t, "-resume", path)
		if got.err == nil || !strings.Contains(got.err.Error(), run+" was trained with -epochs 4, and its trial has 2") {
			t.Errorf("ended: %t, it gives %v", ended, got.err)
		}
		unchanged(t, path, before)
	}
	if err := os.RemoveAll(run); err != nil {
		t.Fatal(err)
	}
	if mustRun(t, args...); files(t, path) != want {
		t.Errorf("deleted, it was to be trained anew:\n%s", files(t, path))
	}
}

// A damaged result is the run's that has it, not the sweep's: the run goes on from its checkpoint, or begins anew.
func TestSweepWithADamagedResult(t *testing.T) {
	for name, lose := range map[string][]string{"with a checkpoint": nil, "without": {runfolder.LastCheckpoint, runfolder.PreviousCheckpoint}} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "sweep")
			args := quick(t, "lightgcn", "-grid", "lr=.001,.01,.02", "-out", path)
			mustRun(t, args...)
			want, run := files(t, path), filepath.Join(path, "002-lr=0.01-s1")
			if err := os.Truncate(filepath.Join(run, runfolder.Result), 40); err != nil {
				t.Fatal(err)
			}
			for _, file := range lose {
				if err := os.Remove(filepath.Join(run, filepath.FromSlash(file))); err != nil && !errors.Is(err, os.ErrNotExist) {
					t.Fatal(err)
				}
			}
			got := mustRun(t, args...)
			if files(t, path) != want || !strings.Contains(got.stderr, "warning: "+filepath.Join(run, runfolder.Result)+" is damaged") {
				t.Errorf("%s\n%s", got.stderr, got.stdout)
			}
		})
	}
}

// A sweep whose disk fails prints what it has measured before it says so.
func TestSweepOnAFailingDisk(t *testing.T) {
	for _, tt := range []struct {
		name  string
		block string // a folder where this file is to be
		want  string
	}{
		{"of the summary", sweep.SummaryJSON, "3 of 3 trials"},
		{"of a run", "002-lr=0.01-s1/" + runfolder.Result, "2 of 3 trials"}, // the third has not begun
		{"of a run's embeddings", "002-lr=0.01-s1/" + runfolder.Embeddings, "2 of 3 trials"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "sweep")
			args := quick(t, "bprmf", "-grid", "lr=.001,.01,.02", "-out", path)
			mustRun(t, args...)
			want := files(t, path)
			place := filepath.Join(path, filepath.FromSlash(tt.block))
			lost := []string{place}
			if tt.block != sweep.SummaryJSON {
				lost = append(lost, filepath.Join(path, "002-lr=0.01-s1", runfolder.Result), filepath.Join(path, "003-lr=0.02-s1"))
			}
			for _, name := range lost {
				if err := os.RemoveAll(name); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.MkdirAll(filepath.Join(place, "in the way"), 0o755); err != nil {
				t.Fatal(err)
			}
			got := runCommand(t, args...)
			if got.err == nil || !strings.Contains(got.err.Error(), filepath.Base(place)) || !strings.Contains(got.stdout, tt.want) {
				t.Errorf("it ends with %v and prints\n%s", got.err, got.stdout)
			}
			if err := os.RemoveAll(place); err != nil {
				t.Fatal(err)
			}
			if mustRun(t, args...); files(t, path) != want {
				t.Errorf("mended, it has\n%s", files(t, path))
			}
			tensors(t, path, "002-lr=0.01-s1")
		})
	}
}
