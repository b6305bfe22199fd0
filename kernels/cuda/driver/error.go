//go:build gpu && linux && amd64 && cgo

package driver

// #include "api.h"
//
// static CUresult call_text(void *function, CUresult code, const char **text) {
//	return ((CUresult (*)(CUresult, const char **))function)(code, text);
// }
import "C"

import (
	"cmp"
	"errors"
	"fmt"
	"unsafe"

	"gorgonia.org/cu"
)

// An Error is a call of a driver's function that failed. errors.Is(err, OutOfMemory) and the like look through it.
type Error struct {
	Call string // the function's name: cuGraphLaunch
	Code Result

	name    string // where the driver that failed is not the one in use
	meaning string // where it is not the code's
}

func (e *Error) Error() string {
	name := e.name
	if name == "" {
		name = e.Code.Name()
	}
	if meaning := cmp.Or(e.meaning, e.Code.meaning()); meaning != "" {
		return fmt.Sprintf("%s: %s (%d): %s", e.Call, name, int(e.Code), meaning)
	}
	return fmt.Sprintf("%s: %s (%d)", e.Call, name, int(e.Code))
}

func (e *Error) Unwrap() error { return e.Code }

// A Result is what a driver's function returns (CUresult). It is an error where it is not 0, so that errors.Is can ask for one.
type Result int

// What callers tell apart.
const (
	InvalidValue             Result = 1
	OutOfMemory              Result = 2
	Deinitialized            Result = 4
	InvalidContext           Result = 201
	ECCUncorrectable         Result = 214
	NVLinkUncorrectable      Result = 220
	Contained                Result = 226
	NotFound                 Result = 500
	IllegalAddress           Result = 700
	LaunchTimeout            Result = 702
	ContextIsDestroyed       Result = 709
	Assert                   Result = 710
	HardwareStack            Result = 714
	IllegalInstruction       Result = 715
	MisalignedAddress        Result = 716
	InvalidAddressSpace      Result = 717
	InvalidPC                Result = 718
	LaunchFailed             Result = 719
	MPSConnectionFailed      Result = 805
	MPSRPCFailure            Result = 806
	MPSServerNotReady        Result = 807
	MPSMaxClientsReached     Result = 808
	MPSMaxConnectionsReached Result = 809
	MPSClientTerminated      Result = 810
	CaptureUnsupported       Result = 900
	CaptureInvalidated       Result = 901
	CaptureImplicit          Result = 906
	Unknown                  Result = 999
)

func (r Result) Error() string { return r.Name() }

