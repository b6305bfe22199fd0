package awkward

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"nearfar/engine"
	"nearfar/engine/cpu"
	"nearfar/kernels"
	kernelset "nearfar/kernels/cpu"
	"nearfar/trainer/runfolder"
)

// A run that is killed at any moment and started again from its last checkpoint ends in the same bits. NEARFAR_KILLS=100 kills so often.

const (
	resumeSteps = 400
	childPath   = "NEARFAR_AWKWARD_CHECKPOINT" // set in the child: where it keeps its checkpoint
	childHow    = "NEARFAR_AWKWARD_ROUNDS"
	childFloat  = "NEARFAR_AWKWARD_FLOAT"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childPath); path != "" {
		if err := trainAndSave(path, rounds(os.Getenv(childHow)), floatNamed(os.Getenv(childFloat))); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func floatNamed(name string) kernels.DType {
	if name == kernels.Float64.String() {
		return kernels.Float64
	}
	return kernels.Float32
}

// progress is a checkpoint's header.
type progress struct {
	Step      uint64            `json:"step"`
	Constants map[string]uint32 `json:"constants"`
}

// trainAndSave goes on from the checkpoint at path, if there is one, and replaces it after every step.
func trainAndSave(path string, how rounds, float kernels.DType) error {
	s := engine.NewStore(cpu.New(2, kernelset.Best()), float, skeletonSeed)
	p, err := engine.Build(s, skeleton(how, false))
	if err != nil {
		return err
	}
	var from progress
	saved, err := runfolder.ReadCheckpoint(path, &from)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		var states []engine.Saved
		for _, e := range saved {
			states = append(states, engine.Saved(e))
		}
		if err := s.Restore(states, from.Constants); err != nil {
			return err
		}
	}
	for t := from.Step; t < resumeSteps; t++ {
		if err := p.Run(context.Background(), t, 1, nil); err != nil {
			return err
		}
		states, constants, err := s.Snapshot()
		if err != nil {
			return err
		}
		var entries []runfolder.Entry
		for _, e := range states {
			entries = append(entries, runfolder.Entry(e))
		}
		if err := runfolder.WriteCheckpoint(path, progress{t + 1, constants}, entries); err != nil {
			return err
		}
	}
	return nil
}

func TestKilledRunsEndInTheSameBits(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	wanted := 3
	if text := os.Getenv("NEARFAR_KILLS"); text != "" {
		var err error
		if wanted, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		how   rounds
		float kernels.DType
	}{{first, kernels.Float32}, {bilevel, kernels.Float64}} {
		t.Run(fmt.Sprint(c.how, " ", c.float), func(t *testing.T) {
			// One uninterrupted run, all its steps in one call: prefetching may not matter either.
			s, p := openSkeleton(t, cpu.New(1, kernelset.Best()), c.float, c.how)
			if err := p.Run(t.Context(), 0, resumeSteps, nil); err != nil {
				t.Fatal(err)
			}
			kills, steps := 0, map[uint64]bool{}
			luck := rand.New(rand.NewPCG(1, uint64(c.float)))
			for run := 0; kills < wanted && !t.Failed(); run++ {
				path := filepath.Join(t.TempDir(), fmt.Sprint("checkpoint", run))
				for attempt := 0; ; attempt++ {
					if attempt > 500 {
						t.Fatalf("the run does not end: killed %d times", kills)
					}
					if ended := killChild(t, path, c.how, c.float, window(attempt, luck)); ended {
						break
					}
					kills++
					var at progress
					if _, err := runfolder.ReadCheckpoint(path, &at); err != nil && !errors.Is(err, fs.ErrNotExist) {
						t.Fatalf("after kill %d: %v", kills, err)
					}
					steps[at.Step] = true
				}
				var end progress
				saved, err := runfolder.ReadCheckpoint(path, &end)
				if err != nil {
					t.Fatal(err)
				}
				if end.Step != resumeSteps || len(steps) < 3 {
					t.Errorf("ended at step %d after %d kills at %d different steps: nothing was tested", end.Step, kills, len(steps))
				}
				want, _, err := s.Snapshot()
				if err != nil {
					t.Fatal(err)
				}
				if len(saved) != len(want) {
					t.Fatalf("%d states, want %d", len(saved), len(want))
				}
				for i, w := range want {
					if saved[i].Name != w.Name || saved[i].Desc != w.Desc || !bytes.Equal(saved[i].Data, w.Data) {
						t.Errorf("%s differs from the uninterrupted run", w.Name)
					}
				}
			}
			t.Logf("killed %d times, at %d different steps", kills, len(steps))
		})
	}
}

// window is how long a run may live: 20 to 140 ms at first, and more with each attempt, since under the race detector or on a busy machine a
// process needs longer than that to begin.
func window(attempt int, luck *rand.Rand) time.Duration {
	return time.Duration((20+luck.IntN(120))*(1+attempt/5)) * time.Millisecond
}

// killChild starts this test's binary as a training run and kills it after a while, unless it has ended by itself.
func killChild(t *testing.T, path string, how rounds, float kernels.DType, after time.Duration) (ended bool) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childPath+"="+path, childHow+"="+string(how), childFloat+"="+float.String())
	var complaints bytes.Buffer
	child.Stderr = &complaints
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- child.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			t.Fatalf("the run failed: %v\n%s", err, complaints.String())
		}
		return true
	case <-time.After(after):
		if err := child.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
		return <-done == nil
	}
}
