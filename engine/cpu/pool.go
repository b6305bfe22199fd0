package cpu

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	kernelset "nearfar/kernels/cpu"
)

// pool runs the chunks of a phase on a fixed number of goroutines, the caller's among them. Which one takes a chunk is left to chance; the
// chunks are independent and their number is fixed, so the result is not.
//
// A step of a small model has a hundred phases of tens of microseconds each, and to wake a thread that sleeps takes as long (on a virtual machine
// longer). So a helper looks out for the next phase for a moment before it sleeps, and the caller for the helpers' end: on two threads of a Zen 4 a step of
// LightGCN went from 7.7 to 5.9 ms on LastFM and from 40 to 38 on yelp2018, of BM3 from 13.4 to 9.0 on tiktok (2026-11-25). A longer moment brings no more.
type pool struct {
	threads int
	phase   kernelset.Phase
	next    atomic.Int64 // chunk
	helpers []*helper
	working atomic.Int32 // helpers that have not ended the phase
	ended   chan struct{}
	mu      sync.Mutex // several programs may share a device; one phase at a time
}

// lookout is how long a goroutine looks out for what it waits for before it sleeps.
const lookout = 50 * time.Microsecond

// helper is a goroutine of the pool, or what is told to it.
type helper struct {
	state atomic.Int32
	wake  chan struct{}
}

// States of a helper.
const (
	looking int32 = iota // out for the next phase
	called               // there is one, or the pool is closed
	asleep               // until wake
)

func newPool(threads int) *pool {
	p := &pool{threads: threads, ended: make(chan struct{}, 1)}
	for range threads - 1 {
		h := &helper{wake: make(chan struct{}, 1)}
		p.helpers = append(p.helpers, h)
		go func() {
			for h.await() {
				p.take()
				h.state.Store(looking)
				if p.working.Add(-1) == 0 {
					p.ended <- struct{}{}
				}
			}
		}()
	}
	return p
}

// call tells the helper of a phase.
func (h *helper) call() {
	if h.state.Swap(called) == asleep {
		h.wake <- struct{}{}
	}
}

// await waits for a phase, and tells whether there is one: without, the pool is closed.
func (h *helper) await() bool {
	if lookOut(func() bool { return h.state.Load() == called }) || !h.state.CompareAndSwap(looking, asleep) {
		select {
		case <-h.wake: // closed
			return false
		default:
			return true
		}
	}
	_, open := <-h.wake
	return open
}

// lookOut waits for a moment until something is true.
func lookOut(isTrue func() bool) bool {
	const between = 64 // looks at the clock
	var end time.Time
	for n := 1; !isTrue(); n++ {
		if n%between != 0 {
			continue
		}
		switch now := time.Now(); {
		case end.IsZero():
			end = now.Add(lookout)
		case now.After(end):
			return false
		}
		runtime.Gosched() // there may be more goroutines than processors
	}
	return true
}

func (p *pool) run(phase kernelset.Phase) {
	if len(p.helpers) == 0 || phase.Chunks <= 1 { // none for an empty tensor
		for c := range phase.Chunks {
			phase.Run(c)
		}
		return
	}
	p.mu.Lock()
	p.phase = phase
	p.next.Store(0)
	called := p.helpers[:min(len(p.helpers), phase.Chunks-1)]
	p.working.Store(int32(len(called)))
	for _, h := range called {
		h.call()
	}
	p.take()
	lookOut(func() bool { return p.working.Load() == 0 })
	<-p.ended
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
	for _, h := range p.helpers {
		close(h.wake)
		h.state.Store(called)
	}
	p.helpers = nil
}
