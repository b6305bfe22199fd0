package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nearfar/models"
	"nearfar/trainer"
	"nearfar/trainer/runfolder"
)

// dataFolder is a folder of train.txt and, unless it is empty, test.txt.
func dataFolder(t *testing.T, train, test string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"train.txt": train, "test.txt": test} {
		if text == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Data of an odd shape trains every model, and the numbers are numbers.
func TestOddData(t *testing.T) {
	everything := "0 0 1 2 3\n1 0 1 2\n2 0 3\n"
	for _, tt := range []struct {
		name, train, test string
		args              []string
		users             int // that are tested
		note              string
	}{
		{"a test user without train rows", everything, "0 4\n9 1\n", nil, 2, "1 users without a training interaction, kept"},
		{"a test user without train rows, dropped", everything, "2 1\n9 1\n", []string{"-unseen", "drop"}, 1, "1 users without a training interaction, dropped"},
		{"one user", "0 0 1 2\n", "0 3\n", nil, 1, "1 users x 4 items"},
		{"one item", "0 0\n1 0\n2 0\n", "", []string{"-select", "last"}, 0, "3 users x 1 items"},
		{"one item, which is tested", "0 0\n1 0\n2 0\n", "3 0\n", nil, 1, "4 users x 1 items"},
		{"one interaction", "0 0\n", "", []string{"-select", "last"}, 0, "1 users x 1 items"},
		{"a user with all items", everything, "1 3\n2 1\n", nil, 2, "train 9, validation 0, test 2"},
		{"every user with all items", "0 0 1 2\n1 0 1 2\n", "", []string{"-select", "last"}, 0, "2 users x 3 items"},
		{"duplicate lines", "0 0\n0 0\n0 1\n1 0\n1 0\n1 2\n", "0 2\n0 2\n", nil, 1, "2 repeated interactions in the training file, merged"},
		{"a batch larger than the data", everything, "2 1\n", []string{"-batch", "4096"}, 1, "train 9"},
		{"a core that leaves little", everything, "2 1\n", []string{"-k-core", "2,3"}, 1, "the 2,3-core"},
		{"leave-one-out", everything, "2 1\n", []string{"-split", "leave-one-out", "-select", "valid"}, 3, "leave-one-out: train 4"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, spec := range models.All() {
				run := filepath.Join(t.TempDir(), "run")
				data := dataFolder(t, tt.train, tt.test)
				if takesFeatures(spec) {
					data = featuredFolder(t, data, 5)
				}
				args := []string{"-model", spec.Name, "-data", data, "-select", "test", "-out", run}
				if learns(spec.Name) {
					args = append(args, "-dim", "4", "-epochs", "2", "-eval-every", "1")
				} else if tt.args != nil && tt.args[0] == "-batch" {
					continue
				}
				got := runCommand(t, append(args, tt.args...)...)
				if got.err != nil {
					t.Errorf("%s: %v", spec.Name, got.err)
					continue
				}
				if !strings.Contains(got.stderr, tt.note) {
					t.Errorf("%s: the report lacks %q:\n%s", spec.Name, tt.note, got.stderr)
				}
				folder, err := runfolder.Open(run)
				if err != nil {
					t.Fatal(err)
				}
				var res trainer.Result
				if err := folder.ReadResult(&res); err != nil {
					t.Fatal(err)
				}
				if res.TestUsers != tt.users {
					t.Errorf("%s: %d users are tested, want %d", spec.Name, res.TestUsers, tt.users)
				}
				for name, v := range res.Test {
					if math.IsNaN(v) || v < 0 {
						t.Errorf("%s: %s is %g", spec.Name, name, v)
					}
				}
				if !folder.Has(runfolder.Embeddings) && !learns(spec.Name) {
					continue
				}
				_, tensors, err := runfolder.ReadSafetensors(folder.File(runfolder.Embeddings))
				if err != nil || len(tensors) != 2 {
					t.Errorf("%s: %d tables are exported (%v)", spec.Name, len(tensors), err)
				}
			}
		})
	}
}

