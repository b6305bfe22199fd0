package progress

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// lockedBuffer is read while others write.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // time is simulated
		var out lockedBuffer
		w := New(&out, false, 100, "epoch 3")
		time.Sleep(100 * time.Millisecond) // no step falls together with a line
		for i := range 100 {
			time.Sleep(250 * time.Millisecond)
			w.Step(1)
			if i == 59 {
				w.Message("device memory: 1.2 GB")
			}
		}
		synctest.Wait()
		w.DoneWith("loss 0.412")
		w.Done()
		want := `epoch 3: 39/100 (39%), 3.90/s, 15.6s left
device memory: 1.2 GB
epoch 3: 79/100 (79%), 3.95/s, 5.3s left
epoch 3: 100 in 25.1s, 3.98/s; loss 0.412
`
		if got := out.String(); got != want {
			t.Errorf("lines:\n%swant:\n%s", got, want)
		}
	})
}

func TestShortWorkIsOneLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out lockedBuffer
		w := New(&out, false, 10, "epoch 1")
		time.Sleep(2 * time.Second)
		w.Step(10)
		w.Done()
		if got := out.String(); got != "epoch 1: 10 in 2s, 5.00/s\n" {
			t.Errorf("%q", got)
		}
	})
}

func TestStates(t *testing.T) {
	for _, c := range []struct {
		total, count   int64
		elapsed        time.Duration
		state, summary string
	}{
		{0, 0, 0, "0", "0 in 0s"},
		{0, 500, time.Second, "500, 500/s", "500 in 1s, 500/s"},
		{1024, 0, time.Second, "0/1024 (0%)", "stopped at 0/1024 after 1s"},
		{1024, 512, 6140 * time.Millisecond, "512/1024 (50%), 83.4/s, 6.1s left", "stopped at 512/1024 after 6.1s"},
		{1024, 1024, 200 * time.Millisecond, "1024/1024 (100%), 5120/s", "1024 in 200ms, 5120/s"},
		{10, 1, 20 * time.Minute, "1/10 (10%), 0.1/min, 3h0m0s left", "stopped at 1/10 after 20m0s"},
		{10, 12, 2 * time.Second, "12/10 (120%), 6.00/s", "12 in 2s, 6.00/s"},
	} {
		w := &Work{total: c.total}
		if got := w.state(c.count, c.elapsed); got != c.state {
			t.Errorf("state %q, want %q", got, c.state)
		}
		if got := w.summary(c.count, c.elapsed); got != c.summary {
			t.Errorf("summary %q, want %q", got, c.summary)
		}
	}
}

func TestStepsOfManyGoroutines(t *testing.T) {
	var out lockedBuffer
	w := New(&out, false, 4000, "evaluation")
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for range 1000 {
				w.Step(1)
			}
		})
	}
	workers.Wait()
	w.Done()
	if !strings.HasPrefix(out.String(), "evaluation: 4000 in ") {
		t.Errorf("%q", out.String())
	}
}

func TestStepDoesNotAllocate(t *testing.T) {
	for _, terminal := range []bool{false, true} {
		w := New(io.Discard, terminal, 1000, "epoch")
		if n := testing.AllocsPerRun(1000, func() { w.Step(1) }); n != 0 {
			t.Errorf("terminal %t: %g allocations a step", terminal, n)
		}
		w.Done()
	}
}

func TestBar(t *testing.T) {
	var out lockedBuffer
	console := NewConsole(&out, true)
	for epoch := 1; epoch <= 2; epoch++ { // the console outlives its bars
		w := console.Start(100, fmt.Sprintf("epoch %d", epoch))
		w.Step(50)
		waitFor(t, &out, fmt.Sprintf("epoch %d [", epoch))
		fmt.Fprint(console, "a log line without its end")
		inner := console.Start(10, "evaluation")
		inner.Step(10)
		inner.Done()
		w.Step(50)
		w.Done()
	}
	fmt.Fprintln(console, "after the bar")

	text := out.String()
	for _, want := range []string{"50/100 (50%), ", "/s, ", " left", "a log line without its end\n", "evaluation: 10 in ", "epoch 1: 100 in ", "epoch 2: 100 in "} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%q", want, text)
		}
	}
	if !strings.HasSuffix(text, "/s\nafter the bar\n") {
		t.Errorf("ends with %q", text[max(0, len(text)-80):])
	}
}

func waitFor(t *testing.T, out *lockedBuffer, want string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(out.String(), want); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%q was not drawn: %q", want, out.String())
		}
	}
}

type closedTerminal struct{}

func (closedTerminal) Write([]byte) (int, error) { return 0, errors.New("input/output error") }

// TestClosedTerminal: a session that is gone does not stop or hang the work.
func TestClosedTerminal(t *testing.T) {
	for _, terminal := range []bool{false, true} {
		w := New(closedTerminal{}, terminal, 10, "epoch")
		time.Sleep(400 * time.Millisecond) // a bar is drawn in vain meanwhile
		w.Step(10)
		w.Message("a line")
		w.Done()
	}
}

func TestIsTerminal(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if IsTerminal(f) {
		t.Error("a file is a terminal")
	}
}
