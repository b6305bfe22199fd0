//go:build gpu && linux && amd64 && cgo

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"nearfar/engine"
	"nearfar/kernels/cuda/driver"
	"nearfar/kernels/cuda/emu/control"
	"nearfar/trainer"
)

// deviceless is a driver that finds no GPU, empty without a compiler for it: the machine with the GPU need not have one.
func deviceless(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "libcuda.so.1")
	source := filepath.Join("..", "..", "kernels", "cuda", "driver", "testdata", "cuda.c")
	cc, err := exec.Command("go", "env", "CC").Output() // a command with its options
	command := append(strings.Fields(string(cc)), "-shared", "-fPIC", "-DCOUNT=0", "-o", path, source)
	if err == nil {
		_, err = exec.LookPath(command[0])
	}
	if err != nil {
		t.Log(err)
		return ""
	}
	if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// The same program on a machine without a driver, with one that has no GPU, and on a GPU: what doctor says, what a run is made on and what it says
// of that, and whether -require-gpu starts.
func TestWhereThereIsAGPUAndNot(t *testing.T) {
	type machine struct {
		name, env string
		reason    string // for which no GPU is used; empty where one is
	}
	missing := filepath.Join(t.TempDir(), "libcuda.so.1")
	machines := []machine{
		{"no driver", driverVariable + "=" + missing, driverVariable + "=" + missing + ": no such file or directory"},
	}
	if empty := deviceless(t); empty != "" {
		machines = append(machines, machine{"no device", driverVariable + "=" + empty, "the driver (" + empty + ") shows no GPU"})
	}
	if reason := driver.Available(); reason == nil {
		machines = append(machines, machine{name: "GPU"})
	} else {
		t.Logf("not on a GPU: %v; with the emulated driver: make test-gpu", reason)
	}
	for _, m := range machines {
		t.Run(m.name, func(t *testing.T) {
			run := func(args ...string) (output string, status int) {
				child, printed := process(args...)
				if m.env != "" {
					child.Env = append(child.Env, m.env)
				}
				child.Run()
				return printed.String(), child.ProcessState.ExitCode()
			}
			wants := func(output string, parts ...string) {
				t.Helper()
				for _, part := range parts {
					if !strings.Contains(output, part) {
						t.Errorf("%q is not in\n%s", part, output)
					}
				}
			}
			device := "cuda/"
			if m.reason != "" {
				device = "cpu/"
			}
			output, status := run("doctor")
			wants(output, "-gpu auto  trains on "+device)
			if m.reason != "" {
				wants(output, "no GPU is used: "+m.reason)
			}
			if status != 0 {
				t.Errorf("doctor ends with status %d", status)
			}

			out := filepath.Join(t.TempDir(), "run")
			output, status = run(quick(t, "sgl", "-gpu", "0", "-out", out)...)
			wants(output, `"device": "`+device, "Recall@20")
			if m.reason != "" {
				wants(output, "  warn  -gpu 0: "+m.reason+": using the CPU")
			} else if strings.Contains(output, "  warn  -gpu") {
				t.Errorf("a GPU, and a warning:\n%s", output)
			}
			if status != 0 {
				t.Errorf("the run ends with status %d", status)
			}

			out = filepath.Join(t.TempDir(), "required")
			output, status = run(quick(t, "sgl", "-require-gpu", "-out", out)...)
			if m.reason == "" {
				if status != 0 {
					t.Errorf("-require-gpu on a GPU ends with status %d", status)
				}
				return
			}
			wants(output, "-require-gpu: "+m.reason)
			if _, err := os.Stat(out); status != 1 || err == nil {
				t.Errorf("-require-gpu ends with status %d, want 1, and the folder of a run: %v", status, err == nil)
			}
		})
	}
}

