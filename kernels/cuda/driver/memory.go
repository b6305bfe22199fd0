//go:build gpu && linux && amd64 && cgo

package driver

// #include "api.h"
import "C"

import "unsafe"

// AllocHost returns host memory that is pinned for every context: copies between it and the device are asynchronous, and about twice as fast. It is the driver's, not the
// garbage collector's: free it with FreeHost, with the slice that was returned, once nothing uses it.
func AllocHost(bytes int) ([]byte, error) {
	if bytes <= 0 {
		return nil, &Error{Call: "cuMemHostAlloc", Code: InvalidValue}
	}
	var data unsafe.Pointer
	if code := Result(C.cuMemHostAlloc(&data, C.size_t(bytes), C.CU_MEMHOSTALLOC_PORTABLE)); code != 0 {
		err := &Error{Call: "cuMemHostAlloc", Code: code}
		if code == OutOfMemory { // the host's
			err.meaning = "the host has not enough memory that can be pinned"
		}
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
