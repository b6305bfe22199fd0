package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"nearfar/models"
	"nearfar/trainer"
	"nearfar/trainer/runfolder"
)

// learns tells whether a model is trained in steps.
func learns(model string) bool {
	return !slices.Contains([]string{"popularity", "itemknn", "ease"}, model)
}

// Every model trains, reports and leaves all files of a run.
func TestTrainLeavesARun(t *testing.T) {
	row := regexp.MustCompile(`(?m)^ +(Recall|NDCG)@20 +(\d\.\d{4}) +(\d\.\d{4})$`)
	for _, spec := range models.All() {
		t.Run(spec.Name, func(t *testing.T) {
			args, trains := quick(t, spec.Name, "-out", filepath.Join(t.TempDir(), "run")), learns(spec.Name)
			if !trains {
				args = []string{"-model", spec.Name, "-data", small(t), "-out", filepath.Join(t.TempDir(), "run")}
			}
			if takesFeatures(spec) {
				featuredFolder(t, args[3], 41)
			}
			path := args[len(args)-1]
			got := runCommand(t, args...)
			if got.err != nil {
				t.Fatalf("%v\n%s", got.err, got.stderr)
			}
			printed := map[string]string{}
			for _, m := range row.FindAllStringSubmatch(got.stdout, -1) {
				printed[m[1]] = m[3]
			}
			if len(printed) != 2 || !strings.Contains(got.stdout, "run: "+path) {
				t.Fatalf("no Recall@20 and NDCG@20 of valid and test, or no folder:\n%s", got.stdout)
			}
			folder, err := runfolder.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			files := []string{runfolder.Config, runfolder.MetricsFile, runfolder.LogFile, runfolder.Users, runfolder.Items, runfolder.Result}
			if trains {
				files = append(files, runfolder.LastCheckpoint, runfolder.BestCheckpoint)
			}
			switch spec.Name {
			case "itemknn":
				files = append(files, runfolder.Weights)
			case "ease": // keeps no weights
			default:
				files = append(files, runfolder.Embeddings)
			}
			for _, f := range files {
				if !folder.Has(f) {
					t.Errorf("the run lacks %s", f)
				}
			}
			var res trainer.Result
			if err := folder.ReadResult(&res); err != nil {
				t.Fatal(err)
			}
			if res.Model != spec.Name || res.TestUsers != 30 || trains && res.Epochs != 2 {
				t.Errorf("the result is %+v", res)
			}
			for name, text := range printed {
				if value := res.Test[name+"@20"]; strconv.FormatFloat(value, 'f', 4, 64) != text {
					t.Errorf("%s@20 is %v in result.json and %s on the screen", name, value, text)
				}
			}
			users, err := runfolder.ReadIDs(folder.File(runfolder.Users))
			if err != nil {
				t.Fatal(err)
			}
			if !folder.Has(runfolder.Embeddings) {
				return
			}
			_, tensors, err := runfolder.ReadSafetensors(folder.File(runfolder.Embeddings))
			if err != nil {
				t.Fatal(err)
			}
			if len(tensors) != 2 || tensors[0].Desc.Shape()[0] != len(users) || tensors[1].Desc.Shape()[0] != 40 {
				t.Errorf("embeddings %v for %d users and 40 items", tensors, len(users))
			}
		})
	}
}

// The saved configuration trains the same model again, bit by bit, with another number of threads too.
func TestSavedConfigurationRepeatsTheRun(t *testing.T) {
	first, second := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
	if got := runCommand(t, quick(t, "sgl", "-threads", "1", "-out", first)...); got.err != nil {
		t.Fatal(got.err)
	}
	if got := runCommand(t, "-config", filepath.Join(first, runfolder.Config), "-threads", "3", "-out", second); got.err != nil {
		t.Fatal(got.err)
	}
	if a, b := read(t, first, runfolder.Embeddings), read(t, second, runfolder.Embeddings); !bytes.Equal(a, b) {
		t.Error("the embeddings differ")
	}
	third := filepath.Join(t.TempDir(), "c")
	if got := runCommand(t, "-config", filepath.Join(first, runfolder.Config), "-seed", "2", "-out", third); got.err != nil {
		t.Fatal(got.err)
	}
	if a, c := read(t, first, runfolder.Embeddings), read(t, third, runfolder.Embeddings); bytes.Equal(a, c) {
		t.Error("another seed gives the same embeddings")
	}
}

