package cpu

import (
	"slices"
	"unsafe"

	"nearfar/kernels"
)

// A Phase is work in Chunks independent parts. The number of chunks depends on the shapes only, never on the number of threads,
// so any number of threads gives the same bits.
type Phase struct {
	Chunks int
	Run    func(chunk int)
}

// Work is phases that run one after another.
type Work []Phase

// grain is the work of one chunk in elements touched: tens of microseconds, which hides the hand-over between threads and still
// balances them.
const grain = 1 << 15

// span is n items in parts of equal length; the last part may be shorter.
type span struct{ n, part int }

// cut divides n items, each of the given cost in elements, into parts of about one grain.
func cut(n, cost int) span { return span{n, max(1, grain/max(1, cost))} }

func (s span) chunks() int { return (s.n + s.part - 1) / s.part }

func (s span) at(chunk int) (lo, hi int) { return chunk * s.part, min(s.n, (chunk+1)*s.part) }

// phase runs f on each part.
func (s span) phase(f func(lo, hi int)) Phase {
	return Phase{s.chunks(), func(chunk int) { f(s.at(chunk)) }}
}

// once is a phase of a single chunk.
func once(f func()) Phase { return Phase{1, func(int) { f() }} }

type float interface{ float32 | float64 }

// tensor is a Tensor of which the element type is known: F holds real numbers, I holds indices, B bfloat16.
type tensor[T float] struct {
	kernels.Desc
	F []T
	I []int32
	B []uint16
}

// call is one binding: what a family sees. Families must read operands only when they run, since an outline has none.
type call[T float] struct {
	set     Set
	out, in []tensor[T]
	*arena
}

func views[T float](ts []Tensor) []tensor[T] {
	vs := make([]tensor[T], len(ts))
	for i, t := range ts {
		vs[i] = tensor[T]{Desc: t.Desc, I: slices.Clip(t.I32), B: slices.Clip(t.B16)} // no slice of an operand reaches what lies behind it
		switch f := any(&vs[i].F).(type) {
		case *[]float32:
			*f = slices.Clip(t.F32)
		case *[]float64:
			*f = slices.Clip(t.F64)
		}
	}
	return vs
}

// same tells an output that lies on its input.
func same[E any](a, b []E) bool { return len(a) > 0 && len(b) > 0 && &a[0] == &b[0] }

// carry is the phases that bring an input's content to the output that replaces parts of it; none if they are the same memory.
func carry[E any](out, in []E, n int) Work {
	if same(out, in) {
		return nil
	}
	return Work{cut(n, 1).phase(func(lo, hi int) { copy(out[lo:hi], in[lo:hi]) })}
}

// arena hands out scratch memory. Without memory it only counts.
type arena struct {
	memory []byte
	used   int
}

// line is the alignment of everything taken from an arena: a cache line.
const line = 64

// take returns room for n elements, of unspecified content.
func take[E any](a *arena, n int) []E {
	var e E
	at := a.used
	a.used += (n*int(unsafe.Sizeof(e)) + line - 1) / line * line
	if a.memory == nil || n == 0 {
		return nil
	}
	return unsafe.Slice((*E)(unsafe.Pointer(&a.memory[at:a.used][0])), n)
}
