//go:build unix

package dataset

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// pipe makes a named pipe.
func pipe(t *testing.T, path string) {
	t.Helper()
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skipf("no named pipe: %v", err)
	}
}

// TestPipe: what comes through a pipe is read as a file is, though it can be read only once.
func TestPipe(t *testing.T) {
	const text = "user,item\n1,2\n1,3\n2,3\n"
	dir := folder(t, map[string]string{"file.csv": text})
	path := filepath.Join(dir, "pipe.csv")
	pipe(t, path)
	write := func(text string) {
		go func() {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err == nil {
				_, err = f.WriteString(text)
				f.Close()
			}
			if err != nil {
				t.Error(err)
			}
		}()
	}
	write(text)
	d, file := whole(t, Options{Path: path}), whole(t, Options{Path: filepath.Join(dir, "file.csv")})
	if d.Checksum() != file.Checksum() || d.Format != CSV {
		t.Errorf("%s\n%s", d, file)
	}
	write("")
	if _, err := Load(t.Context(), Options{Path: path}); err == nil || !strings.Contains(err.Error(), "pipe.csv is empty") {
		t.Errorf("a pipe that ends at once: error %v", err)
	}
	write(text)
	s := fileAt(path)
	if err := s.hold(t.Context(), int64(len(text))-1); err == nil || !strings.Contains(err.Error(), "pipe.csv gives more than 21 bytes") {
		t.Errorf("a pipe above the limit: error %v", err)
	}
	write(text)
	if err := s.hold(t.Context(), int64(len(text))); err != nil || string(s.held) != text {
		t.Errorf("a pipe at the limit: %q, error %v", s.held, err)
	}
	regular := fileAt(filepath.Join(dir, "file.csv"))
	if err := regular.hold(t.Context(), 1); err != nil || regular.held != nil {
		t.Errorf("a file is held in memory: %q, error %v", regular.held, err)
	}
}

// TestPipeIsInterrupted: neither a pipe that nobody opens nor one that nobody writes to outlasts the context.
func TestPipeIsInterrupted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	pipe(t, path)
	interrupted := func(what string, whenOpen func()) {
		ctx, cancel := context.WithCancel(t.Context())
		loaded := make(chan error, 1)
		go func() {
			_, err := Load(ctx, Options{Path: path})
			loaded <- err
		}()
		whenOpen()
		cancel()
		select {
		case err := <-loaded:
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: error %v", what, err)
			}
		case <-time.After(20 * time.Second):
			t.Errorf("%s: it waits for the pipe", what)
		}
	}
	interrupted("a pipe that nobody opens", func() {})
	var writer *os.File
	interrupted("a pipe that nobody writes to", func() {
		var err error
		if writer, err = os.OpenFile(path, os.O_WRONLY, 0); err != nil { // waits for the reader
			t.Fatal(err)
		}
	})
	writer.Close()
}

func TestDevices(t *testing.T) {
	for _, path := range []string{"/dev/zero", "/dev/random"} {
		if info, err := os.Stat(path); err != nil || info.Mode()&os.ModeDevice == 0 {
			continue
		}
		if _, err := Load(t.Context(), Options{Path: path}); err == nil || !strings.Contains(err.Error(), path+" is a device") {
			t.Errorf("error %v", err)
		}
	}
}

// A pipe beside the interactions is no file of titles: nobody may ever write to it.
func TestPipeBeside(t *testing.T) {
	dir := folder(t, map[string]string{"ratings.csv": "user,item\n1,2\n1,3\n"})
	pipe(t, filepath.Join(dir, "items.csv"))
	loaded := make(chan error, 1)
	go func() {
		_, err := Load(t.Context(), Options{Path: dir})
		loaded <- err
	}()
	select {
	case err := <-loaded:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("it waits for the pipe")
	}
}
