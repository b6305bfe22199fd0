package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nearfar/trainer/runfolder"
)

// A run goes on from another working directory than that in which its data had a relative path, ends with the bits of one that was not
// stopped, and keeps the options it went on with.
func TestResumeElsewhere(t *testing.T) {
	data, whole, parts := small(t), filepath.Join(t.TempDir(), "whole"), filepath.Join(t.TempDir(), "parts")
	args := []string{"-model", "lightgcn", "-data", filepath.Base(data), "-batch", "64", "-dim", "8", "-eval-every", "1"}
	t.Chdir(filepath.Dir(data))
	for out, epochs := range map[string]string{whole: "4", parts: "2"} {
		if got := runCommand(t, append(args, "-epochs", epochs, "-out", out)...); got.err != nil {
			t.Fatal(got.err)
		}
	}
	t.Chdir(t.TempDir())
	for _, more := range [][]string{{"-epochs", "4"}, nil} { // the second has nothing left to do
		if got := runCommand(t, append([]string{"-resume", parts}, more...)...); got.err != nil {
			t.Fatal(got.err)
		}
		var tables [2][]byte
		for i, folder := range []string{whole, parts} {
			b, err := os.ReadFile(filepath.Join(folder, runfolder.Embeddings))
			if err != nil {
				t.Fatal(err)
			}
			tables[i] = b
		}
		if !bytes.Equal(tables[0], tables[1]) {
			t.Errorf("with %v the embeddings are not those of a run of 4 epochs", more)
		}
		config, err := os.ReadFile(filepath.Join(parts, runfolder.Config))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(config), "epochs: 4\n") || strings.Contains(string(config), "resume: "+parts) {
			t.Errorf("with %v the run keeps\n%s", more, config)
		}
	}
}

// A run that has ended is reported on again, with its rate and whatever else its configuration has; another rate needs epochs to train with.
func TestResumeEnded(t *testing.T) {
	run := filepath.Join(t.TempDir(), "run")
	mustRun(t, quick(t, "bprmf", "-out", run)...)
	config := filepath.Join(run, runfolder.Config)
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	// A configuration may have values that are refused on the command line, since they have no effect.
	text = bytes.Replace(text, []byte("momentum: 0\n"), []byte("momentum: 0.9\n"), 1)
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"-resume", run}, {"-resume", run, "-lr", "0.001"}, {"-resume", run, "-refit"}, {"evaluate", run}, {"recommend", run, "-user", "3"}, {"-resume", run, "-epochs", "3", "-lr", "0.5"}, {"-resume", run}} {
		mustRun(t, args...)
	}
	if got := runCommand(t, "-resume", run, "-lr", "0.25"); got.err == nil || !strings.Contains(got.err.Error(), "-lr 0.25: "+run+" has ended") {
		t.Errorf("a rate for no epoch: %v", got.err)
	}
}

// What a resumed run cannot be is refused before anything is trained, and leaves the run as it is.
func TestResumeRefuses(t *testing.T) {
	run, other := filepath.Join(t.TempDir(), "run"), small(t)
	if got := runCommand(t, quick(t, "bprmf", "-out", run)...); got.err != nil {
		t.Fatal(got.err)
	}
	train, err := os.ReadFile(filepath.Join(other, "train.txt"))
	if err != nil {
		t.Fatal(err)
	}
	// The same users and items, one interaction of user 0 another one.
	if err := os.WriteFile(filepath.Join(other, "train.txt"), bytes.Replace(train, []byte("0 0 2"), []byte("0 0 28"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, runfolder.Config), []byte("a: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	inFile := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(inFile, []byte("resume: "+run+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(run, runfolder.Config))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		args   []string
		misuse bool
		want   string
	}{
		{"no such folder", []string{"-resume", "absent"}, false, "absent is not a run"},
		{"a folder that is no run", []string{"-resume", foreign}, false, "nearfar run"},
		{"another model", []string{"-resume", run, "-model", "sgl"}, true, "is of bprmf"},
		{"another batch", []string{"-resume", run, "-batch", "32"}, true, "-batch 32"},
		{"another seed", []string{"-resume", run, "-seed", "7"}, true, "-seed 7"},
		{"another metric", []string{"-resume", run, "-metric", "NDCG@10"}, true, "-metric NDCG@10"},
		{"another folder", []string{"-resume", run, "-out", "elsewhere"}, true, "-out elsewhere"},
		{"from a configuration", []string{"-config", inFile}, true, "belongs on the command line"},
		{"other data", []string{"-resume", run, "-data", other, "-epochs", "3"}, false, "other data"},
		{"fewer epochs than it has trained", []string{"-resume", run, "-epochs", "1"}, false, "-epochs 1: " + run + " is at epoch 2 already"},
		{"no epochs", []string{"-resume", run, "-epochs", "0"}, false, "is at epoch 2 already"},
		{"data that is not there", []string{"-resume", run, "-data", "absent"}, false, "absent (wanted"},
		{"a rate for no epoch", []string{"-resume", run, "-lr", "0.5"}, false, "-lr 0.5: " + run + " has ended"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := runCommand(t, tt.args...)
			var wrong *usageError
			if got.err == nil || !strings.Contains(got.err.Error(), tt.want) || errors.As(got.err, &wrong) != tt.misuse {
				t.Errorf("%v gives %v (misuse wanted: %t), want %q in it", tt.args, got.err, tt.misuse, tt.want)
			}
		})
	}
	after, err := os.ReadFile(filepath.Join(run, runfolder.Config))
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the refused run's configuration has changed (%v)", err)
	}
}