func read(t *testing.T, run, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(run, filepath.FromSlash(file)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Without -data the embedded set is trained on, and the run's folder is under runs.
func TestTrainNeedsNoFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	for n := range 2 {
		got := runCommand(t, "-model", "bprmf", "-epochs", "1", "-dim", "4")
		if got.err != nil {
			t.Fatalf("run %d: %v\n%s", n+1, got.err, got.stderr)
		}
		if !strings.Contains(got.stdout, "full ranking of 1522 items, train+valid masked (at validation train), mean over 1435 users") {
			t.Errorf("the protocol is not named:\n%s", got.stdout)
		}
	}
	if runs, err := filepath.Glob("runs/bprmf-amazon-electronics-*-s1*"); err != nil || len(runs) != 2 {
		t.Errorf("two runs made the folders %v (%v)", runs, err)
	}
}

func TestRunsOfOneSecondHaveTheirOwnFolders(t *testing.T) {
	parent := filepath.Join(t.TempDir(), "runs")
	for _, want := range []string{"r", "r-2", "r-3"} {
		got, err := reserve(parent, "r")
		if err != nil || got != filepath.Join(parent, want) {
			t.Errorf("reserved %q (%v), want %s", got, err, want)
		}
	}
}

// On a machine without a GPU, whatever this one has: -gpu N is a warning, -require-gpu an error before there is a folder. A run's own -gpu and
// -require-gpu were of the machine that it was trained on: what is asked of it later does not inherit them.
func TestWithoutAGPU(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	trainer := func(status int, args ...string) (output string) {
		t.Helper()
		child, printed := process(args...)
		child.Env = append(child.Env, driverVariable+"="+filepath.Join(t.TempDir(), "libcuda.so.1"))
		child.Run()
		if got := child.ProcessState.ExitCode(); got != status {
			t.Errorf("%v ends with status %d, want %d, and prints\n%s", args, got, status, printed)
		}
		return printed.String()
	}
	path := filepath.Join(t.TempDir(), "run")
	if output := trainer(0, quick(t, "bprmf", "-gpu", "0", "-out", path)...); !regexp.MustCompile(`(?m)warn.*-gpu 0: .*using the CPU`).MatchString(output) {
		t.Errorf("no warning:\n%s", output)
	}
	for _, tt := range []struct {
		args   []string
		status int
	}{
		{[]string{"-require-gpu"}, 1},
		{[]string{"-gpu", "0", "-require-gpu"}, 1},
		{[]string{"-gpu", "first"}, 2},
		{[]string{"-gpu", "off", "-require-gpu"}, 2},
	} {
		refused := filepath.Join(t.TempDir(), "run")
		if output := trainer(tt.status, quick(t, "bprmf", append(tt.args, "-out", refused)...)...); !strings.Contains(output, "gpu") {
			t.Errorf("%v prints %s", tt.args, output)
		}
		if _, err := os.Stat(refused); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%v: a run that cannot start leaves a folder (%v)", tt.args, err)
		}
	}

	config := string(read(t, path, runfolder.Config))
	required := strings.Replace(config, "require-gpu: false", "require-gpu: true", 1)
	if required == config || !strings.Contains(config, "\ngpu: \"0\"\n") {
		t.Fatalf("the run keeps\n%s", config)
	}
	if err := os.WriteFile(filepath.Join(path, runfolder.Config), []byte(required), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{{"evaluate", path}, {"evaluate", path, "-checkpoint", "best"}, {"recommend", path, "-user", "1"}} {
		for _, more := range [][]string{nil, {"-gpu", "off"}} {
			args := append(slices.Clone(command), more...)
			if output := trainer(0, args...); strings.Contains(output, "-gpu 0") || strings.Contains(output, "-require-gpu") {
				t.Errorf("%v prints\n%s", args, output)
			}
		}
		if output := trainer(1, append(slices.Clone(command), "-require-gpu")...); !strings.Contains(output, "-require-gpu: ") {
			t.Errorf("%v -require-gpu prints\n%s", command, output)
		}
		if output := trainer(0, append(slices.Clone(command), "-gpu", "0")...); !strings.Contains(output, "-gpu 0: ") {
			t.Errorf("%v -gpu 0 prints\n%s", command, output)
		}
	}
}

func TestOutIsNotOverwritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run")
	if got := runCommand(t, quick(t, "bprmf", "-out", path)...); got.err != nil {
		t.Fatal(got.err)
	}
	before := read(t, path, runfolder.Result)
	got := runCommand(t, quick(t, "bprmf", "-seed", "2", "-out", path)...)
	if got.err == nil || !strings.Contains(got.err.Error(), "holds a run already") {
		t.Errorf("a folder with a run gives %v", got.err)
	}
	if !bytes.Equal(before, read(t, path, runfolder.Result)) {
		t.Error("the former run has changed")
	}
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "thesis.tex"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := runCommand(t, quick(t, "bprmf", "-out", foreign)...); got.err == nil || !strings.Contains(got.err.Error(), "not a run") {
		t.Errorf("a folder with other files gives %v", got.err)
	}
}

