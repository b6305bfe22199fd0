//go:build gpu && linux && amd64 && cgo

package driver

// #include "api.h"
import "C"

import (
	"cmp"
	"fmt"
	"unsafe"

	"gorgonia.org/cu"
)

// A Graph is the work that was captured, to be launched as one.
type Graph struct{ exec C.CUgraphExec }

// Capture records what record puts into the stream, without running it, and returns it as a graph that is ready to be launched. The graph
// keeps addresses, not contents: memory that it uses must stay where it is. The stream must not be the default one. A call of this
// thread that could disturb the capture fails, which finds an allocation that slipped into a step. The error of record ends the capture and is
// returned.
func Capture(s cu.Stream, record func() error) (*Graph, error) {
	stream := C.CUstream(unsafe.Pointer(s.C()))
	if err := check("cuStreamBeginCapture", C.cuStreamBeginCapture_v2(stream, C.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)); err != nil {
		return nil, err
	}
	captured, err := captureInto(stream, record)
	g := new(Graph)
	if err == nil {
		err = check("cuGraphInstantiateWithFlags", C.cuGraphInstantiateWithFlags(&g.exec, captured, 0))
	}
	if captured != nil { // an executable graph is a copy
		err = joined(err, check("cuGraphDestroy", C.cuGraphDestroy(captured)))
	}
	if err != nil {
		return nil, joined(err, g.Destroy())
	}
	return g, nil
}

// captureInto runs record in a capture that has begun, and ends it.
func captureInto(stream C.CUstream, record func() error) (captured C.CUgraph, err error) {
	ended := false
	end := func() error {
		ended = true
		err := check("cuStreamEndCapture", C.cuStreamEndCapture(stream, &captured))
		if err != nil && captured == nil { // where the capture goes on all the same, nothing else could be done with the stream
			C.cuStreamEndCapture(stream, &captured)
		}
		return err
	}
	defer func() {
		if ended {
			return
		}
		end() // record panicked: the stream is usable again
		if captured != nil {
			C.cuGraphDestroy(captured)
		}
	}()
	err = record()
	return captured, joined(err, end())
}

// joined is both errors in one line.
func joined(a, b error) error {
	if a == nil || b == nil {
		return cmp.Or(a, b)
	}
	return fmt.Errorf("%w; %w", a, b)
}

// Launch puts the graph's work into a stream. It returns before the work is done.
func (g *Graph) Launch(s cu.Stream) error {
	return check("cuGraphLaunch", C.cuGraphLaunch(g.exec, C.CUstream(unsafe.Pointer(s.C()))))
}

// Destroy frees the graph. Work of it that is under way goes on. A nil graph and one that is destroyed already have nothing to free.
func (g *Graph) Destroy() error {
	if g == nil {
		return nil
	}
	exec := g.exec
	g.exec = nil
	if exec == nil {
		return nil
	}
	return check("cuGraphExecDestroy", C.cuGraphExecDestroy(exec))
}
