package trainer

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"nearfar/engine"
	"nearfar/engine/cpu"
	"nearfar/engine/cuda"
	kernelset "nearfar/kernels/cpu"
	"nearfar/models"
)

// A Fallback says why the processor is used where the options allow a GPU; the zero value is that it is not so.
type Fallback struct {
	GPU    string // what -gpu asked for
	Reason string

	expected bool // a GPU, also where nobody asked for one
	chosen   bool // by the model or an option, whatever the machine has
}

// Warning is what a user who asked for a GPU by its index must read; empty where none was asked for.
func (f Fallback) Warning() string {
	switch {
	case f.Reason == "" || f.GPU == "auto":
		return ""
	case f.chosen:
		return fmt.Sprintf("-gpu %s: %s: using the CPU", f.GPU, f.Reason)
	}
	return fmt.Sprintf("-gpu %s: %s: using the CPU ('trainer doctor' says more)", f.GPU, f.Reason)
}

// Note is the reason where nobody asked for a GPU but one could be expected, of this build or this machine: to be said, not to be warned of.
func (f Fallback) Note() string {
	if f.GPU != "auto" || !f.expected {
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
// had it is the processor, and the Fallback says why; with -require-gpu that is an error. A model that is fitted has no use for a GPU, nor has half precision, and
// none is opened. Of no model (nil), it is what others get.
func OpenDevice(o Running, model models.Options) (engine.Device, Fallback, error) {
	if err := checkGPU(o.GPU, o.RequireGPU); err != nil {
		return nil, Fallback{}, err
	}
	set, err := Kernels()
	if err != nil {
		return nil, Fallback{}, err
	}
	processor := func() engine.Device { return cpu.New(o.Threads, set) } // it has goroutines
	if o.GPU == "off" {
		return processor(), Fallback{}, nil
	}
	if reason := noGPU(o, model); reason != "" {
		if o.RequireGPU {
			return nil, Fallback{}, fmt.Errorf("-require-gpu: %s: leave it out", reason)
		}
		return processor(), Fallback{GPU: o.GPU, Reason: reason, chosen: true, expected: o.Precision == half && cuda.Expected()}, nil
	}
	index := cuda.Any
	if o.GPU != "auto" {
		index, _ = strconv.Atoi(o.GPU)
	}
	d, err := cuda.Open(index)
	if err == nil {
		return d, Fallback{}, nil
	}
	if o.RequireGPU {
		return nil, Fallback{}, fmt.Errorf("-require-gpu: %w ('trainer doctor' says more)", err)
	}
	return processor(), Fallback{GPU: o.GPU, Reason: err.Error(), expected: cuda.Expected()}, nil
}

// half is the -precision of which only the processor has kernels.
const half = "half"

// noGPU says what of the options and the model has no use for a GPU; empty where there is nothing.
func noGPU(o Running, model models.Options) string {
	if _, fitted := model.(models.Fitted); fitted {
		return "the model is fitted on the processor, and ranks there"
	}
	if o.Precision == half {
		return "-precision half is the processor's"
	}
	return ""
}

// KernelVariable names the kernels of the processor: generic, avx2 or avx512. Without it they are the fastest that it can run.
const KernelVariable = "NEARFAR_KERNELS"

// Kernels are those of the processor.
func Kernels() (kernelset.Set, error) {
	set, err := kernelset.Named(os.Getenv(KernelVariable))
	if err != nil {
		return set, fmt.Errorf("%s: %w", KernelVariable, err)
	}
	return set, nil
}

// What a device with too little memory can be helped by: what trains can be made smaller, what ranks has the size that it has.
const (
	TrainSmaller = "lower -batch, which a step's memory grows with, or -dim or -layers"
	RankOnCPU    = "use the processor with -gpu off"
)

// Advised adds what else can be done to the error of a device that has too little memory. Others are as they were.
func Advised(err error, advice string) error {
	if !errors.Is(err, engine.ErrOutOfMemory) {
		return err
	}
	return fmt.Errorf("%w, or %s", err, advice)
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
