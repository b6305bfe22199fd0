package cpu

import (
	"sync/atomic"
	"testing"
	"time"

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

// Helpers that have gone to sleep between phases are woken, and a pool is closed whether its helpers sleep or look out.
func TestPoolWakesAndCloses(t *testing.T) {
	for round := range 40 {
		p := newPool(2 + round%3)
		var ran atomic.Int64
		const phases, chunks = 30, 7
		for n := range phases {
			p.run(kernelset.Phase{Chunks: chunks, Run: func(int) { ran.Add(1) }})
			time.Sleep(time.Duration((n*37+round*11)%4) * lookout / 2) // looking out, about to sleep, asleep
		}
		if n := ran.Load(); n != phases*chunks {
			t.Fatalf("%d chunks ran of %d", n, phases*chunks)
		}
		p.close()
	}
}
