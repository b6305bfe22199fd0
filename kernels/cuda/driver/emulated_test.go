//go:build gpu && linux && amd64 && cgo

package driver

import (
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"nearfar/kernels/cuda/images"
)

// ofCU are the driver's functions that nearfar calls through gorgonia.org/cu.
var ofCU = []string{
	"cuCtxCreate_v2", "cuCtxDestroy_v2", "cuCtxGetCurrent", "cuCtxSetCurrent", "cuCtxSynchronize",
	"cuDeviceGet", "cuDeviceGetAttribute", "cuDeviceGetCount", "cuDeviceGetName", "cuDeviceTotalMem_v2",
	"cuEventCreate", "cuEventDestroy_v2", "cuEventElapsedTime", "cuEventQuery", "cuEventRecord", "cuEventSynchronize",
	"cuFuncGetAttribute", "cuLaunchKernel",
	"cuMemAlloc_v2", "cuMemFree_v2", "cuMemGetInfo_v2",
	"cuMemcpyDtoDAsync_v2", "cuMemcpyDtoD_v2", "cuMemcpyDtoHAsync_v2", "cuMemcpyDtoH_v2", "cuMemcpyHtoDAsync_v2", "cuMemcpyHtoD_v2",
	"cuMemsetD32Async", "cuMemsetD32_v2", "cuMemsetD8Async",
	"cuModuleGetFunction", "cuModuleLoadData", "cuModuleUnload",
	"cuStreamCreate", "cuStreamDestroy_v2", "cuStreamQuery", "cuStreamSynchronize", "cuStreamWaitEvent",
}

// The emulated driver has every function that this package and those above it call: without it a test would fail with CUDA_ERROR_NOT_FOUND
// where a GPU would go on.
func TestEmulatorHasWhatIsCalled(t *testing.T) {
	file := emulator
	if file == "" {
		t.Skip("make test-gpu names the emulated driver")
	}
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		file = filepath.Join(file, "libcuda.so.1")
	}
	library, err := elf.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer library.Close()
	symbols, err := library.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	var has []string
	for _, s := range symbols {
		if s.Section != elf.SHN_UNDEF {
			has = append(has, s.Name)
		}
	}
	if !slices.Contains(has, "cuemuSeed") {
		t.Skipf("%s is not the emulator", file)
	}
	api, err := os.ReadFile("api.h")
	if err != nil {
		t.Fatal(err)
	}
	wants := ofCU
	for _, m := range regexp.MustCompile(`(?m)^(?:CUresult|cublasStatus_t) (\w+)\(`).FindAllStringSubmatch(string(api), -1) {
		wants = append(wants, m[1])
	}
	if len(wants) < len(ofCU)+20 {
		t.Fatalf("api.h declares %d functions: its form has changed", len(wants)-len(ofCU))
	}
	for _, name := range wants {
		if !slices.Contains(has, name) {
			t.Errorf("the emulator lacks %s", name)
		}
	}
}

// Every GPU that is not refused as too old can run the images: their oldest target is PTX of that capability.
func TestOldestCapabilityIsThatOfTheImages(t *testing.T) {
	if oldest := fmt.Sprintf("compute_%d%d", oldestCapability.Major, oldestCapability.Minor); strings.Fields(images.Targets)[0] != oldest {
		t.Errorf("GPUs are taken from %v on, and images are for %s", oldestCapability, images.Targets)
	}
}
