package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"nearfar/trainer"
	"nearfar/trainer/runfolder"
	"nearfar/trainer/sweep"
)

// result reads a run's result.json.
func result(t *testing.T, elements ...string) (res trainer.Result) {
	t.Helper()
	folder, err := runfolder.Open(filepath.Join(elements...))
	if err != nil {
		t.Fatal(err)
	}
	if err := folder.ReadResult(&res); err != nil {
		t.Fatal(err)
	}
	return res
}

// mustRun is a command line that has to work.
func mustRun(t *testing.T, args ...string) outcome {
	t.Helper()
	got := runCommand(t, args...)
	if got.err != nil {
		t.Fatalf("%v: %v\n%s", args, got.err, got.stderr)
	}
	return got
}

// Each run of a sweep is the run that its options would have been alone, to the bit; the data is read once; and the same command again has
// nothing to do and says the same.
func TestSeeds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sweep")
	args := quick(t, "lightgcn", "-seeds", "1,2,3", "-out", path)
	got := mustRun(t, args...)
	if n := strings.Count(got.stderr, "data       "); n != 1 {
		t.Errorf("the data was read %d times", n)
	}
	if sum := result(t, path, "s1").Checksum; !regexp.MustCompile(`checksum +` + sum + `\n`).MatchString(got.stderr) {
		t.Errorf("the result's data has the checksum %q:\n%s", sum, got.stderr)
	}
	var recall []float64
	for _, seed := range []string{"1", "2", "3"} {
		alone := filepath.Join(t.TempDir(), "alone")
		mustRun(t, append(args[:len(args)-4:len(args)-4], "-seed", seed, "-out", alone)...)
		if !bytes.Equal(read(t, alone, runfolder.Embeddings), read(t, path, "s"+seed+"/"+runfolder.Embeddings)) {
			t.Errorf("seed %s is another run in the sweep than alone", seed)
		}
		recall = append(recall, result(t, alone).Test["Recall@20"])
	}
	row := regexp.MustCompile(`Recall@20 .* ` + regexp.QuoteMeta(sweep.SpreadOf(recall).String()) +
		fmt.Sprintf(` +%.4f +%.4f +%.4f\n`, recall[0], recall[1], recall[2]))
	for what, text := range map[string]string{"the screen": got.stdout, sweep.SummaryMarkdown: strings.ReplaceAll(string(read(t, path, sweep.SummaryMarkdown)), " |\n", "\n")} {
		if !row.MatchString(strings.ReplaceAll(text, " |", " ")) {
			t.Errorf("%s lacks %s:\n%s", what, row, text)
		}
	}
	again := mustRun(t, args...)
	if again.stdout != got.stdout || strings.Contains(again.stderr, "epoch ") {
		t.Errorf("the same command again prints\n%s\n%s", again.stdout, again.stderr)
	}
}

// files are what sums a sweep up.
func files(t *testing.T, path string) string {
	t.Helper()
	return string(read(t, path, sweep.SummaryMarkdown)) + string(read(t, path, sweep.SummaryJSON))
}

// A grid of 8 runs on the embedded data that is killed twice by the system, before and behind a run's first checkpoint, ends with the table of
// one that was not, byte for byte.
func TestGridKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	whole, parts := filepath.Join(t.TempDir(), "whole"), filepath.Join(t.TempDir(), "parts")
	args := []string{"-model", "bprmf", "-dim", "16", "-epochs", "4", "-threads", "1", "-grid", "lr=.002,.005,.01,.02;reg=0,.0001"}
	want := mustRun(t, append(args, "-out", whole)...)
	kill := func(wanted string, args ...string) {
		t.Helper()
		process := exec.Command(os.Args[0], args...)
		process.Env = append(os.Environ(), asTrainer+"=1")
		if err := process.Start(); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			if _, err := os.Stat(filepath.Join(parts, filepath.FromSlash(wanted))); err == nil {
				break
			}
			if time.Now().After(deadline) {
				t.Errorf("no %s in a minute", wanted)
				break
			}
		}
		if err := process.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := process.Wait(); err == nil {
			t.Fatal("the sweep had ended before it was killed")
		}
	}
	kill("002-lr=0.002,reg=0.0001-s1", append(args, "-out", parts)...)
	kill("005-lr=0.01,reg=0-s1/checkpoint/last.ckpt", "-resume", parts)
	if _, err := os.Stat(filepath.Join(parts, "008-lr=0.02,reg=0.0001-s1")); err == nil {
		t.Fatal("the last run had begun before the sweep was killed")
	}
	got := mustRun(t, "-resume", parts)
	if files(t, parts) != files(t, whole) {
		t.Errorf("killed and resumed, the table is\n%s\nand uninterrupted\n%s", read(t, parts, sweep.SummaryMarkdown), read(t, whole, sweep.SummaryMarkdown))
	}
	if strings.ReplaceAll(got.stdout, parts, whole) != want.stdout {
		t.Errorf("it prints\n%s\nwant\n%s", got.stdout, want.stdout)
	}
	if strings.Contains(got.stderr, "run 1 of 8") {
		t.Error("a run that was finished was trained again")
	}
	for n, name := range []string{"001-lr=0.002,reg=0-s1", "005-lr=0.01,reg=0-s1"} {
		if !bytes.Equal(read(t, parts, name+"/"+runfolder.Embeddings), read(t, whole, name+"/"+runfolder.Embeddings)) {
			t.Errorf("run %d of the embeddings differs", n)
		}
	}
}

