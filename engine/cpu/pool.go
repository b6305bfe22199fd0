package cpu

import (
	"sync"
	"sync/atomic"

	kernelset "nearfar/kernels/cpu"
)

// pool runs the chunks of a phase on a fixed number of goroutines, the caller's among them. Which one takes a chunk is left to chance; the
// chunks are independent and their number is fixed, so the result is not.
type pool struct {
	threads int
	phase   kernelset.Phase
	next    atomic.Int64
	wake    []chan struct{}
	done    sync.WaitGroup
	mu      sync.Mutex // several programs may share a device; one phase at a time
}

func newPool(threads int) *pool {
	p := &pool{threads: threads}
	for range threads - 1 {
		wake := make(chan struct{}, 1)
		p.wake = append(p.wake, wake)
		go func() {
			for range wake {
				p.take()
				p.done.Done()
			}
		}()
	}
	return p
}

func (p *pool) run(phase kernelset.Phase) {
	if len(p.wake) == 0 || phase.Chunks <= 1 { // none for an empty tensor
		for c := range phase.Chunks {
			phase.Run(c)
		}
		return
	}
	p.mu.Lock()
	p.phase = phase
	p.next.Store(0)
	helpers := min(len(p.wake), phase.Chunks-1)
	p.done.Add(helpers)
	for _, w := range p.wake[:helpers] {
		w <- struct{}{}
	}
	p.take()
	p.done.Wait()
	p.phase = kernelset.Phase{} // it holds a program's memory
	p.mu.Unlock()
}

func (p *pool) take() {
	for {
		c := int(p.next.Add(1) - 1)
		if c >= p.phase.Chunks {
			return
		}
		p.phase.Run(c)
	}
}

func (p *pool) close() {
	for _, w := range p.wake {
		close(w)
	}
	p.wake = nil
}
