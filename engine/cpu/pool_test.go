package cpu

import (
	"sync/atomic"
	"testing"

	kernelset "nearfar/kernels/cpu"
)

// Each chunk runs once, none where there are none, and the pool holds no work that is done: it would keep a closed program's memory.
func TestPool(t *testing.T) {
	for _, threads := range []int{1, 2, 5} {
		p := newPool(threads)
		for _, chunks := range []int{0, 1, 2, 3, 100} {
			ran := make([]atomic.Int32, chunks)
			p.run(kernelset.Phase{Chunks: chunks, Run: func(c int) { ran[c].Add(1) }})
			for c := range ran {
				if n := ran[c].Load(); n != 1 {
					t.Errorf("%d threads: chunk %d of %d ran %d times", threads, c, chunks, n)
				}
			}
			if p.phase.Run != nil {
				t.Errorf("%d threads: the pool holds a phase of %d chunks", threads, chunks)
			}
		}
		p.close()
	}
}
