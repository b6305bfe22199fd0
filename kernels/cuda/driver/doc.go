// Package driver stands between gorgonia.org/cu and NVIDIA's libraries, so that one program runs with and without them.
//
// cu and cu/blas are written to be linked with -lcuda and -lcublas. Such a program does not start on a machine without a driver, and is
// tied to the cuBLAS it was built with; and cu's init ends the process where cuInit fails. Here the functions that they import are
// defined: each is a jump through an entry of a table (stubs_linux_amd64.S, generated). Until Open, every entry is a function that says
// CUDA_ERROR_NOT_INITIALIZED, except for cuInit, which succeeds, and cuDeviceGetCount, which counts none. Open looks for libcuda.so.1,
// calls its cuInit and fills the table; OpenBLAS does the same for libcublas.so.13, 12 or 11. A program that never calls them loads
// nothing, and needs libc only.
//
//	if err := driver.Open(); err != nil { // "no libcuda.so.1: ...", "cuInit: CUDA_ERROR_NO_DEVICE (100): ..."
//		return err
//	}
//	dev, err := cu.GetDevice(0) // from here on cu is what its documentation says
//
// Available says whether there is a device that nearfar can use, and Inspect what was looked for, where, and with what result.
//
// NEARFAR_CUDA_DRIVER and NEARFAR_CUBLAS name a library, or a folder that holds it, and then no other is tried: a driver in an unusual
// place, or the emulated one of kernels/cuda/emu. They are read at the first call of Open and of OpenBLAS.
//
// What cu lacks is called through the same tables, by functions of this package: stream capture and executable graphs, launches that leave
// the garbage collector alone, a kernel's parameters and its limit of dynamic shared memory, pinned host memory, and the few functions of
// cuBLAS that training needs, for row-major matrices. As with cu's package-level functions, a context is current in a thread: call all of them
// on one goroutine that is locked to its thread.
//
// # Building
//
// The package is empty except with the build tag gpu, on linux/amd64, with cgo. cu needs cuda.h, of CUDA 11.8 to 13, and through the folder
// include of this package, which makes 13's what cu expects; `make gpu` finds the toolkit and sets CGO_CFLAGS accordingly. NVIDIA's
// libraries are not needed to build: lib holds empty ones for the linker.
//
// # Generated files
//
// symbols.txt lists what cu and cu/blas import, api.h declares what this package calls itself; `go generate` writes the stubs from both and
// needs Go only. For another version of cu, or newer headers, gen/main.go says how symbols.txt is written again.
package driver

//go:generate go run ./gen
