package dataset

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// mostHeld bounds what a pipe may hold in memory: it may never end.
const mostHeld = 4 << 30

// hold keeps the content of a pipe, which can be read only once: it is read twice, once to be recognised. A device is refused, unless it is what
// the program has as its standard input.
func (s *source) hold(ctx context.Context, most int64) error {
	info, err := fs.Stat(s.fsys, s.name)
	if err != nil {
		return s.failed(err)
	}
	switch mode := info.Mode(); {
	case mode&(fs.ModeNamedPipe|fs.ModeSocket|fs.ModeDevice) == 0:
		return nil
	case mode&fs.ModeDevice != 0 && !isStdin(info):
		return fmt.Errorf("%s is a device, a file of interactions is wanted", s.shown)
	}
	type result struct {
		held []byte
		err  error
	}
	read := make(chan result, 1)
	// A pipe that nobody writes to blocks as it is opened, and nothing can end that: the goroutine stays until somebody writes, or the program ends.
	// Once the pipe is open, the context closes it.
	go func() {
		held, err := s.copy(ctx, most)
		read <- result{held, err}
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case r := <-read:
		if err := ctx.Err(); err != nil {
			return err
		}
		s.held = r.held
		return r.err
	}
}

// copy reads the source to its end.
func (s *source) copy(ctx context.Context, most int64) ([]byte, error) {
	f, err := s.fsys.Open(s.name)
	if err != nil {
		return nil, s.failed(err)
	}
	defer f.Close()
	stop := context.AfterFunc(ctx, func() { f.Close() })
	defer stop()
	held, err := io.ReadAll(io.LimitReader(f, most+1))
	switch {
	case err != nil:
		return nil, s.failed(err)
	case int64(len(held)) > most:
		return nil, fmt.Errorf("%s gives more than %s bytes, and what is no file is held in memory: write it to a file", s.shown, thousands(int(most)))
	case held == nil:
		held = []byte{} // nil would mean that it is not held
	}
	return held, nil
}

// isStdin tells whether a device is the standard input, a terminal.
func isStdin(info fs.FileInfo) bool {
	stdin, err := os.Stdin.Stat()
	return err == nil && os.SameFile(info, stdin)
}

// heldReader is an open file that is held in memory.
type heldReader struct{ *bytes.Reader }

func (heldReader) Close() error { return nil }