// The command that a grid names for its best trial has that trial's numbers.
func TestGridNamesTheBest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sweep")
	got := mustRun(t, quick(t, "bprmf", "-init", "normal", "-grid", "lr=.001,.05;init-std=.1,.3", "-out", path)...)
	trial := regexp.MustCompile(`best on the validation split: trial (\d)`).FindStringSubmatch(got.stdout)
	again := regexp.MustCompile(`(?m)^again: trainer (.*)$`).FindStringSubmatch(got.stdout)
	if trial == nil || again == nil {
		t.Fatalf("no best trial, or no command that repeats it:\n%s", got.stdout)
	}
	best, bestOf := "", -1.0
	entries, err := filepath.Glob(filepath.Join(path, "00*"))
	if err != nil || len(entries) != 4 {
		t.Fatalf("%v (%v)", entries, err)
	}
	for _, run := range entries {
		if v := result(t, run).Valid["Recall@20"]; v > bestOf {
			best, bestOf = run, v
		}
	}
	if !strings.HasPrefix(filepath.Base(best), "00"+trial[1]) {
		t.Errorf("trial %s is called the best, %s has the highest validation metric", trial[1], best)
	}
	out := filepath.Join(t.TempDir(), "again")
	mustRun(t, append(strings.Fields(strings.ReplaceAll(again[1], "'", "")), "-out", out)...)
	if !maps.Equal(result(t, out).Test, result(t, best).Test) {
		t.Errorf("%s gives %v, the best trial has %v", again[1], result(t, out).Test, result(t, best).Test)
	}
}

// -random draws from ranges, and more of them keep those that were drawn.
func TestRandomIsExtended(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sweep")
	args := quick(t, "bprmf", "-grid", "lr=log:1e-3..1e-1;reg=0,1e-4", "-out", path)
	mustRun(t, append(args, "-random", "2")...)
	before, err := filepath.Glob(filepath.Join(path, "00*"))
	if err != nil || len(before) != 2 {
		t.Fatalf("%v (%v)", before, err)
	}
	got := mustRun(t, "-resume", path, "-random", "4")
	if strings.Contains(got.stderr, "run 2 of 4") || !strings.Contains(got.stderr, "run 3 of 4") {
		t.Errorf("the trials that were drawn were not kept:\n%s", got.stderr)
	}
	after, err := filepath.Glob(filepath.Join(path, "00*"))
	if err != nil || len(after) != 4 || after[0] != before[0] || after[1] != before[1] {
		t.Errorf("%v become %v (%v)", before, after, err)
	}
}

// A trial that diverges is recorded with its error, once; the others are trained, and it is never the best.
func TestFailingTrial(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sweep")
	args := quick(t, "bprmf", "-grid", "reg=1e30,0", "-out", path)
	got := mustRun(t, args...)
	for _, want := range []string{"1 of 2 trials", "best on the validation split: trial 2", "001-reg=1e+30-s1 failed: step 0 is not finite"} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("no %q in\n%s", want, got.stdout)
		}
	}
	if again := mustRun(t, args...); again.stdout != got.stdout || strings.Contains(again.stderr, "run 1 of 2") {
		t.Errorf("again:\n%s\n%s", again.stdout, again.stderr)
	}
	if got := runCommand(t, quick(t, "bprmf", "-grid", "reg=1e30", "-out", filepath.Join(t.TempDir(), "s"))...); got.err == nil || !strings.Contains(got.err.Error(), "every run has failed") {
		t.Errorf("a grid that fails ends with %v", got.err)
	}
}

