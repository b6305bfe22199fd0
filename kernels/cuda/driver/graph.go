//go:build gpu && linux && amd64 && cgo

package driver

// #include "api.h"
import "C"

import (
	"fmt"
	"unsafe"

	"gorgonia.org/cu"
)

// A CaptureMode says which calls fail while a stream is captured, beside those that wait for it.
type CaptureMode int

// With Global, calls that could disturb a capture (an allocation) fail in every thread; with ThreadLocal in the capturing one, which finds an
// allocation that slipped into a step; with Relaxed nowhere.
const (
	Global CaptureMode = iota
	ThreadLocal
	Relaxed
)

// A Graph is the work that was captured, to be launched as one.
type Graph struct{ exec C.CUgraphExec }

// Capture records what record puts into the stream, without running it, and returns it as a graph that is ready to be launched. The graph
// keeps addresses, not contents: memory that it uses must stay where it is. The stream must not be the default one. The error of record ends
// the capture and is returned.
func Capture(s cu.Stream, mode CaptureMode, record func() error) (*Graph, error) {
	stream := C.CUstream(unsafe.Pointer(s.C()))
	if err := check("cuStreamBeginCapture", C.cuStreamBeginCapture_v2(stream, C.int(mode))); err != nil {
		return nil, err
	}
	ended := false
	var captured C.CUgraph
	end := func() error {
		ended = true
		return check("cuStreamEndCapture", C.cuStreamEndCapture(stream, &captured))
	}
	defer func() {
		if !ended { // record panicked: the stream is usable again
			end()
		}
		if captured != nil {
			C.cuGraphDestroy(captured) // an executable graph is a copy
		}
	}()
	err := record()
	if failed := end(); err == nil {
		err = failed
	} else if failed != nil {
		err = fmt.Errorf("%w; %w", err, failed)
	}
	if err != nil {
		return nil, err
	}
	g := new(Graph)
	if err := check("cuGraphInstantiateWithFlags", C.cuGraphInstantiateWithFlags(&g.exec, captured, 0)); err != nil {
		return nil, err
	}
	return g, nil
}

// Launch puts the graph's work into a stream. It returns before the work is done.
func (g *Graph) Launch(s cu.Stream) error {
	return check("cuGraphLaunch", C.cuGraphLaunch(g.exec, C.CUstream(unsafe.Pointer(s.C()))))
}

// Destroy frees the graph. Work of it that is under way goes on.
func (g *Graph) Destroy() error {
	exec := g.exec
	g.exec = nil
	if exec == nil {
		return nil
	}
	return check("cuGraphExecDestroy", C.cuGraphExecDestroy(exec))
}
