//go:build !(gpu && linux && amd64 && cgo)

package cuda

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWithoutTheTag(t *testing.T) {
	d, err := Open(0)
	if d != nil || err == nil || !strings.Contains(err.Error(), "make gpu") || !strings.Contains(Report(), "make gpu") {
		t.Errorf("device %v, error %v, report %q: want what to build", d, err, Report())
	}
}

// Where the machine has NVIDIA's driver, a build that does not use it says so.
func TestDriverWithoutTheTag(t *testing.T) {
	module := filepath.Join(t.TempDir(), "version")
	if exists(module) || strings.Contains(report(module), "NVIDIA's driver") {
		t.Errorf("without a driver the report is %s", report(module))
	}
	if err := os.WriteFile(module, []byte("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if !exists(module) || !strings.Contains(report(module), "NVIDIA's driver ("+module+")") {
		t.Errorf("with a driver the report is %s", report(module))
	}
	if Expected() != exists(kernelModule) {
		t.Errorf("a GPU is expected: %t", Expected())
	}
}
