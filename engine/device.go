package engine

import (
	"context"
	"errors"
	"time"

	"nearfar/kernels"
)

// A Device runs plans. engine/cpu is always there and is the reference; engine/paranoid checks plans in tests.
type Device interface {
	Name() string
	// Offers tells whether the device computes k; where it does not, the plan writes the operator in smaller ones or fails.
	Offers(k kernels.Kernel, out, in []kernels.Desc) bool
	// Alloc gives zeroed memory at a stable address. what names it in an error.
	Alloc(bytes int64, what string) (Mem, error)
	// Load resolves a plan's kernels and allocates what it needs. Nothing is allocated afterwards.
	Load(p *Plan, b Binding) (Exec, error)
	// Close ends the device, behind its programs and its memory.
	Close() error
}

// ErrDeviceLost is what errors.Is finds in every error of a device that nothing can be asked of any more: its memory cannot be read, and all that is
// left is to close what is open on it. Behind any other error its memory can still be read.
var ErrDeviceLost = errors.New("the device is lost")

// ErrOutOfMemory is what errors.Is finds in the error of a device that has not the memory for an Alloc, a Load or a Staging.
var ErrOutOfMemory = errors.New("the device has too little memory")

// Mem is memory of a device.
type Mem interface {
	Write(off int64, b []byte) error
	Read(b []byte, off int64) error
	Free() error
}

// A Binding is the memory that a plan meets from outside.
type Binding struct {
	Entry           func(name string) Mem // of the Store
	Inputs, Outputs Mem
}

// An Exec is a loaded plan. One goroutine at a time.
type Exec interface {
	Run(ctx context.Context) error
	Close() error
}

// A Stager is a Device with host memory that it copies to and from without a detour. Where it has none, Go's will do.
type Stager interface {
	// Staging gives zeroed memory at a multiple of 64. what names it in an error. free gives it back, also on a lost device, and before the device is
	// closed; nobody may look at it afterwards.
	Staging(bytes int64, what string) (b []byte, free func() error, err error)
}

// A Piece is bytes for a place in the input block, or from one in the output block.
type Piece struct {
	At    int64  // in bytes from the block's beginning
	Bytes []byte // where the device is a Stager, best of its memory
}

// A Stepper is an Exec that does all of a step at once: it copies in to the input block, runs the plan, and reads report from its place in the
// output block. It is for a device on which each call costs a wait. When it returns, in and report are the caller's again.
type Stepper interface {
	Step(ctx context.Context, in []Piece, report Piece) error
}

// A Prober runs a plan instruction by instruction and returns the first one that makes a NaN or an infinity of finite inputs, -1 where
// none does.
type Prober interface {
	Probe(ctx context.Context) (instr int, err error)
}

// A Profiler runs a plan with a clock round each instruction.
type Profiler interface {
	Profile(ctx context.Context) ([]time.Duration, error)
}

// BufID names a buffer of a plan.
type BufID int32

// BufKind says where a buffer lives.
type BufKind uint8

const (
	Temp     BufKind = iota // in the arena, between its first and last instruction
	Input                   // in the input block
	Output                  // in the output block
	Resident                // an entry of the Store
)

func (k BufKind) String() string { return [...]string{"temp", "input", "output", "store"}[k] }

// Buf is a tensor of a plan. A Buf whose Root is another one is that one's memory under another shape, or overwritten in place.
type Buf struct {
	Desc     kernels.Desc
	Kind     BufKind
	Name     string // of the port, the output or the Store's entry
	Offset   int64  // in the arena, the input or the output block
	From, To int    // the instructions between which the memory is live (roots only)
	Root     BufID
}

// Instr is one kernel call.
type Instr struct {
	K       kernels.Kernel
	Out, In []BufID
	// InPlace[i] is the input that output i overwrites, -1 where none.
	InPlace      []int
	FLOPs, Bytes int64
	From         string // the operator of the graph, for explain, errors and the NaN report
}

// Plan is a program for a device: buffers and a total order of kernel calls. A device may overlap them but not change results.
type Plan struct {
	Bufs  []Buf
	Code  []Instr
	Arena int64 // bytes of all temporaries together
	Input int64 // bytes of the input block
	Out   int64 // bytes of the output block
}

// Descs gives the descriptions of an instruction's operands.
func (p *Plan) Descs(ids []BufID) []kernels.Desc {
	d := make([]kernels.Desc, len(ids))
	for i, id := range ids {
		d[i] = p.Bufs[id].Desc
	}
	return d
}
