//go:build gpu && linux && amd64 && cgo

package driver

// #include "api.h"
import "C"

import (
	"errors"
	"unsafe"

	"gorgonia.org/cu"
)

// AllowDynamicShared lets a kernel be launched with so many bytes of dynamic shared memory: more than 48 KiB have to be asked for.
func AllowDynamicShared(f cu.Function, bytes int) error {
	return check("cuFuncSetAttribute", C.cuFuncSetAttribute(function(f), C.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, C.int(bytes)))
}

// Parameters returns the sizes of a kernel's parameters in bytes. Drivers before CUDA 12.4 cannot tell: the error is NotFound.
func Parameters(f cu.Function) (sizes []int, err error) {
	for {
		var offset, size C.size_t
		err := check("cuFuncGetParamInfo", C.cuFuncGetParamInfo(function(f), C.size_t(len(sizes)), &offset, &size))
		if errors.Is(err, InvalidValue) { // behind the last
			return sizes, nil
		}
		if err != nil {
			return nil, err
		}
		sizes = append(sizes, int(size))
	}
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
