package sweep

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nearfar/trainer"
	"nearfar/trainer/runfolder"
)

func TestFolderNames(t *testing.T) {
	for _, tt := range []struct {
		settings []Setting
		want     string
	}{
		{nil, "s2"},
		{[]Setting{{"tau", "0.1"}, {"lambda", "0.05"}}, "007-tau=0.1,lambda=0.05-s2"},
		{[]Setting{{"init-from", "../runs/a b"}}, "007-init-from=.._runs_a_b-s2"},
		{[]Setting{{"x", strings.Repeat("9", 300)}}, "007-x=" + strings.Repeat("9", longestName-2) + "-s2"},
	} {
		if got := (Trial{7, tt.settings}).Folder(2); got != tt.want {
			t.Errorf("%v is in %q, want %q", tt.settings, got, tt.want)
		}
	}
}

// The state of a run is what its folder holds, whenever it was killed.
func TestInspect(t *testing.T) {
	sweep := t.TempDir()
	state := func(want State) Run {
		t.Helper()
		r, err := Inspect(sweep, "001-tau=1-s1", 1)
		if err != nil || r.State != want {
			t.Errorf("the state is %q (%v), want %q", r.State, err, want)
		}
		return r
	}
	state(Absent)
	path := filepath.Join(sweep, "001-tau=1-s1")
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	state(Started) // killed before its configuration was written
	folder, err := runfolder.Create(path, []byte("model: sgl\n"))
	if err != nil {
		t.Fatal(err)
	}
	state(Started)
	if err := runfolder.WriteCheckpoint(folder.File(runfolder.BestCheckpoint), nil, nil); err != nil {
		t.Fatal(err)
	}
	state(Started) // the best is there, the last is not: nothing says where the run stood
	if err := runfolder.WriteCheckpoint(folder.File(runfolder.LastCheckpoint), nil, nil); err != nil {
		t.Fatal(err)
	}
	state(Saved)
	fail := func() {
		t.Helper()
		if err := Fail(sweep, "001-tau=1-s1", errors.New("it\ndiverged")); err != nil {
			t.Fatal(err)
		}
	}
	fail()
	if r := state(Failed); r.Error != "it\ndiverged" {
		t.Errorf("the error is %q", r.Error)
	}
	// Gone on with by hand, it has come to its end.
	if err := folder.WriteResult(trainer.Result{Model: "sgl", Epoch: 4, Valid: map[string]float64{"Recall@20": .25}}); err != nil {
		t.Fatal(err)
	}
	if r := state(Done); r.Result.Epoch != 4 || r.Result.Valid["Recall@20"] != .25 || r.Error != "" {
		t.Errorf("the result is %+v", r)
	}
	if err := os.Remove(filepath.Join(path, failure)); err != nil {
		t.Fatal(err)
	}
	state(Done)
	// Half a result is none.
	if err := os.Truncate(folder.File(runfolder.Result), 30); err != nil {
		t.Fatal(err)
	}
	if r := state(Saved); !errors.Is(r.Damaged, runfolder.ErrCorrupt) || r.Result.Model != "" {
		t.Errorf("half a result: %+v", r)
	}
	fail()
	state(Failed)
}

func TestSweepFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "sweep")
	if Is(path) {
		t.Error("an absent folder is a sweep")
	}
	for _, config := range []string{"model: sgl\n", "model: sgl\nthreads: 2\n"} { // the second goes on
		if err := Create(path, []byte(config), 0xbeef); err != nil {
			t.Fatal(err)
		}
		sum, err := Open(path)
		if err != nil || sum != 0xbeef || !Is(path) {
			t.Errorf("data %x (%v)", sum, err)
		}
		if text, err := os.ReadFile(filepath.Join(path, Config)); err != nil || !strings.HasSuffix(string(text), "\n"+config) {
			t.Errorf("%s (%v)", text, err)
		}
	}
	lock, err := Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(path); !errors.Is(err, runfolder.ErrLocked) {
		t.Errorf("the second lock: %v", err)
	}
	lock.Close()
	killed := filepath.Join(t.TempDir(), "killed") // behind its lock, before sweep.yaml was whole
	if lock, err = Lock(killed); err != nil {
		t.Fatal(err)
	}
	lock.Close()
	if err := os.WriteFile(filepath.Join(killed, "."+Config+"123"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Create(killed, nil, 0); err != nil {
		t.Errorf("a sweep that was killed at its beginning: %v", err)
	}
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "thesis.tex"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Create(foreign, nil, 0); err == nil || !strings.Contains(err.Error(), "is not a sweep") {
		t.Errorf("a folder with other files gives %v", err)
	}
	if _, err := Lock(foreign); err == nil || !strings.Contains(err.Error(), "is not a sweep") {
		t.Errorf("locked, a folder with other files gives %v", err)
	}
	if entries, err := os.ReadDir(foreign); err != nil || len(entries) != 1 {
		t.Errorf("the refused folder has %v (%v)", entries, err)
	}
	for text, reason := range map[string]error{
		"model: sgl\n":                               runfolder.ErrFormat,
		"# nearfar sweep, layout 1\n":                runfolder.ErrFormat,
		"# nearfar sweep, layout 1, data xyz\n":      runfolder.ErrFormat,
		"# nearfar sweep, layout 2, data 0000beef\n": runfolder.ErrVersion,
	} {
		if err := os.WriteFile(filepath.Join(path, Config), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path); !errors.Is(err, reason) {
			t.Errorf("%q gives %v, want %v", text, err, reason)
		}
	}
}
