//go:build !race

// The race detector keeps several bytes for each of the program's: what is measured here would be its own.

package trainer

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"nearfar/engine"
	"nearfar/engine/cpu"
	"nearfar/engine/op"
	"nearfar/kernels"
	kernelset "nearfar/kernels/cpu"
	"nearfar/kernels/philox"
	"nearfar/models"
	"nearfar/trainer/evaluate"
)

// childData, where it is set, makes TestEvaluationChild measure an evaluation of random embeddings on that data.
const childData = "NEARFAR_EVALUATION_DATA"

// evaluationLimit is how many megabytes an evaluation may take beside the data and the embeddings.
const evaluationLimit = 200

// evaluationCost is what the child prints.
type evaluationCost struct {
	AboveMB  float64 // peak resident memory above the data and the embeddings
	Accuracy seconds // of ranking and accuracy alone
	Epoch    seconds // as in every epoch that is evaluated
	Final    seconds // as in the final report, with diversity
}

// seconds are on the clock, and of the processor: the latter are what a busy machine measures.
type seconds struct{ Wall, CPU float64 }

// TestEvaluationMemory holds the peak of a whole evaluation under its limit, on a catalogue of yelp2018's size and few users.
func TestEvaluationMemory(t *testing.T) {
	const users, items = 1000, 38_048
	dir := t.TempDir()
	for name, n := range map[string]int{"train.txt": 40, "test.txt": 10} {
		var text strings.Builder
		words := philox.New(1, name).Sequence(0, 0)
		for u := range users {
			fmt.Fprint(&text, u)
			for range n {
				fmt.Fprintf(&text, " %d", words.Below(items))
			}
			fmt.Fprintln(&text)
		}
		fmt.Fprintf(&text, "%d %d\n", users, items-1) // the last item, so that the catalogue is whole
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cost := measureEvaluation(t, dir)
	t.Logf("%+v", cost)
	if cost.AboveMB < 16 { // a block of scores alone takes more: nothing was measured
		t.Errorf("an evaluation takes %.0f MB: is the peak measured?", cost.AboveMB)
	}
}

// BenchmarkEvaluation evaluates random embeddings on yelp2018 in a process of its own, and fails above the limit:
//
//	go test ./trainer -run - -bench Evaluation -benchtime 1x
func BenchmarkEvaluation(b *testing.B) {
	path := sharedData(b, "graph/yelp2018")
	for b.Loop() {
		cost := measureEvaluation(b, path)
		b.ReportMetric(cost.AboveMB, "MB-above-embeddings")
		for what, s := range map[string]seconds{"accuracy": cost.Accuracy, "epoch": cost.Epoch, "final": cost.Final} {
			b.ReportMetric(s.Wall, what+"-s")
			b.ReportMetric(s.CPU, what+"-cpu-s")
		}
	}
}

// measureEvaluation runs TestEvaluationChild on a data set.
func measureEvaluation(t testing.TB, data string) (cost evaluationCost) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestEvaluationChild$", "-test.v")
	child.Env = append(os.Environ(), childData+"="+data)
	out, err := child.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_, text, found := strings.Cut(string(out), "cost ")
	text, _, _ = strings.Cut(text, "\n")
	if !found || json.Unmarshal([]byte(text), &cost) != nil { // it says why it skips
		t.Skipf("the child measured nothing:\n%s", out)
	}
	if cost.AboveMB > evaluationLimit {
		t.Errorf("an evaluation takes %.0f MB beside the data and the embeddings, more than %d", cost.AboveMB, evaluationLimit)
	}
	return cost
}

func TestEvaluationChild(t *testing.T) {
	path := os.Getenv(childData)
	if path == "" {
		t.Skip("this is the child of TestEvaluationMemory")
	}
	j := newJob(t, "bprmf", "", "-data", path, "-select", "test", "-epochs", "0", "-dim", "64")
	data, err := j.load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	device := cpu.New(0, kernelset.Best())
	defer device.Close()
	r := &run{Job: j, data: data, store: engine.NewStore(device, kernels.Float32, 1)}
	defer r.close()
	if r.model, err = j.Model.New(models.Data{Train: data.Train, Seed: 1}); err != nil {
		t.Fatal(err)
	}
	embed, err := engine.Build(r.store, func(b *engine.Builder) engine.Step { // the embeddings are there before an evaluation is
		users, items := r.model.(models.TableModel).Score(b)
		return engine.Step{Outputs: []engine.Named{{Name: "user", Value: op.Slice(users, 0, 0, 1)}, {Name: "item", Value: op.Slice(items, 0, 0, 1)}}}
	})
	if err != nil {
		t.Fatal(err)
	}
	embed.Close()
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil { // the peak is now
		t.Skip(err)
	}
	before := peak(t)

	if r.scorer, err = newScorer(r.store, r.model, data.Train, 0); err != nil {
		t.Fatal(err)
	}
	timed := func(p evaluate.Protocol) (*evaluate.Report, seconds) {
		start, used := time.Now(), processor(t)
		report, err := r.rank(context.Background(), p)
		if err != nil {
			t.Fatal(err)
		}
		return report, seconds{time.Since(start).Seconds(), processor(t) - used}
	}
	var cost evaluationCost
	accuracy := r.protocol(data.Test, false)
	accuracy.Train = nil
	_, cost.Accuracy = timed(accuracy)
	_, cost.Epoch = timed(r.protocol(data.Test, false))
	if _, err := r.geometry(); err != nil {
		t.Fatal(err)
	}
	report, took := timed(r.protocol(data.Test, true))
	cost.Final = took
	var res Result
	if err := r.conclude("test", data.Test, report, &res); err != nil {
		t.Fatal(err)
	}
	cost.AboveMB = float64(peak(t)-before) / 1e6
	text, err := json.Marshal(cost)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("cost %s\n", text)
}

// processor is the time that the process has had, in seconds.
func processor(t *testing.T) float64 {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// peak is the largest resident memory so far, in bytes.
func peak(t testing.TB) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if text, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kilobytes := 0
			if _, err := fmt.Sscan(text, &kilobytes); err != nil {
				t.Fatal(err)
			}
			return kilobytes << 10
		}
	}
	t.Fatal("no VmHWM")
	return 0
}
