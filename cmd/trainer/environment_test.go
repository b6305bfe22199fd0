package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nearfar/trainer/runfolder"
)

// Default, file, environment, command line, the last one wins; the log says where each value is from, the saved configuration does not.
func TestPrecedence(t *testing.T) {
	path, file := filepath.Join(t.TempDir(), "run"), filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(file, []byte("model: bprmf\nlr: 0.5\nreg: 0.25\ndim: 4\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TRAINER_CONFIG", file)
	t.Setenv("TRAINER_DATA", small(t))
	t.Setenv("TRAINER_REG", "0.125")
	t.Setenv("TRAINER_EVAL_EVERY", "1")
	t.Setenv("TRAINER_EPOCHS", "9")
	t.Setenv("TRAINER_LAMDA", "1")
	t.Setenv("NEARFAR_LR", "7")
	got := mustRun(t, "-epochs", "2", "-batch", "64", "-out", path)
	for _, want := range []string{
		"from the command line: epochs=2 out=" + path + " batch=64",
		"from a file: model=bprmf lr=0.5 dim=4",
		"eval-every=1", "from the environment:", "by default:",
		"TRAINER_LAMDA is no option",
	} {
		if !strings.Contains(strings.ReplaceAll(got.stderr, "\n          ", ""), want) {
			t.Errorf("no %q in\n%s", want, got.stderr)
		}
	}
	config, log := string(read(t, path, runfolder.Config)), string(read(t, path, runfolder.LogFile))
	for _, want := range []string{"epochs: 2\n", "lr: 0.5\n", "reg: 0.125\n", "eval-every: 1\n", "momentum: 0\n"} {
		if !strings.Contains(config, want) {
			t.Errorf("the configuration lacks %q:\n%s", want, config)
		}
	}
	if strings.Contains(config, "TRAINER_") || strings.Contains(config, file) {
		t.Errorf("the configuration names origins:\n%s", config)
	}
	for _, want := range []string{`"epochs":"2 (command line)"`, `"reg":"0.125 (TRAINER_REG)"`, `"lr":"0.5 (` + file + `:2)"`, `"momentum":"0 (default)"`} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %s", want)
		}
	}
	// A resumed run has its own options.
	t.Setenv("TRAINER_REG", "0.0625")
	if got := mustRun(t, "-resume", path); strings.Contains(got.stderr, "from the environment") {
		t.Errorf("a resumed run reads the environment:\n%s", got.stderr)
	}
}

// The environment chooses model and data as a file does, and its mistakes are mistakes.
func TestEnvironment(t *testing.T) {
	for _, tt := range []struct {
		name, variable, value string
		args                  []string
		want                  string // of the error
	}{
		{"unknown model", "TRAINER_MODEL", "slg", nil, "did you mean sgl?"},
		{"the command line's model", "TRAINER_MODEL", "slg", []string{"-model", "bprmf", "-dim", "x"}, "-dim"},
		{"not a number", "TRAINER_LR", "fast", nil, "TRAINER_LR: want a number"},
		{"out of bounds", "TRAINER_LR", "-1", nil, "TRAINER_LR: lr is \"-1\""},
		{"resume", "TRAINER_RESUME", "run", nil, "belongs on the command line"},
		{"no such file", "TRAINER_CONFIG", "absent.yaml", nil, "absent.yaml"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			t.Setenv(tt.variable, tt.value)
			got := runCommand(t, tt.args...)
			var wrong *usageError
			if !errors.As(got.err, &wrong) || !strings.Contains(got.err.Error(), tt.want) {
				t.Errorf("%s=%s gives %v, want a usageError with %q", tt.variable, tt.value, got.err, tt.want)
			}
		})
	}
}