// Ctrl-C saves the run under way, prints what there is and how to go on; gone on with, the table is that of a sweep that was not interrupted.
func TestSweepInterrupted(t *testing.T) {
	whole, parts := filepath.Join(t.TempDir(), "whole"), filepath.Join(t.TempDir(), "parts")
	args := append(quick(t, "lightgcn", "-grid", "lr=.001,.01"), "-epochs", "40", "-patience", "0")
	want := mustRun(t, append(args, "-out", whole)...)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { // in the second run, once its first epoch has ended
		for ctx.Err() == nil {
			if b, _ := os.ReadFile(filepath.Join(parts, "002-lr=0.01-s1", runfolder.MetricsFile)); bytes.Contains(b, []byte("epoch")) {
				cancel()
			}
			time.Sleep(time.Millisecond)
		}
	}()
	var stdout, stderr bytes.Buffer
	err := command(ctx, append(args, "-out", parts), &stdout, &stderr)
	if !errors.Is(err, trainer.ErrInterrupted) || !strings.HasSuffix(err.Error(), "go on with -resume "+parts) {
		t.Fatalf("it ends with %v", err)
	}
	for _, text := range []string{"1 of 2 trials", "interrupted", "best on the validation split so far: trial 1"} {
		if !strings.Contains(stdout.String(), text) {
			t.Errorf("no %q in\n%s", text, &stdout)
		}
	}
	if _, err := os.Stat(filepath.Join(parts, "002-lr=0.01-s1", filepath.FromSlash(runfolder.LastCheckpoint))); err != nil {
		t.Errorf("the run under way was not saved: %v", err)
	}
	if got := mustRun(t, "-resume", parts); files(t, parts) != files(t, whole) || strings.ReplaceAll(got.stdout, parts, whole) != want.stdout {
		t.Errorf("resumed:\n%s\nuninterrupted:\n%s", got.stdout, want.stdout)
	}
}

// Which combinations are drawn is by -random-seed; a value that only some trials of a grid have a use for is no mistake.
func TestSweepDraws(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sweep")
	mustRun(t, quick(t, "bprmf", "-epochs", "1", "-grid", "lr=log:1e-4..1e-2", "-random", "2", "-random-seed", "4", "-out", path)...)
	mustRun(t, "-resume", path)
	mustRun(t, quick(t, "bprmf", "-epochs", "1", "-momentum", ".9", "-grid", "optimiser=sgd;lr=.1,.2", "-out", path+"2")...)
	mustRun(t, quick(t, "bprmf", "-epochs", "1", "-config", filepath.Join(path, "001-lr=0.000122-s1", runfolder.Config), "-out", path+"3")...)
}

// A mistake in a plan is found before anything is read or trained.
func TestSweepMisuse(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"unknown option", []string{"-grid", "tua=.1"}, `no option "tua" (did you mean tau?)`},
		{"out of bounds", []string{"-grid", "tau=.1,0"}, `-grid: tau: "0": must be above 0`},
		{"an option of another model", []string{"-model", "bprmf", "-grid", "tau=.1"}, `no option "tau"`},
		{"options that exclude each other", []string{"-model", "xsimgcl", "-grid", "layers=1,2;contrast-layer=1,2"}, "trial 2, layers=1,contrast-layer=2: -contrast-layer 2 is above -layers 1"},
		{"data", []string{"-grid", "valid-ratio=.1,.2"}, "same data"},
		{"the split", []string{"-grid", "split=random,temporal"}, "same data"},
		{"its shares", []string{"-grid", "split-ratio=[0.8,0.1,0.1],[0.6,0.2,0.2]"}, "same data"},
		{"the k-core", []string{"-grid", "k-core=2,5"}, "same data"},
		{"what is trained on", []string{"-grid", "train-on=train,train+valid"}, "same data"},
		{"no grid, of a variable that is not set", []string{"-grid", ""}, "-grid is given and empty"},
		{"no seeds, of a variable that is not set", []string{"-seeds="}, "-seeds is given and empty"},
		{"metrics", []string{"-grid", "mask=none,train"}, "measured alike"},
		{"threads", []string{"-grid", "threads=1,2"}, "not an option of a trial"},
		{"model", []string{"-grid", "model=sgl,bprmf"}, "one model"},
		{"seed", []string{"-grid", "seed=1,2"}, "-seeds 1,2,3"},
		{"a range", []string{"-grid", "tau=.1...2"}, "-random N"},
		{"nothing to draw from", []string{"-random", "3"}, "-grid"},
		{"too many to draw", []string{"-grid", "layers=1,2", "-random", "3"}, "3 trials of 2 combinations"},
		{"last", []string{"-grid", "tau=.1,.2", "-select", "last"}, "-grid chooses between trials by the validation split"},
		{"test", []string{"-grid", "tau=.1,.2", "-select", "test"}, "-grid chooses between trials by the validation split"},
		{"both", []string{"-seed", "4", "-seeds", "1,2"}, "-seed and -seeds"},
		{"a seed twice", []string{"-seeds", "1,2,1"}, "-seeds has 1 twice"},
		{"a negative seed", []string{"-seeds", "1,-2"}, "-seeds"},
		{"refit of test", []string{"-refit", "-select", "test"}, "-refit"},
		{"refit of last", []string{"-refit", "-select", "last"}, "-refit"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			got := runCommand(t, append([]string{"-model", "sgl", "-data", "absent"}, tt.args...)...)
			var wrong *usageError
			if !errors.As(got.err, &wrong) || !strings.Contains(got.err.Error(), tt.want) {
				t.Errorf("%v gives %v, want a usageError with %q", tt.args, got.err, tt.want)
			}
			if entries, _ := os.ReadDir("."); len(entries) > 0 {
				t.Errorf("%v left %v", tt.args, entries)
			}
		})
	}
}

