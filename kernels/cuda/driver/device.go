//go:build gpu && linux && amd64 && cgo

package driver

// #include "api.h"
import "C"

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"
)

// oldestCapability is that of the oldest GPUs that the kernels are compiled for (Volta).
var oldestCapability = Version{7, 0, 0}

// A Device is what the driver says of a GPU.
type Device struct {
	Index      int
	Name       string
	Capability Version // compute capability: 9.0 is sm_90
	Memory     int64   // bytes
	Err        error   // why nearfar cannot use it
}

// Label is what messages call a GPU. One that the driver could not ask has no name.
func (d Device) Label() string {
	if d.Name == "" {
		return fmt.Sprintf("GPU %d", d.Index)
	}
	return fmt.Sprintf("GPU %d (%s)", d.Index, d.Name)
}

// Devices returns the GPUs that the driver shows, those that nearfar cannot use included. They are in the driver's order, which
// CUDA_VISIBLE_DEVICES can change.
func Devices() ([]Device, error) {
	if err := Open(); err != nil {
		return nil, err
	}
	var count C.int
	if err := check("cuDeviceGetCount", C.cuDeviceGetCount(&count)); err != nil {
		return nil, err
	}
	devices := make([]Device, count)
	for i := range devices {
		d := &devices[i]
		d.Index = i
		if d.Err = d.ask(); d.Err == nil && d.Capability.less(oldestCapability) {
			d.Err = fmt.Errorf("too old: its compute capability is %v, the kernels need %v", d.Capability, oldestCapability)
		}
	}
	return devices, nil
}

func (d *Device) ask() error {
	var device, major, minor C.int
	var memory C.size_t
	var name [256]C.char
	for _, call := range []struct {
		name string
		code C.CUresult
	}{
		{"cuDeviceGet", C.cuDeviceGet(&device, C.int(d.Index))},
		{"cuDeviceGetName", C.cuDeviceGetName(&name[0], C.int(len(name)), device)},
		{"cuDeviceGetAttribute", C.cuDeviceGetAttribute(&major, C.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device)},
		{"cuDeviceGetAttribute", C.cuDeviceGetAttribute(&minor, C.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device)},
		{"cuDeviceTotalMem", C.cuDeviceTotalMem_v2(&memory, device)},
	} {
		if err := check(call.name, call.code); err != nil {
			return err
		}
	}
	d.Name, d.Memory = C.GoString(&name[0]), int64(memory)
	d.Capability = Version{int(major), int(minor), 0}
	return nil
}

// Available returns nil where there is a driver and a GPU that nearfar can use. Otherwise the error says what is in the way, in one line.
func Available() error {
	devices, err := Devices()
	if err != nil {
		return err
	}
	var reasons []string
	for _, d := range devices {
		if d.Err == nil {
			return nil
		}
		reasons = append(reasons, fmt.Sprintf("%s: %v", d.Label(), d.Err))
	}
	if len(reasons) > 0 {
		return fmt.Errorf("no GPU that can be used: %s", strings.Join(reasons, "; "))
	}
	if visible, set := os.LookupEnv("CUDA_VISIBLE_DEVICES"); set {
		return fmt.Errorf("the driver shows no GPU: CUDA_VISIBLE_DEVICES is %q", visible)
	}
	return fmt.Errorf("the driver (%s) shows no GPU", openCUDA().File)
}

// A Report is all that there is to say when somebody asks why a GPU is not used.
type Report struct {
	Module       string // the kernel's part of the driver, in its own words; empty where it is not loaded
	Driver, BLAS Library
	Devices      []Device
	Err          error // why none of them is used: what Available says, or that there is no cuBLAS
}

// Inspect opens both libraries and reports on them and on the GPUs.
func Inspect() Report {
	r := Report{Module: module(), Driver: *openCUDA(), Err: Available()}
	if r.Driver.Err != nil {
		r.BLAS = Library{Name: "libcublas", Err: errors.New("not looked for without a driver")}
		return r
	}
	r.BLAS = *openBLAS()
	if r.Err == nil {
		r.Err = r.BLAS.Err
	}
	r.Devices, _ = Devices() // its error is in r.Err
	return r
}

// module reads what the kernel's module says of itself. WSL has none.
func module() string {
	text, err := os.ReadFile("/proc/driver/nvidia/version")
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return strings.Join(strings.Fields(strings.TrimPrefix(line, "NVRM version:")), " ")
}

// String is the report in lines, for a terminal.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "kernel module: %s\n", cmp.Or(r.Module, "none loaded (no /proc/driver/nvidia/version)"))
	for _, lib := range []Library{r.Driver, r.BLAS} {
		if lib.Err == nil {
			fmt.Fprintf(&b, "%s: %s, version %v\n", lib.Name, lib.File, lib.Version)
		} else {
			fmt.Fprintf(&b, "%s: %v\n", lib.Name, lib.Err)
		}
		for _, a := range lib.Tried {
			result := "in use"
			if a.Err != nil {
				result = a.Err.Error()
			}
			fmt.Fprintf(&b, "  tried %s (%s): %s\n", a.Path, a.From, result)
		}
		if n := len(lib.Missing); n > 0 {
			const shown = 6
			fmt.Fprintf(&b, "  lacks %s", strings.Join(lib.Missing[:min(n, shown)], ", "))
			if n > shown {
				fmt.Fprintf(&b, " and %d more functions", n-shown)
			}
			b.WriteByte('\n')
		}
	}
	for _, d := range r.Devices {
		b.WriteString(d.Label())
		if d.Capability != (Version{}) {
			fmt.Fprintf(&b, ", compute capability %v, %.1f GiB", d.Capability, float64(d.Memory)/(1<<30))
		}
		if d.Err != nil {
			fmt.Fprintf(&b, ": %v", d.Err)
		}
		b.WriteByte('\n')
	}
	if r.Err != nil {
		fmt.Fprintf(&b, "no GPU is used: %v\n", r.Err)
	}
	return b.String()
}
