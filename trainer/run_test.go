package trainer

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.uber.org/zap"

	"nearfar/engine/cpu"
	kernelset "nearfar/kernels/cpu"
	"nearfar/models"
	"nearfar/trainer/dataset"
	"nearfar/trainer/option"
	"nearfar/trainer/progress"
	"nearfar/trainer/runfolder"
)

// newJob is a short run of a model on the embedded data, on data with features where the model takes them, quiet, into a folder (none where path is empty).
func newJob(t testing.TB, model, path string, args ...string) Job {
	t.Helper()
	spec, ok := models.Find(model)
	if !ok {
		t.Fatalf("no model %s", model)
	}
	j := Job{Name: model, Model: spec.Options(), Console: progress.NewConsole(io.Discard, false), Log: zap.NewNop()}
	set, err := option.Bind(flag.NewFlagSet("test", flag.ContinueOnError), &j.Options, j.Model)
	if err != nil {
		t.Fatal(err)
	}
	short := []string{"-eval-every", "1", "-lr", "0.005"}
	if set.Lookup("batch") != nil {
		short = append(short, "-epochs", "3", "-batch", "1000", "-dim", "16")
	}
	if set.Lookup("layers") != nil {
		short = append(short, "-layers", "2")
	}
	if takesFeatures(j.Model) {
		short = append(short, "-data", mmrec, "-batch", "40") // which are 1,300 interactions
	}
	if err := set.Parse(append(short, args...)); err != nil {
		t.Fatal(err)
	}
	if path != "" {
		if j.Folder, err = runfolder.Create(path, []byte("model: "+model+"\n")); err != nil {
			t.Fatal(err)
		}
	}
	return j
}

func (j Job) load(ctx context.Context) (*dataset.Dataset, error) {
	return LoadData(ctx, j.Options, j.Model, nil)
}

func (j Job) mustRun(t testing.TB, ctx context.Context) (Result, error) {
	t.Helper()
	data, err := j.load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	device := cpu.New(j.Options.Threads, kernelset.Best())
	defer device.Close()
	return j.Run(ctx, data, device)
}

func embeddings(t testing.TB, folder string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(folder, runfolder.Embeddings))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The same seed gives the same embeddings, whatever the number of threads; another seed gives others.
func TestThreadsDoNotChangeResults(t *testing.T) {
	names := []string{"sgl", "bm3", "simgcl", "bprmf", "lightgcn", "xsimgcl", "vbpr", "freedom"}
	if testing.Short() {
		names = names[:2]
	}
	for _, model := range names {
		t.Run(model, func(t *testing.T) {
			run := func(args ...string) []byte {
				path := filepath.Join(t.TempDir(), "run")
				j := newJob(t, model, path, append([]string{"-epochs", "1"}, args...)...)
				if _, err := j.mustRun(t, context.Background()); err != nil {
					t.Fatal(err)
				}
				return embeddings(t, path)
			}
			one := run("-threads", "1")
			for _, n := range []string{"2", "3"} {
				if !bytes.Equal(one, run("-threads", n)) {
					t.Errorf("the embeddings of 1 and %s threads differ", n)
				}
			}
			if bytes.Equal(one, run("-seed", "2")) {
				t.Error("two seeds gave the same embeddings")
			}
		})
	}
}

// Half precision moves a run by rounding, and no further.
func TestHalfPrecision(t *testing.T) {
	for _, model := range []string{"lightgcn", "simgcl"} {
		run := func(precision string) ([]byte, Result) {
			path := filepath.Join(t.TempDir(), "run")
			res, err := newJob(t, model, path, "-precision", precision, "-epochs", "2").mustRun(t, context.Background())
			if err != nil {
				t.Fatal(err)
			}
			return embeddings(t, path), res
		}
		full, want := run("float32")
		half, got := run("half")
		if bytes.Equal(half, full) {
			t.Errorf("%s: half precision changes nothing", model)
		}
		if w, g := want.Test["Recall@20"], got.Test["Recall@20"]; math.Abs(w-g) > .005 {
			t.Errorf("%s: Recall@20 is %.4f in half precision, %.4f without", model, g, w)
		} else {
			t.Logf("%s: Recall@20 %.4f, in half precision %.4f", model, w, g)
		}
	}
}

