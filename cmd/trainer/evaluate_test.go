package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"nearfar/trainer/runfolder"
)

// lines are the rows of a table, by metric, without blanks.
func lines(text string) map[string]string {
	rows := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^ *(\S+@\d+) +(.*?)$`).FindAllStringSubmatch(text, -1) {
		rows[m[1]] = m[2]
	}
	return rows
}

// A run measures again as it reported, on either split, from its export and from its best checkpoint.
func TestEvaluate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run")
	mustRun(t, append(quick(t, "lightgcn"), "-epochs", "4", "-lr", "0.05", "-out", path)...)
	res := result(t, path)
	for _, tt := range []struct {
		args   []string
		values map[string]float64
		want   string
	}{
		{nil, res.Test, "test split"},
		{[]string{"-split", "valid"}, res.Valid, "train masked"},
		{[]string{"-checkpoint", "best", "-threads", "1"}, res.Test, "train+valid masked, mean over 30 users"},
	} {
		got := mustRun(t, append([]string{"evaluate", path}, tt.args...)...)
		rows := lines(got.stdout)
		for name, v := range tt.values {
			if !strings.Contains(rows[name], digits(v)) {
				t.Errorf("%v: %s is %q, want %.4f", tt.args, name, rows[name], v)
			}
		}
		if len(rows) < len(tt.values) || !strings.Contains(got.stdout, tt.want) {
			t.Errorf("%v: no %q, or metrics missing:\n%s", tt.args, tt.want, got.stdout)
		}
	}
	if rows := lines(mustRun(t, "evaluate", path, "-k", "3").stdout); rows["Recall@3"] == "" || rows["Recall@20"] != "" {
		t.Errorf("-k 3 gives %v", rows)
	}
	if got := mustRun(t, "evaluate", path, "-mask", "none"); !strings.Contains(got.stdout, "nothing masked") || lines(got.stdout)["Recall@10"] == digits(res.Test["Recall@10"]) {
		t.Errorf("-mask none:\n%s", got.stdout)
	}
}

// Scores of a run that was made on another device may differ in their last bits, which is said in one line; on the same one there is nothing to say.
func TestFinishedOnAnotherDevice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run")
	mustRun(t, quick(t, "bprmf", "-gpu", "off", "-out", path)...)
	device := result(t, path).Device
	text := read(t, path, runfolder.Result)
	other := bytes.Replace(text, []byte(`"device": "`+device+`"`), []byte(`"device": "cuda/9.0 (another)"`), 1)
	if bytes.Equal(text, other) {
		t.Fatalf("the result names no device:\n%s", text)
	}
	for _, args := range [][]string{{"evaluate", path}, {"evaluate", path, "-checkpoint", "best"}, {"recommend", path, "-user", "1"}} {
		args = append(args, "-gpu", "off")
		for _, tt := range []struct {
			result []byte
			said   string
		}{
			{text, ""},
			{other, "trainer: the run was made on cuda/9.0 (another) and ranks on " + device + ": the last bits of its scores may differ\n"},
		} {
			if err := os.WriteFile(filepath.Join(path, runfolder.Result), tt.result, 0o600); err != nil {
				t.Fatal(err)
			}
			if got := mustRun(t, args...); got.stderr != tt.said {
				t.Errorf("%v says %q, want %q", args, got.stderr, tt.said)
			}
		}
	}
}

// digits is a metric as tables have it.
func digits(v float64) string { return strconv.FormatFloat(v, 'f', 4, 64) }

// Other data is matched by id, and what is unknown is counted and said.
func TestEvaluateOtherData(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run")
	mustRun(t, quick(t, "bprmf", "-out", path)...)
	data := small(t)
	for file, more := range map[string]string{"train.txt": "stranger 0 new 2\n", "test.txt": "stranger 4\n1 newer\n"} {
		text := append(read(t, data, file), more...)
		if err := os.WriteFile(filepath.Join(data, file), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := mustRun(t, "evaluate", path, "-data", data, "-format", "lightgcn")
	if !strings.Contains(got.stderr, "test       ") {
		t.Errorf("it is not said what was read:\n%s", got.stderr)
	}
	for _, want := range []string{"does not know 1 users of 31, who are left out, and 2 items of 42, which come behind all others; 0 of its items are not in the data", "mean over 30 users"} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("no %q in\n%s", want, got.stdout)
		}
	}
	strangers := dataFolder(t, "a 0 2\nb 4 6\n", "a 4\nb 0\n")
	if got := runCommand(t, "evaluate", path, "-data", strangers, "-select", "last"); got.err == nil || !strings.Contains(got.err.Error(), "none of the 2 users with test interactions is known to the run") {
		t.Errorf("of strangers: %v", got.err)
	}
}

// Interactions of a file are tested on the run's own users and items, with what these have masked.
func TestEvaluateTestFile(t *testing.T) {
	run, held := filepath.Join(t.TempDir(), "run"), filepath.Join(t.TempDir(), "held.csv")
	mustRun(t, append(quick(t, "lightgcn"), "-epochs", "10", "-lr", "0.05", "-out", run)...)
	recommended := listed(mustRun(t, "recommend", run, "-user", "3,4", "-k", "2").stdout)
	text := "user,item\n"
	for user, items := range recommended {
		text += user + "," + items[0] + "\n" + user + "," + items[1] + "\n"
	}
	if err := os.WriteFile(held, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got := mustRun(t, "evaluate", run, "-test", held, "-k", "2")
	if lines(got.stdout)["Recall@2"] != "1.0000" || !strings.Contains(got.stdout, "full ranking of 40 items, train+valid masked, mean over 2 users") || !strings.Contains(got.stderr, "held.csv") {
		t.Errorf("what was recommended is not found:\n%s%s", got.stdout, got.stderr)
	}
}

// What no model can find is said before it trains.
func TestMaskedTargetsAreSaid(t *testing.T) {
	data := dataFolder(t, "0 0 1 2\n1 0 1 3\n2 0 3 2\n", "0 1\n1 3\n2 1\n")
	args := []string{"-model", "popularity", "-data", data, "-select", "last", "-out", filepath.Join(t.TempDir(), "run")}
	if got := mustRun(t, args...); !strings.Contains(got.stderr, "2 of 3 test interactions are in what -mask train+valid leaves out of the rankings too: they are misses") {
		t.Errorf("it is not said:\n%s", got.stderr)
	}
	valid := filepath.Join(t.TempDir(), "valid.txt")
	if err := os.WriteFile(valid, []byte("0 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args[len(args)-1] += "1"
	if got := mustRun(t, append(args, "-valid", valid)...); !strings.Contains(got.stderr, "2 of 3 test interactions") {
		t.Errorf("with one of them in validation:\n%s", got.stderr)
	}
	args[len(args)-1] += "2"
	if got := mustRun(t, append(args, "-valid", valid, "-mask", "train")...); !strings.Contains(got.stderr, "1 of 3 test interactions are in what -mask train leaves out") {
		t.Errorf("with one of them in validation and -mask train:\n%s", got.stderr)
	}
	args[len(args)-1] += "3"
	if got := mustRun(t, append(args, "-mask", "none")...); strings.Contains(got.stderr, "leaves out of the rankings") {
		t.Errorf("it is said of -mask none:\n%s", got.stderr)
	}
}

// A refitted run is measured by what it exports; -checkpoint has what was selected.
func TestEvaluateRefitted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run")
	mustRun(t, append(quick(t, "lightgcn"), "-lr", "0.05", "-refit", "-out", path)...)
	res := result(t, path)
	for _, tt := range []struct {
		args   []string
		values map[string]float64
	}{{nil, res.Refit.Test}, {[]string{"-checkpoint", "best"}, res.Test}} {
		rows := lines(mustRun(t, append([]string{"evaluate", path}, tt.args...)...).stdout)
		for name, v := range tt.values {
			if rows[name] != digits(v) {
				t.Errorf("%v: %s is %s, want %.4f", tt.args, name, rows[name], v)
			}
		}
	}
	// The refit has trained on the validation split: the error says what can be measured on it.
	var wrong *usageError
	if got := runCommand(t, "evaluate", path, "-split", "valid"); !errors.As(got.err, &wrong) || !strings.Contains(got.err.Error(), "'trainer evaluate "+path+" -checkpoint best -split valid'") {
		t.Errorf("-split valid: %v", got.err)
	}
	if rows := lines(mustRun(t, "evaluate", path, "-checkpoint", "best", "-split", "valid").stdout); rows["Recall@10"] != digits(res.Valid["Recall@10"]) {
		t.Errorf("-checkpoint best -split valid gives %v, want %v", rows, res.Valid)
	}
	if got := runCommand(t, "evaluate", filepath.Join(path, "refit"), "-split", "valid"); got.err == nil || !strings.Contains(got.err.Error(), "-train-on train+valid") {
		t.Errorf("the refit itself: %v", got.err)
	}
}

func TestFinishedMisuse(t *testing.T) {
	run, unfinished := filepath.Join(t.TempDir(), "run"), filepath.Join(t.TempDir(), "unfinished")
	mustRun(t, quick(t, "bprmf", "-out", run)...)
	if _, err := runfolder.Create(unfinished, []byte("model: bprmf\n")); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		args   []string
		misuse bool
		want   string
	}{
		{"no run", []string{"evaluate"}, true, "trainer evaluate RUN"},
		{"an option first", []string{"recommend", "-user", "1"}, true, "trainer recommend RUN"},
		{"not a run", []string{"evaluate", t.TempDir()}, true, "is not a run"},
		{"unfinished", []string{"evaluate", unfinished}, false, "-resume " + unfinished},
		{"training", []string{"evaluate", run, "-lr", "1"}, true, "'trainer evaluate' has no -lr"},
		{"unknown option", []string{"evaluate", run, "-maks", "none"}, true, "did you mean -mask?"},
		{"not a split", []string{"evaluate", run, "-split", "train"}, true, "test or valid"},
		{"stray argument", []string{"evaluate", run, "-k", "5", "stray"}, true, `unexpected "stray"`},
		{"not a choice", []string{"evaluate", run, "-checkpoint=first"}, true, "export, best or last"},
		{"to whom", []string{"recommend", run}, true, "to whom?"},
		{"to two", []string{"recommend", run, "-user", "1", "-all"}, true, "to whom?"},
		{"unknown user", []string{"recommend", run, "-user", "1,29x"}, false, `no user "29x" (did you mean 29?)`},
		{"unknown item", []string{"recommend", run, "-history", "0,seven"}, false, `no item "seven"`},
		{"k", []string{"recommend", run, "-user", "1", "-k", "0"}, true, "at least 1"},
		{"format", []string{"recommend", run, "-all", "-out", "recs.csv"}, true, ".tsv or .jsonl"},
		{"no folder", []string{"recommend", run, "-all", "-out", filepath.Join(run, "absent", "recs.tsv")}, false, "-out: "},
		{"no file", []string{"recommend", run, "-users", "absent.txt"}, false, "absent.txt"},
		{"measures", []string{"recommend", run, "-user", "1", "-mask", "none"}, true, "-mask"},
		{"no such data", []string{"recommend", run, "-user", "1", "-data", "absent"}, false, "no such file or folder: absent"},
		{"other options", []string{"evaluate", run, "-config", filepath.Join(run, runfolder.Config)}, true, "has the options of the run"},
		{"no options", []string{"recommend", run, "-user", "1", "--config="}, true, "has the options of the run"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := runCommand(t, tt.args...)
			var wrong *usageError
			if got.err == nil || !strings.Contains(got.err.Error(), tt.want) || errors.As(got.err, &wrong) != tt.misuse {
				t.Errorf("%v gives %v (misuse wanted: %t), want %q", tt.args, got.err, tt.misuse, tt.want)
			}
		})
	}
	for _, name := range []string{"evaluate", "recommend"} {
		if got := mustRun(t, name, "-help"); !strings.Contains(got.stdout, "trainer "+name+" RUN") || !strings.Contains(got.stdout, "\n  -") {
			t.Errorf("%s -help prints\n%s", name, got.stdout)
		}
		if got := mustRun(t, "help"); !strings.Contains(got.stdout, "trainer "+name+" RUN") {
			t.Errorf("the usage lacks %s", name)
		}
	}
}