func TestBadData(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "train.txt")
	if err := os.WriteFile(file, []byte("u1 i1 5\nu1 i2 five\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, path, want string }{
		{"missing", filepath.Join(folder, "absent"), "no such file or folder"},
		{"not a number", folder, file + `:2: the weight "five" is not a number`},
		{"no train.txt", t.TempDir(), "train.txt"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			got := runCommand(t, "-model", "bprmf", "-data", tt.path)
			if got.err == nil || !strings.Contains(got.err.Error(), tt.want) {
				t.Errorf("the error %v lacks %q", got.err, tt.want)
			}
			if entries, _ := os.ReadDir("."); len(entries) > 0 {
				t.Errorf("it left %v", entries)
			}
		})
	}
}

// A run that is interrupted between evaluations leaves a checkpoint of where it stood, and no result.
func TestInterruptLeavesACheckpoint(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run")
	args := append(quick(t, "lightgcn", "-out", path), "-epochs", "10000000", "-eval-every", "10000000")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { // the Ctrl-C of somebody who has seen an epoch end
		for ctx.Err() == nil {
			if b, _ := os.ReadFile(filepath.Join(path, runfolder.MetricsFile)); bytes.Contains(b, []byte("epoch")) {
				cancel()
			}
			time.Sleep(time.Millisecond)
		}
	}()
	var stdout, stderr bytes.Buffer
	err := command(ctx, args, &stdout, &stderr)
	if !errors.Is(err, trainer.ErrInterrupted) || !strings.Contains(err.Error(), path) {
		t.Fatalf("an interrupted run ends with %v", err)
	}
	var position struct {
		Step uint64 `json:"step"`
	}
	entries, err := runfolder.ReadCheckpoint(filepath.Join(path, filepath.FromSlash(runfolder.LastCheckpoint)), &position)
	if err != nil {
		t.Fatal(err)
	}
	if position.Step == 0 || len(entries) == 0 {
		t.Errorf("the checkpoint is of step %d with %d entries", position.Step, len(entries))
	}
	if _, err := os.Stat(filepath.Join(path, runfolder.Result)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an interrupted run has a result (%v)", err)
	}
	if stdout.Len() > 0 {
		t.Errorf("it printed a table:\n%s", &stdout)
	}
}

// Cutoffs without the default metric's have Recall at the first of them to select by, on the command line or in a configuration that a run leaves.
func TestCutoffsAlone(t *testing.T) {
	run := filepath.Join(t.TempDir(), "run")
	got := mustRun(t, quick(t, "bprmf", "-k", "7,3", "-out", run)...)
	if !strings.Contains(got.stdout, "selected on the validation split by Recall@7") {
		t.Errorf("what selects is not said:\n%s", got.stdout)
	}
	mustRun(t, "-config", filepath.Join(run, runfolder.Config), "-out", run+"2")
	mustRun(t, "-resume", run, "-epochs", "3")
}

// The table has a column for each split that there is.
func TestTableOfMissingSplits(t *testing.T) {
	data := small(t)
	if err := os.Remove(filepath.Join(data, "test.txt")); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ selection, want, not string }{
		{"valid", "train masked, mean over 30 users", "test"},
		{"last", "no split to evaluate on", "Recall"},
	} {
		t.Run(tt.selection, func(t *testing.T) {
			got := runCommand(t, "-model", "bprmf", "-data", data, "-dim", "8", "-epochs", "1", "-select", tt.selection, "-out", filepath.Join(t.TempDir(), "run"))
			if got.err != nil {
				t.Fatal(got.err)
			}
			report, _, _ := strings.Cut(got.stdout, "run: ") // the folder's name may hold anything
			if !strings.Contains(report, tt.want) || strings.Contains(report, tt.not) {
				t.Errorf("want %q and no %q:\n%s", tt.want, tt.not, report)
			}
		})
	}
}
