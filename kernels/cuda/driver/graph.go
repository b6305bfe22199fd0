//go:build gpu && linux && amd64 && cgo

package driver

// #include "api.h"
import "C"

import (
	"errors"
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
		err = errors.Join(err, failed)
	}
	if err != nil {
		return nil, err
	}
	g := new(Graph)
	if err := check("cuGraphInstantiate", C.cuGraphInstantiateWithFlags(&g.exec, captured, 0)); err != nil {
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

// AllowDynamicShared lets a kernel be launched with so many bytes of dynamic shared memory: more than 48 KiB have to be asked for.
func AllowDynamicShared(f cu.Function, bytes int) error {
	return check("cuFuncSetAttribute", C.cuFuncSetAttribute(function(f), C.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, C.int(bytes)))
}

// function is the driver's handle of f, which cu does not give away: the one field of its struct.
func function(f cu.Function) C.CUfunction {
	const _ = -(unsafe.Sizeof(f) ^ unsafe.Sizeof(uintptr(0))) // does not compile where the sizes differ
	return *(*C.CUfunction)(unsafe.Pointer(&f))
}

// A HostFlag says what pinned memory is for.
type HostFlag uint

// Portable memory is pinned for every context; WriteCombined is written by the CPU and read by the GPU only: reading it is very slow.
const (
	Portable      HostFlag = 1
	WriteCombined HostFlag = 4
)

// AllocHost returns pinned host memory: copies between it and the device are asynchronous, and about twice as fast. It is the driver's, not the
// garbage collector's: free it with FreeHost, with the slice that was returned, once nothing uses it.
func AllocHost(bytes int, flags HostFlag) ([]byte, error) {
	if bytes <= 0 {
		return nil, &Error{Call: "cuMemHostAlloc", Code: InvalidValue}
	}
	var data unsafe.Pointer
	if err := check("cuMemHostAlloc", C.cuMemHostAlloc(&data, C.size_t(bytes), C.unsigned(flags))); err != nil {
		return nil, err
	}
	return unsafe.Slice((*byte)(data), bytes), nil
}

// FreeHost frees what AllocHost returned.
func FreeHost(b []byte) error {
	if cap(b) == 0 {
		return nil
	}
	return check("cuMemFreeHost", C.cuMemFreeHost(unsafe.Pointer(unsafe.SliceData(b))))
}
