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

// calledThroughCU are the driver's functions that package device calls through gorgonia.org/cu: those that its errors name, and one whose failure is
// none. They are called by the names that cu was compiled with.
func calledThroughCU(t *testing.T) (names []string) {
	t.Helper()
	files, err := filepath.Glob("../device/*.go")
	if err != nil {
		t.Fatal(err)
	}
	plain := []string{"cuMemGetInfo"}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`driver\.Call\("(\w+)"`).FindAllStringSubmatch(string(text), -1) {
			plain = append(plain, m[1])
		}
	}
	for _, name := range plain {
		found := 0
		for _, s := range cudaSymbols {
			if s == name || s == name+"_v2" {
				names, found = append(names, s), found+1
			}
		}
		if found == 0 {
			t.Errorf("package device names %s, which cu does not call", name)
		}
	}
	return names
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
	wants := calledThroughCU(t)
	throughCU := len(wants)
	for _, m := range regexp.MustCompile(`(?m)^(?:CUresult|cublasStatus_t) (\w+)\(`).FindAllStringSubmatch(string(api), -1) {
		wants = append(wants, m[1])
	}
	if throughCU < 18 || len(wants) < throughCU+20 {
		t.Fatalf("api.h declares %d functions and package device names %d: their form has changed", len(wants)-throughCU, throughCU)
	}
	for _, name := range wants {
		if !slices.Contains(has, name) && !slices.Contains(has, older[name]) {
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