// results are the names and, for those a user can do something about, the meanings. Others the driver knows.
var results = map[Result]struct{ name, meaning string }{
	1:   {"CUDA_ERROR_INVALID_VALUE", "an argument is out of range"},
	2:   {"CUDA_ERROR_OUT_OF_MEMORY", "the device has not enough free memory"},
	3:   {"CUDA_ERROR_NOT_INITIALIZED", "no driver is open"},
	4:   {"CUDA_ERROR_DEINITIALIZED", "the driver is shutting down"},
	34:  {"CUDA_ERROR_STUB_LIBRARY", "this libcuda is a toolkit's stub for linking, not a driver"},
	46:  {"CUDA_ERROR_DEVICE_UNAVAILABLE", "the device is busy, or in exclusive use by another process"},
	100: {"CUDA_ERROR_NO_DEVICE", "the driver finds no GPU (in a container: was it started with one? CUDA_VISIBLE_DEVICES can hide them)"},
	101: {"CUDA_ERROR_INVALID_DEVICE", "there is no device of this index"},
	200: {"CUDA_ERROR_INVALID_IMAGE", "the kernels' image cannot be read"},
	201: {"CUDA_ERROR_INVALID_CONTEXT", "no context is current in this thread"},
	209: {"CUDA_ERROR_NO_BINARY_FOR_GPU", "the kernels' image has no code for this GPU"},
	214: {"CUDA_ERROR_ECC_UNCORRECTABLE", "the GPU's memory has an error that it cannot correct"},
	218: {"CUDA_ERROR_INVALID_PTX", "the driver cannot compile the kernels' PTX"},
	220: {"CUDA_ERROR_NVLINK_UNCORRECTABLE", "the link between GPUs has an error that it cannot correct"},
	221: {"CUDA_ERROR_JIT_COMPILER_NOT_FOUND", "the driver's compiler for PTX, libnvidia-ptxjitcompiler, is not installed"},
	222: {"CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "the kernels' PTX is newer than the driver"},
	500: {"CUDA_ERROR_NOT_FOUND", "the driver or the image has nothing of this name"},
	700: {"CUDA_ERROR_ILLEGAL_ADDRESS", "a kernel read or wrote outside of its memory; the context is lost"},
	701: {"CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "a launch wants more threads, registers or shared memory than the GPU has"},
	702: {"CUDA_ERROR_LAUNCH_TIMEOUT", "a kernel ran longer than a GPU with a display allows; the context is lost"},
	716: {"CUDA_ERROR_MISALIGNED_ADDRESS", "a kernel used an address that is not aligned; the context is lost"},
	719: {"CUDA_ERROR_LAUNCH_FAILED", "a kernel failed; the context is lost"},
	802: {"CUDA_ERROR_SYSTEM_NOT_READY", "a service that the GPUs need does not run (with NVSwitch: nvidia-fabricmanager)"},
	803: {"CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "libcuda and the kernel's module are of different versions: restart after an update"},
	804: {"CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE", "the package cuda-compat does not do for this GPU"},
	900: {"CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "this call cannot be captured"},
	901: {"CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "an earlier call broke the capture"},
	906: {"CUDA_ERROR_STREAM_CAPTURE_IMPLICIT", "the default stream waited for a capture"},
	999: {"CUDA_ERROR_UNKNOWN", "the driver does not say why (after a suspend: reload the module nvidia_uvm)"},
}

// Name returns CUDA's name of a result, as CUDA_ERROR_OUT_OF_MEMORY.
func (r Result) Name() string {
	if r == 0 {
		return "CUDA_SUCCESS"
	}
	if known, ok := results[r]; ok {
		return known.name
	}
	var name *C.char
	if C.cuGetErrorName(C.CUresult(r), &name) == 0 && name != nil {
		return C.GoString(name)
	}
	return "CUDA_ERROR"
}

func (r Result) meaning() string {
	if known, ok := results[r]; ok {
		return known.meaning
	}
	var text *C.char
	if C.cuGetErrorString(C.CUresult(r), &text) == 0 && text != nil {
		return C.GoString(text)
	}
	return ""
}

// check returns the error of a call, nil where it succeeded.
func check(call string, code C.CUresult) error {
	if code == 0 {
		return nil
	}
	return &Error{Call: call, Code: Result(code)}
}

// Call gives the error of one of cu's calls the function's name and CUDA's words: cu returns a number, whose name is Go's. nil stays nil.
func Call(name string, err error) error {
	if err == nil {
		return nil
	}
	if code, ok := codeOf(cu.Success, err); ok {
		return &Error{Call: name, Code: code}
	}
	return fmt.Errorf("%s: %w", name, err)
}

// codeOf finds an error of the type of cu's results, which cu does not export.
func codeOf[R interface {
	~int
	error
}](_ R, err error) (Result, bool) {
	var r R
	ok := errors.As(err, &r)
	return Result(r), ok
}

// loadedName is Name by a library that is not in use.
func loadedName(handle unsafe.Pointer, r Result) string {
	function := symbol(handle, "cuGetErrorName")
	if _, ok := results[r]; ok || function == nil {
		return r.Name()
	}
	var name *C.char
	if C.call_text(function, C.CUresult(r), &name) == 0 && name != nil {
		return C.GoString(name)
	}
	return r.Name()
}
