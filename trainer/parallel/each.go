// Package parallel shares independent pieces of work between goroutines.
package parallel

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

// perProcessor is how many goroutines of a processor can be of use. Each has buffers, and -threads may be any number.
const perProcessor = 4

// Each runs f(0) to f(n-1) on so many goroutines (0: all processors; at most four for each), each with an f of its own from worker, which may keep
// buffers in it. Where one fails or the context ends, the others stop after the piece they are at, and an error is returned.
func Each(ctx context.Context, threads, n int, worker func() (f func(at int) error)) error {
	processors := runtime.GOMAXPROCS(0)
	if threads <= 0 {
		threads = processors
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var group sync.WaitGroup
	for range min(threads, n, perProcessor*processors) {
		group.Go(func() {
			f := worker()
			for at := int(next.Add(1)) - 1; at < n && ctx.Err() == nil; at = int(next.Add(1)) - 1 {
				if err := f(at); err != nil {
					cancel(err)
				}
			}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}
