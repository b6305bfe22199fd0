//go:build gpu && linux && amd64 && cgo

package driver

/*
#include "api.h"

// The driver wants a pointer to each parameter. It reads as many bytes there as the kernel takes, before it returns.
static CUresult launch(CUfunction f, unsigned x, unsigned y, unsigned z, unsigned block, unsigned shared, CUstream s, uint64_t *values, int n) {
	void *parameters[n + 1];
	for (int i = 0; i < n; i++) parameters[i] = &values[i];
	return cuLaunchKernel(f, x, y, z, block, 1, 1, shared, s, parameters, 0);
}
*/
import "C"

import (
	"errors"
	"unsafe"

	"gorgonia.org/cu"
)

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

// Launch puts a kernel into a stream: grid blocks of so many threads, with bytes of dynamic shared memory. A parameter is the low bytes of its value.
//
// cu's own Launch stores pointers into fresh memory of C's. Where that holds an old pointer of Go's by chance, as behind any copy from Go's
// memory, the garbage collector takes it for one ("found pointer to free object"). Here no pointer is stored by Go.
func Launch(f cu.Function, grid [3]int, threads, shared int, s cu.Stream, values []uint64) error {
	return check("cuLaunchKernel", C.launch(function(f), C.unsigned(grid[0]), C.unsigned(grid[1]), C.unsigned(grid[2]), C.unsigned(threads), C.unsigned(shared),
		C.CUstream(unsafe.Pointer(s.C())), (*C.uint64_t)(unsafe.SliceData(values)), C.int(len(values))))
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
