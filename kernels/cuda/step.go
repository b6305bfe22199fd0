package cuda

import (
	"fmt"
	"math"
)

// A Ptr is an address in the device's memory. Lowering only reckons with it.
type Ptr uint64

// A Step is one thing that a device does: *Launch, *Product, *Copy or *Clear.
type Step interface{ String() string }

// Work is steps that a device carries out one after another. Table is constant data that they read: it must lie at the address that Bind was
// given, before the first of them runs.
type Work struct {
	Steps []Step
	Table []byte
}

// A Launch runs a kernel of this folder's .cu files.
type Launch struct {
	Kernel string // the name of its extern "C" function
	Grid   [3]int // blocks
	Block  int    // threads a block
	Shared int    // bytes of dynamic shared memory
	Args   []Arg  // behind the two that every kernel begins with: see KERNEL in kernel.h
}

func (l *Launch) String() string {
	return fmt.Sprintf("%s<<<%v, %d, %d>>>", l.Kernel, l.Grid, l.Block, l.Shared)
}

// An Arg is a parameter of a kernel: its bits, and how many bytes the kernel takes for it.
type Arg struct {
	Bits uint64
	Size int
}

// arg makes a parameter of a value: an int is CUDA's 32-bit int, so whoever passes a number of elements passes int64; a float64 is rounded to
// float32.
func arg(v any) Arg {
	switch v := v.(type) {
	case Ptr:
		return Arg{uint64(v), 8}
	case int64:
		return Arg{uint64(v), 8}
	case int:
		if int(int32(v)) != v {
			panic(fmt.Sprintf("cuda: %d is too large for an int of a kernel", v))
		}
		return Arg{uint64(uint32(v)), 4}
	case float64:
		return Arg{uint64(math.Float32bits(float32(v))), 4}
	case bool:
		if v {
			return Arg{1, 4}
		}
		return Arg{0, 4}
	}
	panic(fmt.Sprintf("cuda: a %T is no parameter of a kernel", v))
}

// A Product is C = Alpha A B + Beta C in float32 by cuBLAS, in each of Batches, with A [M, K], B [K, N] and C [M, N].
type Product struct {
	M, N, K     int
	Batches     int
	Alpha, Beta float32
	A, B, C     Matrix
}

func (p *Product) String() string {
	return fmt.Sprintf("product [%d x %d] [%d x %d] x %d", p.M, p.K, p.K, p.N, p.Batches)
}

// A Matrix is row-major.
type Matrix struct {
	At         Ptr
	Stride     int   // elements from the start of a row to that of the next, as stored
	Transposed bool  // what is stored is the transposed of what is meant; not for C
	Batch      int64 // elements from a matrix of a batch to the next
}

// A Copy moves bytes inside of the device.
type Copy struct {
	To, From Ptr
	Bytes    int64
}

func (c *Copy) String() string { return fmt.Sprintf("copy of %d bytes", c.Bytes) }

// A Clear sets bytes to 0; their number is a multiple of 4.
type Clear struct {
	At    Ptr
	Bytes int64
}

func (c *Clear) String() string { return fmt.Sprintf("clear of %d bytes", c.Bytes) }