// Moments in 16 bits move a run as other random numbers do, and no further: Adam's step has the direction of what they are on the average.
func TestMoments16(t *testing.T) {
	run := func(model string, args ...string) (Result, int64) {
		path := filepath.Join(t.TempDir(), "run")
		res, err := newJob(t, model, path, append(args, "-epochs", "6", "-eval-every", "6")...).mustRun(t, context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return res, size(t, filepath.Join(path, runfolder.LastCheckpoint))
	}
	for _, model := range []string{"lightgcn", "bprmf"} {
		want, whole := run(model)
		got, halved := run(model, "-moments", "bf16")
		if w, g := want.Test["Recall@20"], got.Test["Recall@20"]; math.Abs(w-g) > .005 {
			t.Errorf("%s: Recall@20 is %.4f with moments in 16 bits, %.4f in 32", model, g, w)
		} else {
			t.Logf("%s: Recall@20 %.4f, with moments in 16 bits %.4f; checkpoints of %d and %d bytes", model, w, g, whole, halved)
		}
		if 3*halved > 2*whole+1<<16 { // parameter and moments: 4 + 2 + 2 bytes of 4 + 4 + 4
			t.Errorf("%s: a checkpoint has %d bytes with moments in 16 bits, %d in 32", model, halved, whole)
		}
	}
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	s, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return s.Size()
}

func TestMoments16AreAdams(t *testing.T) {
	for _, optimiser := range []string{"sgd", "adagrad"} {
		j := newJob(t, "lightgcn", "", "-moments", "bf16", "-optimiser", optimiser)
		if err := j.Options.Check(); err == nil || !strings.Contains(err.Error(), "-moments bf16 is for adam") || !strings.Contains(err.Error(), optimiser) {
			t.Errorf("%s: the error is %v", optimiser, err)
		}
	}
}

// A run that is interrupted at any step and resumed ends with the bits, and the selection, of one that was not.
func TestResume(t *testing.T) {
	names := []string{"sgl", "bm3 -moments bf16", "simgcl", "simgcl -moments bf16", "freedom", "bm3"}
	if testing.Short() {
		names = names[:2]
	}
	for _, model := range names {
		t.Run(model, func(t *testing.T) {
			model, args, _ := strings.Cut(model, " ")
			newJob := func(t *testing.T, model, path string) Job { return newJob(t, model, path, strings.Fields(args)...) }
			whole := filepath.Join(t.TempDir(), "whole")
			want, err := newJob(t, model, whole).mustRun(t, context.Background())
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "parts")
			j := newJob(t, model, path)
			for _, after := range []int{7, 0, 40, 1, 13} { // steps before each interruption; 0: before the first
				ctx, cancel := context.WithCancel(context.Background())
				j.Console = progress.NewConsole(io.Discard, false)
				if after == 0 {
					cancel()
				}
				left := after
				j.OnStep = func(uint64) {
					if left--; left == 0 {
						cancel()
					}
				}
				_, err := j.mustRun(t, ctx)
				cancel()
				if !errors.Is(err, ErrInterrupted) {
					t.Fatalf("after %d steps: %v", after, err)
				}
				j.Resume = true
			}
			j.OnStep = nil
			got, err := j.mustRun(t, context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if got.Epoch != want.Epoch || got.Test["Recall@20"] != want.Test["Recall@20"] || got.Epochs != want.Epochs {
				t.Errorf("resumed: epoch %d of %d, Recall@20 %v; uninterrupted: epoch %d of %d, %v", got.Epoch, got.Epochs, got.Test["Recall@20"],
					want.Epoch, want.Epochs, want.Test["Recall@20"])
			}
			if !bytes.Equal(embeddings(t, whole), embeddings(t, path)) {
				t.Error("the embeddings differ from those of the uninterrupted run")
			}
			compareMetrics(t, whole, path)
		})
	}
}

// compareMetrics checks that every epoch stands once in a resumed run's metrics, with the numbers of the uninterrupted one.
func compareMetrics(t *testing.T, whole, parts string) {
	t.Helper()
	read := func(path string) []map[string]any {
		f, err := runfolder.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		events, err := f.ReadMetrics()
		if err != nil {
			t.Fatal(err)
		}
		return events
	}
	want, got := read(whole), read(parts)
	if len(want) != len(got) {
		t.Fatalf("%d events, uninterrupted %d", len(got), len(want))
	}
	for i := range want {
		for key, v := range want[i] {
			if key != "train_seconds" && !reflect.DeepEqual(got[i][key], v) {
				t.Errorf("event %d: %s is %v, uninterrupted %v", i, key, got[i][key], v)
			}
		}
	}
}

// A loss that is not finite ends the run with a checkpoint of the parameters before it.
func TestNonFiniteEndsTheRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run")
	_, err := newJob(t, "bprmf", path, "-init", "normal", "-init-std", "1e30").mustRun(t, context.Background())
	if err == nil {
		t.Fatal("embeddings of 1e30 trained without an error")
	}
	if _, err := os.Stat(filepath.Join(path, runfolder.LastCheckpoint)); err != nil {
		t.Errorf("no checkpoint: %v", err)
	}
}

// Popularity on the embedded data: the number that every model is compared with.
func TestPopularity(t *testing.T) {
	res, err := newJob(t, "popularity", "").mustRun(t, context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if got := res.Test["Recall@20"]; got < .088 || got > .091 {
		t.Errorf("popularity has Recall@20 %.4f, known to be about .089", got)
	}
}