// What cannot be trained on ends with one line that says what to do, a failure or a misuse, and leaves no run.
func TestBadInput(t *testing.T) {
	data := dataFolder(t, "0 0 1 2\n1 0 1\n2 0 3\n", "2 1\n")
	whole := filepath.Join(data, "train.txt")
	newer := t.TempDir()
	if err := os.WriteFile(filepath.Join(newer, runfolder.Config), []byte("# nearfar run, layout 999\nmodel: sgl\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args   string
		misuse bool
		want   string
	}{
		{"-model lightgcn -layers 0", true, "-layers is \"0\": must be at least 1"},
		{"-model lightgcn -layers -1", true, "-layers"},
		{"-model sgl -tau 0", true, "-tau is \"0\": must be above 0"},
		{"-model sgl -tau -0.2", true, "-tau"},
		{"-model sgl -tau NaN", true, "-tau is \"NaN\": must be a finite number, above 0"},
		{"-model sgl -tau +Inf", true, "-tau"},
		{"-model sgl -rho 1", true, "-rho is \"1\": must be at least 0 and below 1"},
		{"-model sgl -rho NaN", true, "-rho"},
		{"-lr 0", true, "-lr"},
		{"-batch 0", true, "-batch"},
		{"-batch 99999999999999999999", true, "-batch"},
		{"-k 0", true, "-k"},
		{"-lambada 1", true, "unknown option -lambada"},
		{"-data=", true, "-data is given and empty: is a variable of the shell not set? Without one, leave -data out"},
		{"-valid= -epochs 3", true, "-valid is given and empty"},
		{"-resume= -epochs 3", true, "-resume is given and empty"},
		{"-init-from=", true, "-init-from is given and empty"},
		{"-momentum .9", true, "-momentum is \"0.9\": it has an effect only with -optimiser sgd"},
		{"-grid momentum=0,.9", true, "-momentum is \"0.9\""},
		{"-random-seed 4", true, "-random-seed is of -random"},
		{"-select last -valid-ratio .3", true, "only with -select valid or -train-on train+valid"},
		{"-model itemknn -similarity jaccard -alpha .4", true, "-alpha"},
		{"-model popularity -epochs 3", true, "-epochs 3: popularity is not trained in steps"},
		{"-split-ratio 0.8,0.1", true, "-split-ratio"},
		{"-split-ratio 0.8,0.2,0.2", true, "adds up to 1.2"},
		{"-split-ratio 1,0,0", true, "-split-ratio 1,0,0 has none"},
		{"-split newest", true, "leave-one-out or temporal"},
		{"-split temporal -valid FOLDER/test.txt", true, "leave one of them out"},
		{"-k-core -1", true, "-k-core"},
		{"-k-core 1,2,3", true, "-k-core has 3 numbers"},
		{"-k-core 9000000000000000000", false, "the largest core of this data is 2"},
		{"-split temporal", false, "no times"},
		{"-data FILE", false, "no validation split"}, // a tenth of seven interactions is none
		{"-data FOLDER/absent", false, "no such file or folder"},
		{"-model sgl -attributes", false, "attribute"},
		{"-init-from FOLDER/absent", false, "-init-from"},
		{"-resume FOLDER", false, "is not a run"},
		{"-resume " + newer, false, "layout 999; this program reads"},
		{"-out FILE/run", false, "train.txt"}, // below a file nothing can be written
	} {
		t.Run(tt.args, func(t *testing.T) {
			t.Chdir(t.TempDir())
			args := strings.Fields(strings.NewReplacer("FOLDER", data, "FILE", whole).Replace(tt.args))
			if !strings.Contains(tt.args, "-data") && !strings.Contains(tt.args, "-resume") {
				args = append(args, "-data", data)
			}
			got := runCommand(t, args...)
			var wrong *usageError
			if got.err == nil || !strings.Contains(got.err.Error(), tt.want) || errors.As(got.err, &wrong) != tt.misuse {
				t.Fatalf("%v gives %v (misuse wanted: %t), want %q in it", args, got.err, tt.misuse, tt.want)
			}
			if strings.Contains(got.err.Error(), "\n") {
				t.Errorf("%v gives more than one line: %v", args, got.err)
			}
			if entries, _ := os.ReadDir("."); len(entries) > 0 {
				t.Errorf("%v left %v", args, entries)
			}
		})
	}
}

// A folder that must not be written to is an error before training, for whom permissions bind.
func TestUnwritableOutput(t *testing.T) {
	parent := t.TempDir()
	if err := os.Chmod(parent, 0o500); err != nil {
		t.Fatal(err)
	}
	if probe, err := os.Create(filepath.Join(parent, "probe")); err == nil {
		probe.Close()
		t.Skip("this user writes where nobody may")
	}
	got := runCommand(t, quick(t, "bprmf", "-out", filepath.Join(parent, "run"))...)
	if got.err == nil || !strings.Contains(got.err.Error(), parent) {
		t.Errorf("an unwritable folder gives %v", got.err)
	}
	t.Chdir(parent)
	if got := runCommand(t, quick(t, "bprmf")...); got.err == nil || !strings.Contains(got.err.Error(), "-out names another place") {
		t.Errorf("an unwritable working directory gives %v", got.err)
	}
}

// A split of the user's choice trains, and its parts are those of the report's table.
func TestSplitOnTheCommandLine(t *testing.T) {
	run := filepath.Join(t.TempDir(), "run")
	got := runCommand(t, quick(t, "bprmf", "-split", "random", "-split-ratio", "0.6,0.2,0.2", "-split-by", "user", "-k-core", "5", "-out", run)...)
	if got.err != nil {
		t.Fatal(got.err)
	}
	for _, want := range []string{"split      random of each user, 0.6,0.2,0.2: train ", "; 30 users are tested", "the 5-core of users and items"} {
		if !strings.Contains(got.stderr, want) {
			t.Errorf("the report lacks %q:\n%s", want, got.stderr)
		}
	}
	config := string(read(t, run, runfolder.Config))
	for _, want := range []string{"split: random", "split-ratio: 0.6,0.2,0.2", "split-by: user", "k-core: [5]"} {
		if !strings.Contains(config, fmt.Sprint(want, "\n")) {
			t.Errorf("the configuration lacks %q:\n%s", want, config)
		}
	}
}
