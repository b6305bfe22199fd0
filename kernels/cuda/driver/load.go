//go:build gpu && linux && amd64 && cgo

package driver

/*
// The empty libraries of lib, and not a libcuda.so that the machine has for linking; as-needed in case that one is found all the same.
#cgo LDFLAGS: -L${SRCDIR}/lib -Wl,--as-needed -ldl
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include "api.h"

extern CUresult nearfar_cuda_missing(void);
extern cublasStatus_t nearfar_cublas_missing(void);

// load opens a library; where that fails, it returns NULL and a copy of the reason.
static void *load(const char *path, char **reason) {
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!library) *reason = strdup(dlerror());
	return library;
}

static const char *file(void *library) {
	struct link_map *map;
	return dlinfo(library, RTLD_DI_LINKMAP, &map) ? "" : map->l_name;
}

static void **cuda_table(void) { return nearfar_cuda; }
static void **cublas_table(void) { return nearfar_cublas; }
static void enter(void **table, int at, void *function) { table[at] = function; }
static CUresult call_init(void *init) { return ((CUresult (*)(unsigned))init)(0); }
static CUresult call_version(void *function, int *version) { return ((CUresult (*)(int *))function)(version); }
static int call_property(void *function, int part, int *value) { return ((int (*)(int, int *))function)(part, value); }
static void *cuda_missing(void) { return nearfar_cuda_missing; }
static void *cublas_missing(void) { return nearfar_cublas_missing; }
*/
import "C"

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"unsafe"
)

// An Attempt is a library that was tried.
type Attempt struct {
	Path string // what the dynamic linker was asked for: a file, or a name that it looks for itself
	From string // why: the environment variable, or the kind of place
	Err  error  // nil for the one that is in use
}

// A Library says what a search led to.
type Library struct {
	Name    string    // libcuda, libcublas
	File    string    // of the library in use; empty without one
	Version Version   // of CUDA that the driver implements, or of cuBLAS
	Tried   []Attempt // in order; what is no file is not listed, except where an environment variable names it
	Missing []string  // functions that the library lacks; calling one fails with CUDA_ERROR_NOT_FOUND
	Err     error     // why there is none
}

// A Version is that of CUDA, or of one of its libraries. Patch is 0 where it is not known, and all are where none is.
type Version struct{ Major, Minor, Patch int }

func (v Version) String() string {
	if v == (Version{}) {
		return "unknown"
	}
	if v.Patch == 0 {
		return fmt.Sprintf("%d.%d", v.Major, v.Minor)
	}
	return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch)
}

// less says whether v is older than w, patches aside.
func (v Version) less(w Version) bool {
	return v.Major < w.Major || v.Major == w.Major && v.Minor < w.Minor
}

// oldestDriver is the oldest that will do: CUDA 11.4 brought cuGraphInstantiateWithFlags.
var oldestDriver = Version{11, 4, 0}

// The libraries that are in use. The functions of a process are one set, so these are its globals; each is written once.
var (
	openCUDA = sync.OnceValue(func() *Library { return loadCUDA(os.Getenv) })
	openBLAS = sync.OnceValue(func() *Library { return loadBLAS(os.Getenv) })
)

// Open finds NVIDIA's driver, initialises it, and makes it what gorgonia.org/cu calls. Later calls return what the first one did. It needs
// no device: Available says whether there is one.
func Open() error { return openCUDA().Err }

// OpenBLAS opens the driver, and finds the newest cuBLAS that it can run. Loading it takes a moment: it is hundreds of MB.
func OpenBLAS() error {
	if err := Open(); err != nil {
		return err
	}
	return openBLAS().Err
}

// BLASLibrary says which cuBLAS is in use, and how to use another, for errors that may be its fault.
func BLASLibrary() string {
	lib := openBLAS()
	return fmt.Sprintf("cuBLAS %v is %s; %s names another", lib.Version, lib.File, blasVariable)
}

// CUDAVersion is that of CUDA which the driver implements, zero where there is no driver.
func CUDAVersion() Version { return openCUDA().Version }

