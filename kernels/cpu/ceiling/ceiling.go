// Package ceiling has the loops that say what a processor can do at best: multiply and add without memory, and read or update memory without
// arithmetic. No part of the engine: cmd/kernelbench holds kernels against them. Without assembly there is nothing to hold anything against, and
// Measured says so.
package ceiling

import "unsafe"

// Block is the granularity of Read and Update, in bytes.
const Block = 512

// callBytes is what one call of the assembly passes over: tens of microseconds from memory, since no goroutine can be stopped in it.
const callBytes = 256 << 10

// Measured tells whether this build has loops for this processor.
func Measured() bool { return width() > 0 }

// flopsPerTurn is what one turn of the loop does: 24 multiplications and additions of a register.
func flopsPerTurn() int { return 24 * 2 * width() / 4 }

// FMA multiplies and adds, of float32, at least so many times and returns how many it was.
func FMA(flops int) int {
	const turns = 4000 // 24 FMAs each, two a cycle: some 15 microseconds
	calls := flops/(turns*flopsPerTurn()) + 1
	for range calls {
		multiply(turns)
	}
	return calls * turns * flopsPerTurn()
}

// Read reads b. Its length is a multiple of Block.
func Read(b []byte) { pass(b, read) }

// Update reads b and writes it back. The bytes are float32 numbers; -0 becomes 0.
func Update(b []byte) { pass(b, update) }

func pass(b []byte, f func(p *byte, blocks int)) {
	for at := 0; at+Block <= len(b); at += callBytes {
		part := b[at:min(len(b), at+callBytes)]
		f(unsafe.SliceData(part), len(part)/Block)
	}
}
