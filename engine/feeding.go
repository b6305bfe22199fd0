package engine

import (
	"context"
	"errors"
	"fmt"

	"nearfar/kernels"
)

// feeding fills the inputs of step t+1 while step t runs. Ports of every-step feeds stand first in the input block, so that a step's inputs
// are one copy; those of a Periodic feed follow, each feed's together, and are copied when its key changes.
type feeding struct {
	feeds    []*fed
	ports    []inputPort
	bytes    int64
	every    int64   // bytes of the every-step part
	places   []int64 // of the ports, in the order of feeds
	staging  [2]staging
	pieces   []Piece // of a step, in a slice that the next step uses again
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
	for pass := range 2 { // every-step feeds, then periodic ones
		for at, feed := range feeds {
			p, periodic := feed.(Periodic)
			if periodic != (pass == 1) {
				continue
			}
			e := &fed{feed: feed, periodic: p, from: f.bytes}
			for i, port := range feed.Ports() {
				f.ports = append(f.ports, inputPort{leaf{kind: Input, feed: at, port: i}, f.bytes})
				f.places = append(f.places, f.bytes)
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
	return f
}

// stage takes the host's memory for the inputs of two steps.
func (f *feeding) stage(device Device, float kernels.DType) (err error) {
	for k := range f.staging {
		if f.staging[k], err = stage(device, f.bytes, "the inputs of a step"); err != nil {
			return err
		}
		next := 0
		for _, e := range f.feeds {
			for _, port := range e.feed.Ports() {
				e.slots[k] = append(e.slots[k], slotOf(f.staging[k].bytes, f.places[next], port.Desc, float))
				next++
			}
		}
	}
	return nil
}

// close gives the host's memory back.
func (f *feeding) close() error {
	f.wait()
	return errors.Join(f.staging[0].close(), f.staging[1].close())
}

// staging is host memory where copies to the device start, or copies from it end.
type staging struct {
	bytes []byte
	free  func() error // nil for Go's
}

func stage(device Device, bytes int64, what string) (s staging, err error) {
	if d, ok := device.(Stager); ok && bytes > 0 {
		s.bytes, s.free, err = d.Staging(bytes, what)
		return s, err
	}
	return staging{bytes: aligned(bytes)}, nil
}

func (s *staging) close() error {
	free := s.free
	*s = staging{}
	if free == nil {
		return nil
	}
	return free()
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

// take waits for step t's inputs, asks for the next step's, and returns what the device does not have yet.
func (f *feeding) take(ctx context.Context, t uint64) ([]Piece, error) {
	select {
	case err := <-f.done:
		if err != nil {
			return nil, err
		}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	k := t & 1
	if t < f.last {
		f.requests <- t + 1 // fills the other staging block
	}
	block := f.staging[k].bytes
	f.pieces = f.pieces[:0]
	if f.every > 0 {
		f.pieces = append(f.pieces, Piece{0, block[:f.every]})
	}
	for _, e := range f.feeds {
		if e.periodic != nil && e.fresh[k] {
			f.pieces = append(f.pieces, Piece{e.from, block[e.from:e.to]})
		}
	}
	return f.pieces, nil
}

// stop ends the filling goroutine, after the Fill that it is in.
func (f *feeding) stop() { close(f.requests) }

// wait waits until the filling goroutine of the last run has ended.
func (f *feeding) wait() {
	if f.ended != nil {
		<-f.ended
	}
}
