package trainer

import (
	"fmt"
	"strconv"

	"nearfar/engine"
	"nearfar/engine/cpu"
	kernelset "nearfar/kernels/cpu"
)

// OpenDevice chooses the device that -gpu asks for. Where a GPU was asked for and cannot be had, warning says why, and the CPU is used; with
// requireGPU that is an error.
func OpenDevice(gpu string, requireGPU bool, threads int) (d engine.Device, warning string, err error) {
	if err := checkGPU(gpu); err != nil {
		return nil, "", err
	}
	if gpu != "auto" && gpu != "off" {
		warning = fmt.Sprintf("-gpu %s: this build has no CUDA device: training on the CPU", gpu)
	}
	if requireGPU {
		return nil, "", fmt.Errorf("-require-gpu: this build has no CUDA device")
	}
	return cpu.New(threads, kernelset.Best()), warning, nil
}

// checkGPU refuses what -gpu cannot be.
func checkGPU(gpu string) error {
	if i, err := strconv.Atoi(gpu); gpu != "auto" && gpu != "off" && (err != nil || i < 0) {
		return fmt.Errorf("-gpu %s: want auto, off, or the index of a GPU", gpu)
	}
	return nil
}
