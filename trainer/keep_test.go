package trainer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"nearfar/trainer/runfolder"
)

// fullDisk takes no byte while it is full.
type fullDisk struct {
	w    io.Writer
	full *bool
}

func (d fullDisk) Write(b []byte) (int, error) {
	if !*d.full {
		return d.w.Write(b)
	}
	n, _ := d.w.Write(b[:len(b)/2]) // as a disk that fills up does
	return n, &os.PathError{Op: "write", Path: "run", Err: syscall.ENOSPC}
}

// A disk that is full for a while costs nothing but warnings; one that stays full leaves a result, and ErrUnkept.
func TestFullDisk(t *testing.T) {
	whole := filepath.Join(t.TempDir(), "whole")
	want, err := newJob(t, "bprmf", whole).mustRun(t, context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for name, freed := range map[string]int{"for a while": 70, "to the end": -1} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "run")
			j := newJob(t, "bprmf", path)
			full, steps := false, 0
			j.Folder.Through(func(_ string, w io.Writer) io.Writer { return fullDisk{w, &full} })
			j.OnStep = func(uint64) {
				steps++
				full = steps >= 20 && steps != freed && (freed < 0 || steps < freed)
			}
			got, err := j.mustRun(t, context.Background())
			if got.Test["Recall@20"] != want.Test["Recall@20"] || got.Epoch != want.Epoch {
				t.Errorf("the result is %+v, want %+v", got, want)
			}
			if freed < 0 {
				if !errors.Is(err, ErrUnkept) {
					t.Errorf("it ends with %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			compareMetrics(t, whole, path)
			if !bytes.Equal(embeddings(t, whole), embeddings(t, path)) {
				t.Error("the embeddings differ")
			}
		})
	}
}

// withoutBest gives a run no place for its best checkpoint while full is set.
func withoutBest(j Job, full *bool) {
	j.Folder.Through(func(name string, w io.Writer) io.Writer {
		if name == runfolder.BestCheckpoint {
			return fullDisk{w, full}
		}
		return w
	})
}

// A run that is interrupted and could not keep its best epoch says so: it is not one that goes on as if nothing had happened.
func TestInterruptedWithoutItsBest(t *testing.T) {
	j := newJob(t, "bprmf", filepath.Join(t.TempDir(), "run"))
	full := true
	withoutBest(j, &full)
	ctx, cancel := context.WithCancel(t.Context())
	j.OnStep = func(next uint64) {
		if next == 40 {
			cancel()
		}
	}
	if _, err := j.mustRun(t, ctx); !errors.Is(err, ErrUnkept) || errors.Is(err, ErrInterrupted) {
		t.Errorf("it ends with %v", err)
	}
}

// A best checkpoint that is written again later stands where its epoch ended, not in the middle of the next one.
func TestBestIsWrittenAgain(t *testing.T) {
	whole, path := filepath.Join(t.TempDir(), "whole"), filepath.Join(t.TempDir(), "run")
	if _, err := newJob(t, "bprmf", whole).mustRun(t, t.Context()); err != nil {
		t.Fatal(err)
	}
	j := newJob(t, "bprmf", path)
	full := true
	withoutBest(j, &full)
	ctx, cancel := context.WithCancel(t.Context())
	j.OnStep = func(next uint64) {
		if next == 40 { // of 29 an epoch
			full = false
			cancel()
		}
	}
	if _, err := j.mustRun(t, ctx); !errors.Is(err, ErrInterrupted) {
		t.Fatal(err)
	}
	for _, file := range []string{runfolder.LastCheckpoint, runfolder.PreviousCheckpoint} {
		if err := os.Truncate(j.Folder.File(file), 9); err != nil {
			t.Fatal(err)
		}
	}
	j.OnStep, j.Resume = nil, true
	if _, err := j.mustRun(t, t.Context()); err != nil {
		t.Fatal(err)
	}
	compareMetrics(t, whole, path)
}

// What cannot be written for one cause is said once, whatever the temporary file was called.
func TestFailuresOfOneCauseAreSaidOnce(t *testing.T) {
	for name, of := range map[string]func(temporary string) error{
		"open": func(temporary string) error { return &os.PathError{Op: "open", Path: temporary, Err: syscall.EACCES} },
		"rename": func(temporary string) error {
			return &os.LinkError{Op: "rename", Old: temporary, New: "last.ckpt", Err: syscall.EACCES}
		},
	} {
		core, logs := observer.New(zap.WarnLevel)
		r := &run{Job: Job{Log: zap.New(core)}, unkept: map[string]*failure{}}
		for n := range 3 {
			r.keep("last.ckpt", fmt.Errorf("run/last.ckpt: %w", of(fmt.Sprint(".last.ckpt", n))))
		}
		if logs.Len() != 1 || r.unkept["last.ckpt"].times != 3 {
			t.Errorf("%s: %d warnings of %d failures", name, logs.Len(), r.unkept["last.ckpt"].times)
		}
		r.keep("last.ckpt", &os.LinkError{Op: "rename", Err: syscall.ENOSPC})
		if logs.Len() != 2 {
			t.Errorf("%s: another cause gives no warning", name)
		}
	}
}

// A folder that is removed under a run is there again at its end, with everything but the log so far.
func TestLostFolder(t *testing.T) {
	whole, path := filepath.Join(t.TempDir(), "whole"), filepath.Join(t.TempDir(), "run")
	if _, err := newJob(t, "bprmf", whole).mustRun(t, context.Background()); err != nil {
		t.Fatal(err)
	}
	j := newJob(t, "bprmf", path)
	if err := j.Folder.Lock(); err != nil {
		t.Fatal(err)
	}
	defer j.Folder.Unlock()
	core, log := observer.New(zap.WarnLevel)
	j.Log = zap.New(core)
	steps := 0
	j.OnStep = func(uint64) {
		if steps++; steps == 40 {
			if err := os.RemoveAll(path); err != nil {
				t.Skipf("this system keeps open files: %v", err)
			}
		}
	}
	if _, err := j.mustRun(t, context.Background()); err != nil {
		t.Fatal(err)
	}
	compareMetrics(t, whole, path)
	if !bytes.Equal(embeddings(t, whole), embeddings(t, path)) {
		t.Error("the embeddings differ")
	}
	if said := log.FilterMessageSnippet("was removed and is there again").Len(); said != 1 {
		t.Errorf("it is said %d times", said)
	}
	for _, file := range []string{runfolder.Config, runfolder.LastCheckpoint, runfolder.BestCheckpoint, runfolder.Result} {
		if !j.Folder.Has(file) {
			t.Errorf("%s is not there again", file)
		}
	}
}
