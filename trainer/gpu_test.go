//go:build gpu && linux && amd64 && cgo

package trainer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nearfar/engine/cuda"
	"nearfar/kernels/cuda/emu/control"
	"nearfar/trainer/dataset"
	"nearfar/trainer/runfolder"
)

// fewPeople is a data set small enough to be trained on hundreds of times.
func fewPeople(t *testing.T) string {
	t.Helper()
	var text strings.Builder
	for u := range 24 {
		for i := range 30 {
			if (u*7+i*5)%6 == 0 || u%5 == i%5 {
				fmt.Fprintf(&text, "u%d i%d\n", u, i)
			}
		}
	}
	path := filepath.Join(t.TempDir(), "pairs.txt")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// onGPU runs a job on a GPU that it opens and closes. A run that takes too long has hung: the test ends.
func (j Job) onGPU(t *testing.T, data *dataset.Dataset) (res Result, err error) {
	t.Helper()
	hung := time.AfterFunc(time.Minute, func() { panic("the run hangs") })
	defer hung.Stop()
	device, err := cuda.Open(0)
	if err != nil {
		return res, notStarted{err}
	}
	res, err = j.Run(context.Background(), data, device)
	return res, errors.Join(err, device.Close())
}

// Each call of the driver and of cuBLAS fails once, with an error that nobody expects. The run then ends with an error that names the call, and
// goes on from its folder to the same embeddings as a run that nothing happened to; or it has not started, and says so. Only a failure to give
// something back may pass, behind a whole result.
func TestEveryDriverCallFails(t *testing.T) {
	emulator := control.Need(t)
	args := []string{"-data", fewPeople(t), "-epochs", "2", "-batch", "64", "-dim", "8", "-valid-ratio", "0.2"}
	path := filepath.Join(t.TempDir(), "whole")
	whole := newJob(t, "simgcl", path, args...)
	data, err := whole.load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	before := emulator.Calls()
	if _, err := whole.onGPU(t, data); err != nil {
		t.Fatal(err)
	}
	calls := emulator.Calls() - before
	want := embeddings(t, path)
	seen := map[string]string{} // a message for each call that failed
	var ended, unstarted, resumed int
	for n := 1; n <= calls; n++ {
		path := filepath.Join(t.TempDir(), fmt.Sprint(n))
		j := newJob(t, "simgcl", path, args...)
		emulator.Fail(n, 999)
		_, err := j.onGPU(t, data)
		emulator.Fail(0, 0)
		if err == nil {
			if !bytes.Equal(embeddings(t, path), want) {
				t.Errorf("call %d of %d failed, no error came, and the result is another one", n, calls)
			}
			ended++
			continue
		}
		name := control.CallIn(err)
		if name == "" {
			t.Errorf("call %d of %d: the error names no call: %v", n, calls, err)
		}
		seen[name] = err.Error()
		if errors.Is(err, ErrNotStarted) {
			unstarted++
			continue
		}
		if j.Folder, err = runfolder.Open(path); err != nil {
			t.Fatal(err)
		}
		j.Resume = true
		if _, err := j.onGPU(t, data); err != nil {
			t.Errorf("call %d of %d failed in %s; resumed: %v", n, calls, name, err)
			continue
		}
		if !bytes.Equal(embeddings(t, path), want) {
			t.Errorf("call %d of %d failed in %s; the resumed run ends in other embeddings", n, calls, name)
		}
		resumed++
	}
	if resumed < 20 || ended > 40 { // a run gives back some thirty things
		t.Errorf("only %d runs were resumed, and %d ended without an error", resumed, ended)
	}
	t.Logf("%d calls; of those that failed %d kept a run from starting, %d ended one that was resumed to the same bits, %d were behind its end", calls,
		unstarted, resumed, ended)
	for name, message := range seen {
		t.Logf("%s: %s", name, strings.ReplaceAll(message, "\n", " | "))
	}
}
