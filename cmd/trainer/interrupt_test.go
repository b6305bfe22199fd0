package main

import (
	"context"
	"io"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// fuse is a context that ends when it is looked at for the n-th time.
type fuse struct {
	context.Context
	end  context.CancelFunc
	left atomic.Int64
}

func newFuse(t *testing.T, n int) *fuse {
	f := &fuse{}
	f.Context, f.end = context.WithCancel(t.Context())
	f.left.Store(int64(n))
	return f
}

func (f *fuse) Err() error {
	if f.left.Add(-1) < 0 {
		f.end()
	}
	return f.Context.Err()
}

// Wherever a signal ends a command, it has the status of an interruption and says so, and a finished run stays as it is.
func TestInterruptedAnywhere(t *testing.T) {
	data := small(t)
	for _, model := range []string{"lightgcn", "popularity", "itemknn", "ease"} {
		args := []string{"-model", model, "-data", data}
		if learns(model) {
			args = quick(t, model)
		}
		run := filepath.Join(t.TempDir(), "run")
		mustRun(t, append(args, "-out", run)...)
		before := read(t, run, "result.json")
		for _, tt := range []struct {
			name string
			args func() []string
		}{
			{"train", func() []string { return append(args[:len(args):len(args)], "-out", filepath.Join(t.TempDir(), "run")) }},
			{"evaluate", func() []string { return []string{"evaluate", run} }},
			{"recommend", func() []string { return []string{"recommend", run, "-all"} }},
			{"recommend -history", func() []string { return []string{"recommend", run, "-history", "1,3"} }},
		} {
			t.Run(model+" "+tt.name, func(t *testing.T) { interruptEverywhere(t, tt.args) })
		}
		if string(read(t, run, "result.json")) != string(before) {
			t.Errorf("the result of %s has changed", model)
		}
	}
}

// Without a split to rank, what ranks is computed all the same.
func TestInterruptedWithoutASplit(t *testing.T) {
	data := dataFolder(t, "0 0 1\n1 1 2\n", "")
	interruptEverywhere(t, func() []string {
		return []string{"-model", "popularity", "-data", data, "-select", "last", "-split", "given", "-out", filepath.Join(t.TempDir(), "run")}
	})
}

// interruptEverywhere ends a command line at one look at its context after another, until it gets through.
func interruptEverywhere(t *testing.T, args func() []string) {
	t.Helper()
	for n := 0; ; n += 1 + n/4 {
		ctx, words := newFuse(t, n), args()
		err := command(ctx, words, io.Discard, io.Discard)
		ctx.end()
		if err == nil && n == 0 {
			t.Errorf("%v looks at no context", words)
		}
		if err == nil {
			return
		}
		if status(err) != interrupted || !strings.HasPrefix(err.Error(), "interrupted") {
			t.Errorf("%v ended at look %d gives status %d: %v", words, n+1, status(err), err)
		}
	}
}
