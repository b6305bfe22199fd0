package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"nearfar/models"
)

// outcome is what a command line left behind.
type outcome struct {
	stdout, stderr string
	err            error
}

// runCommand runs a command line and keeps what it printed.
func runCommand(t *testing.T, args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	err := command(t.Context(), args, &stdout, &stderr)
	return outcome{stdout.String(), stderr.String(), err}
}

// small is a data folder of 30 users and 40 items: even users have even items.
func small(t *testing.T) string {
	t.Helper()
	item := func(u, k int) int { return 2*((u+k)%20) + u%2 }
	var train, test strings.Builder
	for u := range 30 {
		fmt.Fprint(&train, u)
		for k := range 12 {
			fmt.Fprintf(&train, " %d", item(u, k))
		}
		fmt.Fprintf(&train, "\n")
		fmt.Fprintf(&test, "%d %d\n", u, item(u, 12))
	}
	folder := t.TempDir()
	for name, text := range map[string]string{"train.txt": train.String(), "test.txt": test.String()} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// quick is a small training of a model, to which options are added.
func quick(t *testing.T, model string, more ...string) []string {
	t.Helper()
	return append([]string{"-model", model, "-data", small(t), "-batch", "64", "-dim", "8", "-epochs", "2", "-eval-every", "1"}, more...)
}

// A mistake on the command line is a usageError that says what to do; it leaves no run.
func TestMisuse(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"unknown model", []string{"-model", "slg"}, "did you mean sgl?"},
		{"unlike any model", []string{"-model", "zzzzzz"}, "'trainer models' lists them"},
		{"unknown option", []string{"-model", "sgl", "-lamda", "1"}, "did you mean -lambda?"},
		{"an option of another model", []string{"-model", "bprmf", "-tau", "1"}, "tau is an option of sgl, simgcl, xsimgcl, and not of bprmf"},
		{"unknown command", []string{"trian"}, "explain, models"},
		{"stray argument", []string{"-model", "sgl", "yelp2018"}, `unexpected "yelp2018"`},
		{"out of bounds", []string{"-model", "sgl", "-tau", "0"}, "-tau"},
		{"not a choice", []string{"-select", "best"}, "valid, test or last"},
		{"unmeasured default metric, named", []string{"-metric", "Recall@20", "-k", "10"}, "add its cutoff to -k"},
		{"unmeasured metric", []string{"-metric", "Recall@7"}, "add its cutoff to -k"},
		{"options that exclude each other", []string{"-model", "xsimgcl", "-contrast-layer", "9"}, "-contrast-layer 9 is above -layers 3"},
		{"features for a model that takes none", []string{"-model", "bprmf", "-modalities", "image,text"}, "-modalities image,text: bprmf takes no features of items"},
		{"a modality twice", []string{"-modalities", "image,image"}, "-modalities has image twice"},
		{"models takes no name", []string{"models", "sgl"}, "'trainer -model sgl -help'"},
		{"no value", []string{"-model"}, "-model"},
		{"no such configuration", []string{"-config", "absent.yaml"}, "absent.yaml"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			got := runCommand(t, tt.args...)
			var wrong *usageError
			if !errors.As(got.err, &wrong) {
				t.Fatalf("%v gives %v, which is no usageError", tt.args, got.err)
			}
			if !strings.Contains(got.err.Error(), tt.want) {
				t.Errorf("%v gives %q, which lacks %q", tt.args, got.err, tt.want)
			}
			if entries, _ := os.ReadDir("."); len(entries) > 0 {
				t.Errorf("%v left %v", tt.args, entries)
			}
		})
	}
}

