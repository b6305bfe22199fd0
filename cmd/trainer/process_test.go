package main

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// asTrainer makes this test's binary the trainer, for tests that need a process to kill.
const asTrainer = "NEARFAR_TEST_AS_TRAINER"

func TestMain(m *testing.M) {
	if os.Getenv(asTrainer) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// driverVariable names NVIDIA's driver; one that is not there makes a machine without a GPU. A process reads it once.
const driverVariable = "NEARFAR_CUDA_DRIVER"

// process is a trainer to be started, and what it prints.
func process(args ...string) (child *exec.Cmd, output *bytes.Buffer) {
	child, output = exec.Command(os.Args[0], args...), new(bytes.Buffer)
	child.Env = append(os.Environ(), asTrainer+"=1")
	child.Stdout, child.Stderr = output, output
	return child, output
}

// Scripts tell by the exit status what has gone wrong.
func TestExitStatus(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	bad := dataFolder(t, "0 1\n0 x y z\n0\t\x00\n", "")
	for _, tt := range []struct {
		args   []string
		status int
	}{
		{[]string{"models"}, 0},
		{[]string{"-model", "sgl", "-help"}, 0},
		{[]string{"-data", bad}, 1},
		{[]string{"-data", "absent"}, 1},
		{[]string{"-lamda", "1"}, 2},
		{[]string{"trian"}, 2},
		{[]string{"evaluate", "absent"}, 2},
	} {
		child, output := process(tt.args...)
		child.Dir = t.TempDir()
		child.Run()
		if got := child.ProcessState.ExitCode(); got != tt.status || got != 0 && strings.Count(output.String(), "trainer: ") != 1 {
			t.Errorf("%v ends with status %d, want %d, and prints\n%s", tt.args, got, tt.status, output)
		}
	}
}
