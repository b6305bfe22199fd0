//go:build gpu && linux && amd64 && cgo

// Package control reaches the emulated driver's own functions (the end of ../abi.h), for tests: it counts calls, makes one fail, and tells what
// was not given back.
package control

/*
#cgo LDFLAGS: -ldl
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>

static void *find(void *library, const char *name) { return dlsym(library, name); }
static void *opened(const char *path) { return dlopen(path, RTLD_NOW | RTLD_NOLOAD); }
static void call_fail(void *f, int n, int code) { ((void (*)(int, int))f)(n, code); }
static void call_seed(void *f, uint64_t seed) { ((void (*)(uint64_t))f)(seed); }
static int call_int(void *f) { return ((int (*)(void))f)(); }
static int call_live(void *f, const char *kind) { return ((int (*)(const char *))f)(kind); }
static const char *call_text(void *f) { return ((const char *(*)(void))f)(); }
*/
import "C"

import (
	"errors"
	"regexp"
	"unsafe"

	"nearfar/kernels/cuda/driver"
)

// An Emulator is the emulated driver that package driver has open.
type Emulator struct{ fail, calls, errors, lastError, live, seed unsafe.Pointer }

// Open finds it. It is an error where there is no driver, and where it is a GPU's.
func Open() (*Emulator, error) {
	if err := driver.Available(); err != nil {
		return nil, err
	}
	path := C.CString(driver.Inspect().Driver.File)
	defer C.free(unsafe.Pointer(path))
	library := C.opened(path)
	if library == nil {
		return nil, errors.New("the driver's library is not found again")
	}
	e := &Emulator{}
	for name, function := range map[string]*unsafe.Pointer{
		"cuemuFail": &e.fail, "cuemuCalls": &e.calls, "cuemuErrors": &e.errors, "cuemuLastError": &e.lastError, "cuemuLive": &e.live, "cuemuSeed": &e.seed,
	} {
		c := C.CString(name)
		*function = C.find(library, c)
		C.free(unsafe.Pointer(c))
		if *function == nil {
			return nil, errors.New("the driver is not the emulated one")
		}
	}
	return e, nil
}

// Fail makes the n-th call from now, of the driver or of cuBLAS, fail with a code and do nothing else; 0 takes that back.
func (e *Emulator) Fail(n, code int) { C.call_fail(e.fail, C.int(n), C.int(code)) }

// Seed sets the seed of the schedule: of blocks, warps, lanes and streams. 0 is the natural order.
func (e *Emulator) Seed(seed uint64) { C.call_seed(e.seed, C.uint64_t(seed)) }

// Calls counts the calls so far.
func (e *Emulator) Calls() int { return int(C.call_int(e.calls)) }

// Errors counts what the emulator found wrong, and LastError is its last report.
func (e *Emulator) Errors() int       { return int(C.call_int(e.errors)) }
func (e *Emulator) LastError() string { return C.GoString(C.call_text(e.lastError)) }

// Kinds are what Live counts.
var Kinds = []string{"memory", "host", "stream", "event", "graph", "exec", "module", "context", "blas"}

// Live counts what exists of each kind; kinds of which there is nothing are left out.
func (e *Emulator) Live() map[string]int {
	live := map[string]int{}
	for _, kind := range Kinds {
		c := C.CString(kind)
		if n := int(C.call_live(e.live, c)); n != 0 {
			live[kind] = n
		}
		C.free(unsafe.Pointer(c))
	}
	return live
}

var call = regexp.MustCompile(`\b(cu(?:blas)?[A-Z]\w+): (?:CUDA_ERROR_|CUBLAS_STATUS_)`)

// CallIn is the call that an error's text blames, as in "cuGraphLaunch: CUDA_ERROR_UNKNOWN (999)"; empty where it names none.
func CallIn(err error) string {
	if m := call.FindStringSubmatch(err.Error()); m != nil {
		return m[1]
	}
	return ""
}
