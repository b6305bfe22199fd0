//go:build gpu && linux && amd64 && cgo

package cuda_test

import (
	"os"
	"strconv"
	"testing"

	"nearfar/kernels/cuda/emu/control"
	"nearfar/kernels/kerneltest"
)

// TestConformance holds the kernels to the float64 references: on a GPU, or on the emulated driver, which NEARFAR_CUDA_DRIVER names. Threads have no
// meaning to either. Where the suite asks for another number of them, the emulated driver takes another schedule of blocks, warps and lanes: four
// schedules a case, which must give the same bits.
func TestConformance(t *testing.T) {
	s := newOnDevice(t)
	if emulator, err := control.Open(); err == nil {
		s.emulator = emulator
		s.schedule, _ = strconv.ParseUint(os.Getenv("CUEMU_SEED"), 10, 64)
	}
	kerneltest.RunAll(t, s)
}