// What computes nothing on a GPU opens none: a model that is fitted, a drawing, a question that has no answer.
func TestNoGPUForNothing(t *testing.T) {
	emulator, err := control.Open()
	if err != nil {
		t.Skipf("%v: only the emulated driver counts its calls (make test-gpu)", err)
	}
	trained, fitted := filepath.Join(t.TempDir(), "trained"), filepath.Join(t.TempDir(), "fitted")
	mustRun(t, quick(t, "lightgcn", "-require-gpu", "-out", trained)...)
	for _, tt := range []struct {
		args []string
		want string // in what is printed, or in the error
	}{
		{[]string{"-model", "ease", "-data", small(t), "-out", fitted}, "Recall@20"},
		{[]string{"evaluate", fitted}, "Recall@20"},
		{[]string{"recommend", fitted, "-user", "1"}, "user 1"},
		{[]string{"-model", "itemknn", "-data", small(t), "-gpu", "0", "-out", filepath.Join(t.TempDir(), "run")}, "warn  -gpu 0: the model is fitted on the processor"},
		{[]string{"evaluate", fitted, "-gpu", "0"}, "-gpu 0: the model is fitted on the processor"},
		{[]string{"-model", "ease", "-data", small(t), "-require-gpu"}, "-require-gpu: the model is fitted on the processor"},
		{append([]string{"explain", "-dot"}, quick(t, "lightgcn", "-gpu", "0")...), "digraph"},
		{[]string{"explain", "-model", "popularity"}, "no training step"},
		{[]string{"recommend", trained, "-user", "nobody"}, `the run knows no user "nobody"`},
		{[]string{"recommend", trained, "-history", "nothing"}, `the run knows no item "nothing"`},
		{[]string{"recommend", trained, "-user", "1", "-data", "absent"}, "absent"},
		{[]string{"evaluate", trained, "-data", "absent"}, "absent"},
	} {
		before := emulator.Calls()
		got := runCommand(t, tt.args...)
		if all := fmt.Sprint(got.stdout, got.stderr, got.err); !strings.Contains(all, tt.want) {
			t.Errorf("%v: no %q in\n%s", tt.args, tt.want, all)
		}
		if calls := emulator.Calls() - before; calls > 0 {
			t.Errorf("%v calls the driver %d times", tt.args, calls)
		}
	}
	if device := result(t, fitted).Device; !strings.HasPrefix(device, "cpu/") {
		t.Errorf("the fitted model's device is %s", device)
	}
}

// A GPU with too little memory: what trains says which options lower it, what ranks has none of them and says how to do without the GPU.
func TestOutOfMemory(t *testing.T) {
	emulator, err := control.Open()
	if err != nil {
		t.Skipf("%v: only the emulated driver fails when it is asked to (make test-gpu)", err)
	}
	run := filepath.Join(t.TempDir(), "run")
	mustRun(t, quick(t, "lightgcn", "-require-gpu", "-out", run)...)
	const outOfMemory = 2
	// told is what a command says where the first allocation behind the opening of the device finds no memory.
	told := func(args ...string) string {
		for at := 1; ; at++ {
			before := emulator.Calls()
			emulator.Fail(at, outOfMemory)
			err := runCommand(t, args...).err
			emulator.Fail(0, 0)
			if err == nil || emulator.Calls()-before < at {
				t.Fatalf("%v ends with %v when call %d finds no memory", args, err, at)
			}
			if errors.Is(err, engine.ErrOutOfMemory) {
				return err.Error()
			}
		}
	}
	for _, tt := range []struct {
		args         []string
		want, others string
	}{
		{quick(t, "lightgcn", "-require-gpu", "-out", filepath.Join(t.TempDir(), "trained")), trainer.TrainSmaller, "-gpu off"},
		{append([]string{"explain"}, quick(t, "lightgcn", "-require-gpu")...), trainer.TrainSmaller, "-gpu off"},
		{[]string{"evaluate", run, "-require-gpu"}, trainer.RankOnCPU, "-batch"},
		{[]string{"evaluate", run, "-require-gpu", "-checkpoint", "best"}, trainer.RankOnCPU, "-batch"},
		{[]string{"recommend", run, "-require-gpu", "-user", "1"}, trainer.RankOnCPU, "-batch"},
	} {
		text := told(tt.args...)
		if !strings.HasSuffix(text, ": end what else uses this GPU, or "+tt.want) || strings.Contains(text, tt.others) {
			t.Errorf("%v: %s", tt.args, text)
		}
	}
}

// A sweep whose device is lost ends, since no other run would fare better, and says how to go on. The trial has not failed: it is gone on with, and
// the whole sweep ends as one that nothing happened to.
func TestSweepLosesItsDevice(t *testing.T) {
	emulator := control.Need(t)
	whole := filepath.Join(t.TempDir(), "whole")
	args := quick(t, "lightgcn", "-gpu", "0", "-require-gpu", "-grid", "lr=.001,.01")
	before := emulator.Calls()
	mustRun(t, append(args, "-out", whole)...)
	calls := emulator.Calls() - before
	for _, at := range []int{calls * 3 / 4, calls * 7 / 8} { // in the second run: while it captures a step, and behind that
		parts := filepath.Join(t.TempDir(), "parts")
		const launchFailed = 719
		emulator.Fail(at, launchFailed)
		got := runCommand(t, append(args, "-out", parts)...)
		emulator.Fail(0, 0)
		if !errors.Is(got.err, engine.ErrDeviceLost) || !strings.HasSuffix(got.err.Error(), "; go on with -resume "+parts) {
			t.Fatalf("the sweep ends with %v\n%s", got.err, got.stderr)
		}
		t.Logf("call %d of %d: %v", at, calls, got.err)
		if !strings.Contains(got.stdout, "1 of 2 trials") || strings.Contains(got.stdout, "failed") {
			t.Errorf("the sweep that lost its device prints\n%s", got.stdout)
		}
		mustRun(t, "-resume", parts)
		if got, want := files(t, parts), files(t, whole); got != want {
			t.Errorf("the resumed sweep:\n%s\nthe whole one:\n%s", got, want)
		}
	}
}