// BLASVersion is that of the cuBLAS in use, zero where there is none.
func BLASVersion() Version {
	if OpenBLAS() != nil {
		return Version{}
	}
	return openBLAS().Version
}

// loadCUDA tries one place after another until a driver initialises: on a machine that has two, as a WSL with a Linux driver installed, the
// first is not always the one that works.
func loadCUDA(getenv func(string) string) *Library {
	lib := &Library{Name: "libcuda"}
	places, err := driverPlaces(getenv)
	if err != nil {
		lib.Err = err
		return lib
	}
	var failed error // the first failure of a driver that was there
	seen := map[unsafe.Pointer]bool{}
	for _, p := range places {
		handle, err := lib.try(p)
		if err != nil {
			continue
		}
		if seen[handle] { // by another name
			lib.Tried = lib.Tried[:len(lib.Tried)-1]
			continue
		}
		seen[handle] = true
		version, err := initialise(handle)
		if err == nil {
			lib.use(handle, C.cuda_table(), cudaSymbols[:], C.cuda_missing())
			lib.Version = version
			return lib
		}
		lib.Tried[len(lib.Tried)-1].Err = err
		if failed == nil {
			failed = fmt.Errorf("%s: %w", C.GoString(C.file(handle)), err)
		}
	}
	lib.Err = failed
	if failed == nil {
		lib.Err = lib.notFound("libcuda.so.1", "NVIDIA's driver", driverVariable, "install it")
	}
	return lib
}

// initialise calls the cuInit of a driver, and refuses one that is too old.
func initialise(handle unsafe.Pointer) (Version, error) {
	var v Version
	init, getVersion := symbol(handle, "cuInit"), symbol(handle, "cuDriverGetVersion")
	if init == nil || getVersion == nil {
		return v, errors.New("no CUDA driver: it has no cuInit or no cuDriverGetVersion")
	}
	if code := Result(C.call_init(init)); code != 0 {
		return v, &Error{Call: "cuInit", Code: code, name: loadedName(handle, code)}
	}
	var version C.int
	if code := Result(C.call_version(getVersion, &version)); code != 0 {
		return v, &Error{Call: "cuDriverGetVersion", Code: code, name: loadedName(handle, code)}
	}
	v = Version{int(version) / 1000, int(version) % 1000 / 10, 0}
	if v.less(oldestDriver) {
		return v, fmt.Errorf("driver too old: it is of CUDA %v, nearfar needs %v or newer", v, oldestDriver)
	}
	return v, nil
}

func loadBLAS(getenv func(string) string) *Library {
	lib := &Library{Name: "libcublas"}
	driver := openCUDA().Version
	places, err := blasPlaces(getenv, driver.Major)
	if err != nil {
		lib.Err = err
		return lib
	}
	gpus, _ := Devices() // their errors are told by Available
	var spare unsafe.Pointer
	for _, p := range places {
		if tooNew(p, driver.Major) {
			lib.Tried = append(lib.Tried, Attempt{p.path, p.from, fmt.Errorf("newer than the driver, which is of CUDA %v", driver)})
			continue
		}
		if lt := filepath.Join(filepath.Dir(p.path), strings.Replace(filepath.Base(p.path), "libcublas", "libcublasLt", 1)); filepath.IsAbs(lt) {
			open(lt) // libcublas wants it, and in a wheel does not say where it is; where it is not here, libcublas says so itself
		}
		handle, err := lib.try(p)
		if err != nil {
			continue
		}
		if symbol(handle, "cublasCreate_v2") == nil {
			lib.Tried[len(lib.Tried)-1].Err = errors.New("no cuBLAS: it has no cublasCreate_v2")
			continue
		}
		if err := blasVersion(handle).runsOn(gpus); err != nil && p.from != blasVariable {
			lib.Tried[len(lib.Tried)-1].Err = err
			if spare == nil {
				spare = handle
			}
			continue
		}
		return lib.useBLAS(handle)
	}
	if spare != nil { // it may do for another of the GPUs
		return lib.useBLAS(spare)
	}
	lib.Err = lib.notFound("libcublas.so."+majors(driver.Major), "cuBLAS", blasVariable,
		fmt.Sprintf("pip install '%s' in an active venv", blasWheel(driver.Major)))
	return lib
}

