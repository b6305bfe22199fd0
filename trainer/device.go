package trainer

import (
	"errors"
	"fmt"
	"strconv"

	"nearfar/engine"
	"nearfar/engine/cpu"
	"nearfar/engine/cuda"
	kernelset "nearfar/kernels/cpu"
)

// A Fallback says why the processor is used where the options allow a GPU; the zero value is that it is not so.
type Fallback struct {
	GPU    string // what -gpu asked for
	Reason string
}

// Warning is what a user who asked for a GPU by its index must read; empty where none was asked for.
func (f Fallback) Warning() string {
	if f.Reason == "" || f.GPU == "auto" {
		return ""
	}
	return fmt.Sprintf("-gpu %s: %s: training on the CPU ('trainer doctor' says more)", f.GPU, f.Reason)
}

// Note is the reason where nobody asked for a GPU but this build could have used one: to be said, not to be warned of.
func (f Fallback) Note() string {
	if f.GPU != "auto" || !cuda.Built {
		return ""
	}
	return f.Reason
}

// Said is the Warning or the Note, for those who print both alike; empty where there is nothing to say.
func (f Fallback) Said() string {
	if note := f.Note(); note != "" {
		return "no GPU is used: " + note
	}
	return f.Warning()
}

// OpenDevice opens the device that -gpu asks for: a GPU by its index, the first that can be used (auto), or the processor (off). Where a GPU cannot be
// had it is the processor, and the Fallback says why; with requireGPU that is an error.
func OpenDevice(gpu string, requireGPU bool, threads int) (engine.Device, Fallback, error) {
	if err := checkGPU(gpu, requireGPU); err != nil {
		return nil, Fallback{}, err
	}
	var fallback Fallback
	if gpu != "off" {
		index := cuda.Any
		if gpu != "auto" {
			index, _ = strconv.Atoi(gpu)
		}
		d, err := cuda.Open(index)
		if err == nil {
			return d, fallback, nil
		}
		if requireGPU {
			return nil, fallback, fmt.Errorf("-require-gpu: %w ('trainer doctor' says more)", err)
		}
		fallback = Fallback{gpu, err.Error()}
	}
	return cpu.New(threads, kernelset.Best()), fallback, nil
}

// checkGPU refuses what -gpu cannot be.
func checkGPU(gpu string, require bool) error {
	if i, err := strconv.Atoi(gpu); gpu != "auto" && gpu != "off" && (err != nil || i < 0) {
		return fmt.Errorf("-gpu %s: want auto, off, or the index of a GPU", gpu)
	}
	if gpu == "off" && require {
		return errors.New("-require-gpu with -gpu off: give one of the two; -require-gpu=false takes back that of a run or a file")
	}
	return nil
}