func TestConfigurationErrorsHaveTheirPlace(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("sgl.yaml", []byte("model: sgl\ntau: 0.3\nlamda: 0.2\nepoch: 3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := runCommand(t, "-config", "sgl.yaml")
	var wrong *usageError
	if !errors.As(got.err, &wrong) {
		t.Fatalf("an unknown key gives %v, which is no usageError", got.err)
	}
	for _, want := range []string{`sgl.yaml:3: unknown key "lamda" (did you mean lambda?)`, `sgl.yaml:4: unknown key "epoch" (did you mean epochs?)`} {
		if !strings.Contains(got.err.Error(), want) {
			t.Errorf("the error lacks %q: %v", want, got.err)
		}
	}
}

func TestConfigurationChoosesModelAndData(t *testing.T) {
	data := small(t)
	t.Chdir(t.TempDir())
	text := fmt.Sprintf("model: bprmf\ndata: %q\nepochs: 2\neval-every: 1\ndim: 8\nlr: 0.5\n", data)
	if err := os.WriteFile("mf.yaml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := parse([]string{"-config", "mf.yaml", "-epochs", "7"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.spec.Name != "bprmf" || c.Data != data || c.LR != .5 {
		t.Errorf("the file's model %q, data %q, lr %v were read", c.spec.Name, c.Data, c.LR)
	}
	if c.Epochs != 7 {
		t.Errorf("epochs are %d: the command line's 7 wins over the file's 2", c.Epochs)
	}
	if batch := c.set.Lookup("batch").Value(); batch != "2048" {
		t.Errorf("batch is %s: the embedded set's default must not reach other data", batch)
	}
}

func TestHelpListsEveryOption(t *testing.T) {
	for _, spec := range models.All() {
		t.Run(spec.Name, func(t *testing.T) {
			c, err := parse([]string{"-model", spec.Name}, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{{"-model", spec.Name, "-help"}, {"explain", "-model", spec.Name, "-h"}} {
				got := runCommand(t, args...)
				if got.err != nil {
					t.Fatalf("%v gives %v", args, got.err)
				}
				for _, o := range c.set.Options() {
					if line := regexp.MustCompile(`(?m)^  -` + o.Name + `\s.*` + regexp.QuoteMeta(o.Help)); !line.MatchString(got.stdout) {
						t.Errorf("%v lacks -%s with its meaning", args, o.Name)
					}
				}
			}
		})
	}
}

func TestModelsListsAll(t *testing.T) {
	got := runCommand(t, "models")
	if got.err != nil {
		t.Fatal(got.err)
	}
	lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
	if len(lines) != len(models.All()) {
		t.Fatalf("%d lines for %d models:\n%s", len(lines), len(models.All()), got.stdout)
	}
	for i, s := range models.All() {
		if !strings.HasPrefix(lines[i], s.Name+" ") || !strings.HasSuffix(lines[i], s.Paper) {
			t.Errorf("line %d is %q, want %s .. %s", i+1, lines[i], s.Name, s.Paper)
		}
	}
}

func TestUsageNamesEveryCommand(t *testing.T) {
	got := runCommand(t, "help")
	if got.err != nil {
		t.Fatal(got.err)
	}
	for _, want := range []string{"trainer models", "trainer explain", "-help"} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("the usage lacks %q:\n%s", want, got.stdout)
		}
	}
}

// With -dot the loss is drawn, over the graph's own inputs.
func TestExplainDraws(t *testing.T) {
	t.Chdir(t.TempDir())
	got := runCommand(t, append([]string{"explain", "-dot"}, quick(t, "sgl")...)...)
	if got.err != nil {
		t.Fatal(got.err)
	}
	for _, want := range []string{"digraph", "SpMM", "LogSumExp", "view1/col", "embedding"} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("the drawing has no %s", want)
		}
	}
}

// With -profile each instruction has its time, and each kernel its sum.
func TestExplainTimes(t *testing.T) {
	t.Chdir(t.TempDir())
	got := runCommand(t, append([]string{"explain", "-profile"}, quick(t, "simgcl")...)...)
	if got.err != nil {
		t.Fatal(got.err)
	}
	for _, want := range []string{`(?m)^\d+ +\d+\.\d{3} +SpMM`, `(?m)^SpMM +\d+ +\d+\.\d{3} +[\d.]+%`, `(?m)^all +\d+ +\d+\.\d{3} +100.0%`} {
		if !regexp.MustCompile(want).MatchString(got.stdout) {
			t.Errorf("no %s in\n%s", want, got.stdout)
		}
	}
}

func TestExplain(t *testing.T) {
	instruction := regexp.MustCompile(`(?m)^\d+ +(\w+)`)
	for _, tt := range []struct {
		model string
		want  []string
	}{
		{"bprmf", []string{"Gather", "ScatterAdd", "Adam"}},
		{"lightgcn", []string{"SpMM", "Adam"}},
		{"sgl", []string{"SpMM", "LogSumExp", "Adam"}},
	} {
		t.Run(tt.model, func(t *testing.T) {
			t.Chdir(t.TempDir())
			got := runCommand(t, append([]string{"explain"}, quick(t, tt.model)...)...)
			if got.err != nil {
				t.Fatal(got.err)
			}
			found := map[string]int{}
			for _, m := range instruction.FindAllStringSubmatch(got.stdout, -1) {
				found[m[1]]++
			}
			for _, kernel := range tt.want {
				if !strings.Contains(fmt.Sprint(found), kernel) {
					t.Errorf("no %s among the instructions %v", kernel, found)
				}
			}
			if !strings.Contains(got.stdout, "30 users, 40 items") {
				t.Errorf("the data is not named:\n%s", got.stdout)
			}
			if entries, _ := os.ReadDir("."); len(entries) > 0 {
				t.Errorf("explain left %v", entries)
			}
		})
	}
	if got := runCommand(t, "explain", "-model", "popularity"); got.err != nil || !strings.Contains(got.stdout, "no training step") {
		t.Errorf("explain -model popularity: %v, %q", got.err, got.stdout)
	}
}
