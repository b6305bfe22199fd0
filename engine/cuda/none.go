//go:build !(gpu && linux && amd64 && cgo)

package cuda

import (
	"errors"
	"fmt"
	"os"

	"nearfar/engine"
)

var errNone = errors.New("this build has no CUDA device: build it with `make gpu`, on linux/amd64 with a C compiler")

// kernelModule is there while the kernel has NVIDIA's driver. WSL has none.
const kernelModule = "/proc/driver/nvidia/version"

// Expected tells whether somebody may think that a GPU is used, though nobody has asked for one: where the machine has NVIDIA's driver.
func Expected() bool { return exists(kernelModule) }

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Any asks Open for the first GPU that opens.
const Any = -1

// Open opens a GPU, as the driver numbers them, or Any.
func Open(index int) (engine.Device, error) { return nil, errNone }

// Report says in lines what there is of NVIDIA's driver, libraries and GPUs, and why none is used where none is.
func Report() string { return report(kernelModule) }

func report(module string) string {
	text := errNone.Error() + "\n"
	if exists(module) {
		text += fmt.Sprintf("the machine has NVIDIA's driver (%s), which such a build would use\n", module)
	}
	return text
}
