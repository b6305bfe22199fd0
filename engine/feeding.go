package engine

import (
	"context"
	"fmt"

	"nearfar/kernels"
)

// feeding fills the inputs of step t+1 while step t runs. Ports of every-step feeds stand first in the input block, so that a step's inputs
// are one copy; those of a Periodic feed follow, each feed's together, and are copied when its key changes.
type feeding struct {
	feeds    []*fed
	ports    []inputPort
	bytes    int64
	every    int64 // bytes of the every-step part
	staging  [2][]byte
	requests chan uint64
	done     chan error
	ended    chan struct{} // closed when the filling goroutine has ended; nil before the first run
	last     uint64        // the last step of this run
}

// fed is one feed's part of the input block.
type fed struct {
	feed     Feed
	periodic Periodic // nil for an every-step feed
	from, to int64
	slots    [2][]Slot
	key      uint64
	known    bool
	fresh    [2]bool // this staging holds bytes that the device does not have yet
}

func newFeeding(feeds []Feed, float kernels.DType) *feeding {
	f := &feeding{}
	var places []int64
	for pass := range 2 { // every-step feeds, then periodic ones
		for at, feed := range feeds {
			p, periodic := feed.(Periodic)
			if periodic != (pass == 1) {
				continue
			}
			e := &fed{feed: feed, periodic: p, from: f.bytes}
			for i, port := range feed.Ports() {
				f.ports = append(f.ports, inputPort{leaf{kind: Input, feed: at, port: i}, f.bytes})
				places = append(places, f.bytes)
				d := port.Desc
				if d.Type.IsFloat() {
					d.Type = float
				}
				f.bytes += align(d.Bytes())
			}
			e.to = f.bytes
			f.feeds = append(f.feeds, e)
		}
		if pass == 0 {
			f.every = f.bytes
		}
	}
	for k := range f.staging {
		f.staging[k] = aligned(f.bytes)
		next := 0
		for _, e := range f.feeds {
			for _, port := range e.feed.Ports() {
				e.slots[k] = append(e.slots[k], slotOf(f.staging[k], places[next], port.Desc, float))
				next++
			}
		}
	}
	return f
}

// aligned allocates bytes that any element type may be read from.
func aligned(n int64) []byte {
	return bytesOf(make([]float64, (n+7)/8))[:n]
}

func slotOf(block []byte, at int64, d kernels.Desc, float kernels.DType) Slot {
	if d.Type.IsFloat() {
		d.Type = float
	}
	b := block[at : at+d.Bytes()]
	switch d.Type {
	case kernels.Int32:
		return Slot{I32: View[int32](b)}
	case kernels.Float64:
		return Slot{F64: View[float64](b)}
	}
	return Slot{F32: View[float32](b)}
}

// start begins to fill for steps from .. from+n-1, n > 0, on a goroutine that stop ends. The goroutine of an earlier run may still be in a Fill.
func (f *feeding) start(from uint64, n int) {
	f.wait()
	f.requests, f.done, f.ended = make(chan uint64, 1), make(chan error, 1), make(chan struct{})
	f.last = from + uint64(n) - 1
	for _, e := range f.feeds {
		e.known = false // what the device holds may be of another step
	}
	go func(requests <-chan uint64, done chan<- error, ended chan<- struct{}) {
		defer close(ended)
		for t := range requests {
			done <- f.fill(t) // one request is open at a time, so that this never waits
		}
	}(f.requests, f.done, f.ended)
	f.requests <- from
}

func (f *feeding) fill(t uint64) error {
	k := t & 1
	for _, e := range f.feeds {
		if e.periodic != nil {
			key := e.periodic.Key(t)
			e.fresh[k] = !e.known || key != e.key
			if !e.fresh[k] {
				continue
			}
			e.key, e.known = key, true
		}
		if err := e.feed.Fill(t, e.slots[k]); err != nil {
			return fmt.Errorf("the inputs of step %d: %w", t, err)
		}
	}
	return nil
}

// upload waits for step t's inputs, copies them to the device, and asks for the next step's.
func (f *feeding) upload(ctx context.Context, t uint64, to Mem) error {
	select {
	case err := <-f.done:
		if err != nil {
			return err
		}
	case <-ctx.Done():
		return ctx.Err()
	}
	k := t & 1
	if t < f.last {
		f.requests <- t + 1 // fills the other staging block
	}
	if err := to.Write(0, f.staging[k][:f.every]); err != nil {
		return err
	}
	for _, e := range f.feeds {
		if e.periodic != nil && e.fresh[k] {
			if err := to.Write(e.from, f.staging[k][e.from:e.to]); err != nil {
				return err
			}
		}
	}
	return nil
}

// stop ends the filling goroutine, after the Fill that it is in.
func (f *feeding) stop() { close(f.requests) }

// wait waits until the filling goroutine of the last run has ended.
func (f *feeding) wait() {
	if f.ended != nil {
		<-f.ended
	}
}
