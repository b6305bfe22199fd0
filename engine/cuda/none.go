//go:build !(gpu && linux && amd64 && cgo)

package cuda

import (
	"errors"

	"nearfar/engine"
)

var errNone = errors.New("this build has no CUDA device: build it with `make gpu`, on linux/amd64 with a C compiler")

// Built says whether this build has a CUDA device at all.
const Built = false

// Any asks Open for the first GPU that opens.
const Any = -1

// Open opens a GPU, as the driver numbers them, or Any.
func Open(index int) (engine.Device, error) { return nil, errNone }

// Report says in lines what there is of NVIDIA's driver, libraries and GPUs, and why none is used where none is.
func Report() string { return errNone.Error() + "\n" }
