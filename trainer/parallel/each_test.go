package parallel

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
)

func TestEachRunsEveryPieceOnce(t *testing.T) {
	most := perProcessor * runtime.GOMAXPROCS(0)
	for _, threads := range []int{0, 1, 2, 7, 100_000} {
		for _, n := range []int{0, 1, 5, 1000} {
			seen := make([]atomic.Int32, n)
			var workers atomic.Int32
			err := Each(t.Context(), threads, n, func() func(int) error {
				workers.Add(1)
				return func(at int) error { seen[at].Add(1); return nil }
			})
			if err != nil || threads > 0 && int(workers.Load()) != min(threads, n, most) {
				t.Errorf("%d threads, %d pieces: %d workers, error %v", threads, n, workers.Load(), err)
			}
			for at := range seen {
				if seen[at].Load() != 1 {
					t.Fatalf("%d threads: piece %d of %d ran %d times", threads, at, n, seen[at].Load())
				}
			}
		}
	}
}

func TestEachEnds(t *testing.T) {
	failure := errors.New("a piece fails")
	ran := atomic.Int32{}
	err := Each(t.Context(), 2, 1000, func() func(int) error {
		return func(at int) error {
			if ran.Add(1); at == 3 {
				return failure
			}
			return nil
		}
	})
	if !errors.Is(err, failure) {
		t.Errorf("the error of a piece became %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = Each(ctx, 1, 1000, func() func(int) error {
		return func(at int) error {
			if at == 3 {
				cancel()
			}
			if at > 3 {
				t.Errorf("piece %d runs after the end", at)
			}
			return nil
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the end of the context became %v", err)
	}
}