// A sweep goes on with the options and the data that it was made with, and leaves folders alone that are not its own.
func TestSweepRefuses(t *testing.T) {
	path, run := filepath.Join(t.TempDir(), "sweep"), filepath.Join(t.TempDir(), "run")
	args := quick(t, "bprmf", "-grid", "lr=.001,.01", "-out", path)
	but := func(more ...string) []string { return slices.Concat(args, more) }
	mustRun(t, args...)
	mustRun(t, quick(t, "bprmf", "-out", run)...)
	before := files(t, path)
	for _, tt := range []struct {
		name   string
		args   []string
		misuse bool
		want   string
	}{
		{"another grid", but("-grid", "lr=.001,.02"), true, `was made with "lr=.001,.01"`},
		{"other epochs", but("-epochs", "3"), true, "-epochs 3"},
		{"other epochs, resumed", []string{"-resume", path, "-epochs", "3"}, true, "-epochs 3"},
		{"random instead of a grid", []string{"-resume", path, "-random", "2"}, true, "-random 2"},
		{"another model", []string{"-resume", path, "-model", "sgl"}, true, "is of bprmf"},
		{"other data", []string{"-resume", path, "-data", otherSmall(t)}, false, "other data"},
		{"a run's folder", but("-out", run), false, "not a sweep"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := runCommand(t, tt.args...)
			var wrong *usageError
			if got.err == nil || !strings.Contains(got.err.Error(), tt.want) || errors.As(got.err, &wrong) != tt.misuse {
				t.Errorf("%v gives %v, want %q, misuse: %t", tt.args, got.err, tt.want, tt.misuse)
			}
		})
	}
	if files(t, path) != before {
		t.Error("the refused sweep has changed")
	}
	if got := mustRun(t, "-resume", path, "-seeds", "1,2"); !strings.Contains(got.stdout, "seeds 1, 2") || strings.Contains(got.stderr, "run 1 of 4") {
		t.Errorf("a further seed:\n%s\n%s", got.stdout, got.stderr)
	}
}

// otherSmall is small with one interaction changed.
func otherSmall(t *testing.T) string {
	t.Helper()
	folder := small(t)
	train := read(t, folder, "train.txt")
	if err := os.WriteFile(filepath.Join(folder, "train.txt"), bytes.Replace(train, []byte("0 0 2"), []byte("0 0 28"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	return folder
}

// A damaged checkpoint costs the time of its run and nothing else.
func TestSweepWithADamagedCheckpoint(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sweep")
	args := quick(t, "lightgcn", "-grid", "lr=.001,.01", "-out", path)
	mustRun(t, args...)
	want, run := files(t, path), filepath.Join(path, "002-lr=0.01-s1")
	if err := os.Remove(filepath.Join(run, runfolder.Result)); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{runfolder.LastCheckpoint, runfolder.PreviousCheckpoint, runfolder.BestCheckpoint} {
		if err := os.WriteFile(filepath.Join(run, filepath.FromSlash(file)), []byte("NRFRCKPT"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := mustRun(t, args...); files(t, path) != want || !strings.Contains(got.stderr, "begins anew") {
		t.Errorf("%s\n%s", got.stderr, got.stdout)
	}
}
