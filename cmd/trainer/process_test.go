package main

import (
	"bytes"
	"os"
	"os/exec"
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

// process is a trainer to be started, and what it prints.
func process(args ...string) (child *exec.Cmd, output *bytes.Buffer) {
	child, output = exec.Command(os.Args[0], args...), new(bytes.Buffer)
	child.Env = append(os.Environ(), asTrainer+"=1")
	child.Stdout, child.Stderr = output, output
	return child, output
}