func (lib *Library) useBLAS(handle unsafe.Pointer) *Library {
	lib.use(handle, C.cublas_table(), cublasSymbols[:], C.cublas_missing())
	lib.Version = blasVersion(handle)
	return lib
}

// blasVersion asks a cuBLAS that is not in use yet.
func blasVersion(handle unsafe.Pointer) (v Version) {
	property := symbol(handle, "cublasGetProperty")
	for i, part := range []*int{&v.Major, &v.Minor, &v.Patch} {
		var value C.int
		if property != nil && C.call_property(property, C.int(i), &value) == 0 {
			*part = int(value)
		}
	}
	return v
}

// runsOn says for which of the GPUs a cuBLAS has no code: 13 dropped those before compute capability 7.5, and 12.8 was the first to have Blackwell's.
func (v Version) runsOn(gpus []Device) error {
	for _, g := range gpus {
		switch {
		case g.Err != nil || v == Version{}:
		case v.Major >= 13 && g.Capability.less(Version{7, 5, 0}):
			return fmt.Errorf("cuBLAS %v has no code for %s, of compute capability %v: 12 has", v, g.Label(), g.Capability)
		case v.less(Version{12, 8, 0}) && !g.Capability.less(Version{10, 0, 0}):
			return fmt.Errorf("cuBLAS %v has no code for %s, of compute capability %v: 12.8 has", v, g.Label(), g.Capability)
		}
	}
	return nil
}

// try loads the library at a place and notes the attempt.
func (lib *Library) try(p place) (unsafe.Pointer, error) {
	handle, err := open(p.path)
	lib.Tried = append(lib.Tried, Attempt{p.path, p.from, err})
	return handle, err
}

func open(path string) (unsafe.Pointer, error) {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	var reason *C.char
	if handle := C.load(name, &reason); handle != nil {
		return handle, nil
	}
	defer C.free(unsafe.Pointer(reason))
	return nil, errors.New(strings.TrimPrefix(C.GoString(reason), path+": "))
}

func symbol(handle unsafe.Pointer, name string) unsafe.Pointer {
	c := C.CString(name)
	defer C.free(unsafe.Pointer(c))
	return C.dlsym(handle, c)
}

// older are functions that newer headers ask for under a new name, and that an older driver has, with the same parameters, under another.
var older = map[string]string{
	"cuEventElapsedTime_v2": "cuEventElapsedTime", // 12.8
	"cuDeviceGetUuid_v2":    "cuDeviceGetUuid",    // 11.4
}

// use fills a table with a library's functions.
func (lib *Library) use(handle unsafe.Pointer, table *unsafe.Pointer, symbols []string, missing unsafe.Pointer) {
	lib.File = C.GoString(C.file(handle))
	for i, name := range symbols {
		function := symbol(handle, name)
		if function == nil && older[name] != "" {
			function = symbol(handle, older[name])
		}
		if function == nil {
			function = missing
			lib.Missing = append(lib.Missing, name)
		}
		C.enter(table, C.int(i), function)
	}
}

// notFound is the error where no place had the library, and what to do. Where the variable is set, it names the only place.
func (lib *Library) notFound(name, what, variable, remedy string) error {
	var places []string
	for _, a := range lib.Tried {
		if a.From == variable {
			return fmt.Errorf("%s=%s: %w", variable, a.Path, a.Err)
		}
		places = append(places, fmt.Sprintf("%s (%s): %v", a.Path, a.From, a.Err))
	}
	return fmt.Errorf("no %s: %s is not installed, or not where it is looked for: %s, or set %s to its file or folder; tried %s",
		name, what, remedy, variable, strings.Join(places, "; "))
}
