//go:build unix

package main

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"nearfar/trainer/runfolder"
)

// Ctrl-C and the end that a system or a scheduler gives leave a checkpoint and say how to go on.
func TestSignalsSaveTheRun(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "run")
			child, output := process(quick(t, "bprmf", "-epochs", "100000000", "-patience", "0", "-threads", "1", "-out", path)...)
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			awaitCheckpoint(t, child, path)
			if err := child.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			if child.Wait(); child.ProcessState.ExitCode() != 130 || !strings.Contains(output.String(), "trainer: interrupted at step") ||
				!strings.HasSuffix(output.String(), "go on with -resume "+path+"\n") {
				t.Errorf("exit status %d:\n%s", child.ProcessState.ExitCode(), output)
			}
			checkSaved(t, path)
		})
	}
}

// awaitCheckpoint waits for the first checkpoint of a run in path: then it trains.
func awaitCheckpoint(t *testing.T, child *exec.Cmd, path string) {
	t.Helper()
	last := filepath.Join(path, filepath.FromSlash(runfolder.LastCheckpoint))
	for begin := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(last); err == nil {
			return
		}
		if time.Since(begin) > time.Minute {
			child.Process.Kill()
			child.Wait()
			t.Fatalf("no checkpoint in a minute:\n%s", child.Stderr)
		}
	}
}

// In `trainer 2>&1 | tee log` Ctrl-C ends tee too: the run saves itself all the same.
func TestUnreadOutputDoesNotEndTheRun(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	path := filepath.Join(t.TempDir(), "run")
	child, _ := process(quick(t, "bprmf", "-epochs", "100000000", "-patience", "0", "-threads", "1", "-out", path)...)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	child.Stdout, child.Stderr = write, write
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	go io.Copy(io.Discard, read)
	awaitCheckpoint(t, child, path)
	read.Close()
	time.Sleep(200 * time.Millisecond) // some epochs' lines
	if err := child.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if child.Wait(); child.ProcessState.ExitCode() != interrupted {
		t.Errorf("it ends with %v", child.ProcessState)
	}
	checkSaved(t, path)
}

// checkSaved finds a checkpoint of some step in a run, and no result.
func checkSaved(t *testing.T, path string) {
	t.Helper()
	folder, err := runfolder.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	var at struct{ Step uint64 }
	if _, err := folder.ReadCheckpoint(runfolder.LastCheckpoint, &at); err != nil || at.Step == 0 {
		t.Errorf("the checkpoint is of step %d (%v)", at.Step, err)
	}
	if folder.Has(runfolder.Result) {
		t.Error("there is a result")
	}
}

// listing is a process that writes more lists than a pipe holds, and what it says beside them: on the embedded data 6 blocks of users, 250 kB each.
func listing(t *testing.T) (child *exec.Cmd, out io.ReadCloser, said *bytes.Buffer) {
	t.Helper()
	run := filepath.Join(t.TempDir(), "run")
	mustRun(t, "-model", "popularity", "-out", run)
	child, _ = process("recommend", run, "-all", "-k", "50")
	said = new(bytes.Buffer)
	child.Stderr, child.Stdout = said, nil
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	return child, out, said
}

// `trainer recommend RUN -all | head` ends without a word.
func TestUnreadListsEndRecommend(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	child, out, said := listing(t)
	if _, err := out.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	out.Close()
	if child.Wait(); child.ProcessState.ExitCode() != unread || said.Len() > 0 {
		t.Errorf("exit status %d: %s", child.ProcessState.ExitCode(), said)
	}
}

// A command that keeps nothing ends by Ctrl-C as training does. It is caught while it writes more than a pipe holds, and let go on slowly: it has
// not ended when the signal has come through.
func TestSignalEndsRecommend(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	child, out, said := listing(t)
	lines := bufio.NewReaderSize(out, 4096)
	if _, err := lines.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if err := child.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	for part := make([]byte, 4096); ; time.Sleep(2 * time.Millisecond) {
		if _, err := lines.Read(part); err != nil {
			break
		}
	}
	if child.Wait(); child.ProcessState.ExitCode() != 130 || !strings.HasPrefix(said.String(), "trainer: interrupted") {
		t.Errorf("exit status %d: %s", child.ProcessState.ExitCode(), said)
	}
}
