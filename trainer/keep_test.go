package trainer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

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

// A folder that is removed under a run is there again at its end, with everything but the log.
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
	for _, file := range []string{runfolder.Config, runfolder.LastCheckpoint, runfolder.BestCheckpoint, runfolder.Result} {
		if !j.Folder.Has(file) {
			t.Errorf("%s is not there again", file)
		}
	}
}
