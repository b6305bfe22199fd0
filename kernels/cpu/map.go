package cpu

import (
	"nearfar/kernels"
)

// Map: out[e] = f(in0[e], in1[e], ..), an expression of up to 16 instructions.
//
// Each instruction runs over a tile of up to 512 elements before the next one starts, so that what lies between them stays in the
// L1 cache: memory moves once for each full input and once for the output. One FLOP for each element and instruction; exp, log and tanh about 10.
// Four instructions (sign, mul, scale, add; 70k x 64) on one thread of a Zen 4: 3.2 ms by AVX2, 12.5 in plain Go; a sum alone 2.2 (2026-11-25). Larger
// tiles, loops of 16 elements and prefetching the next tile brought nothing.
//
// An input of the output's shape is read in place. Any other is spread over a register of the tile's length first.

// tapeRoom is the room for the registers of one chunk, on its stack: 16 KiB in float32.
const (
	tapeRoom = 4096
	tileMax  = 512
)

// layout says how a broadcast input lies under the output's elements e.
type layout uint8

const (
	full    layout = iota // element e
	single                // element 0
	cycle                 // element e mod period: the input has the output's last dimensions ([d] under [n, d])
	steps                 // element e / period: the input has the output's first dimensions ([n, 1] under [n, d])
	strided               // anything else
)

// operand is an input of a Map, or an intermediate result.
type operand[T float] struct {
	tensor[T]
	layout layout
	period int
	stride [kernels.MaxRank]int
	slot   int // its register; -1 for an input that is read in place
}

// step is an instruction whose operands are places: the inputs first, then the results.
type step struct {
	op      kernels.MapOp
	operand [3]int
	to      int // register; -1 for the output
	imm     float64
}

// tape is a Map with its registers assigned.
type tape[T float] struct {
	set       Set
	out       tensor[T]
	places    []operand[T]
	inputs    int
	steps     []step
	registers int
}

func (c *call[T]) mapping(m kernels.Map) Work {
	t := newTape(c.set, m, c.out[0], c.in)
	if t.registers == 0 {
		s := cut(c.out[0].Elems(), 2)
		return Work{s.phase(t.direct)}
	}
	return Work{cut(c.out[0].Elems(), 1+m.Len()).phase(t.run)}
}

func newTape[T float](set Set, m kernels.Map, out tensor[T], in []tensor[T]) *tape[T] {
	t := &tape[T]{set: set, out: out, inputs: len(in)}
	for _, x := range in {
		t.places = append(t.places, layOut(out.Desc, x))
	}
	n := m.Len()
	for i, c := range m.Code[:n] {
		s := step{op: c.Op, imm: c.Imm, to: -1}
		for j, k := range []int8{c.A, c.B, c.C}[:c.Op.Arity()] {
			s.operand[j] = int(k)
			if k < 0 {
				s.operand[j] = t.inputs + int(-k) - 1
			}
		}
		t.steps = append(t.steps, s)
		t.places = append(t.places, operand[T]{slot: i})
	}
	t.assign()
	return t
}

// assign gives a register to every input that must be spread and to every result but the last; a result's register is free
// again after its last use.
func (t *tape[T]) assign() {
	last := make([]int, len(t.places))
	for i, s := range t.steps {
		for _, p := range s.operand[:s.op.Arity()] {
			last[p] = i
		}
	}
	for p := range t.places[:t.inputs] {
		x := &t.places[p]
		if x.slot = -1; x.layout != full || x.I != nil || x.Type == kernels.Int32 {
			x.slot = t.registers
			t.registers++
		}
	}
	var free []int
	for i := range t.steps {
		if i < len(t.steps)-1 {
			if len(free) == 0 {
				free = append(free, t.registers)
				t.registers++
			}
			t.steps[i].to = free[len(free)-1]
			free = free[:len(free)-1]
			t.places[t.inputs+i].slot = t.steps[i].to
		}
		// Only now, so that no instruction writes over its own operands.
		for p := t.inputs; p < t.inputs+i; p++ {
			if last[p] == i && t.uses(i, p) {
				free = append(free, t.places[p].slot)
			}
		}
	}
}

func (t *tape[T]) uses(i, place int) bool {
	s := t.steps[i]
	for _, p := range s.operand[:s.op.Arity()] {
		if p == place {
			return true
		}
	}
	return false
}

// layOut finds how an input lies under the output.
func layOut[T float](out kernels.Desc, in tensor[T]) operand[T] {
	x := operand[T]{tensor: in, stride: kernels.Strides(out, in.Desc), layout: strided}
	n, elems := in.Elems(), out.Elems()
	if n == 0 || elems == 0 {
		return x
	}
	x.period = elems / n
	// A dimension of size 1 has stride 0 and does not count. What counts is where the repeated ones stand.
	firstRepeated, lastRepeated, firstKept, lastKept := -1, -1, -1, -1
	for i := range out.Rank {
		switch {
		case out.Dim[i] == 1:
		case x.stride[i] == 0:
			if lastRepeated = i; firstRepeated < 0 {
				firstRepeated = i
			}
		default:
			if lastKept = i; firstKept < 0 {
				firstKept = i
			}
		}
	}
	switch {
	case n == elems:
		x.layout = full
	case n == 1:
		x.layout = single
	case lastRepeated < firstKept:
		x.layout, x.period = cycle, n
	case lastKept < firstRepeated:
		x.layout = steps
	}
	return x
}

// direct is a single instruction over full inputs.
func (t *tape[T]) direct(lo, hi int) {
	var arg [3][]T
	s := &t.steps[0]
	for j, p := range s.operand[:s.op.Arity()] {
		arg[j] = t.places[p].F[lo:hi]
	}
	apply(t.set, s.op, t.out.F[lo:hi], arg[0], arg[1], arg[2], T(s.imm))
}

func (t *tape[T]) run(lo, hi int) {
	var room [tapeRoom]T
	width := min(tileMax, tapeRoom/t.registers)
	for p := range t.places[:t.inputs] {
		if x := &t.places[p]; x.layout == single {
			x.spread(room[x.slot*width:][:min(width, hi-lo)], t.out.Desc, 0)
		}
	}
	for at := lo; at < hi; at += width {
		n := min(width, hi-at)
		for p := range t.places[:t.inputs] {
			if x := &t.places[p]; x.slot >= 0 && x.layout != single {
				x.spread(room[x.slot*width:][:n], t.out.Desc, at)
			}
		}
		for i := range t.steps {
			s := &t.steps[i]
			var arg [3][]T
			for j, p := range s.operand[:s.op.Arity()] {
				if x := &t.places[p]; x.slot < 0 {
					arg[j] = x.F[at : at+n]
				} else {
					arg[j] = room[x.slot*width:][:n]
				}
			}
			to := t.out.F[at : at+n]
			if s.to >= 0 {
				to = room[s.to*width:][:n]
			}
			apply(t.set, s.op, to, arg[0], arg[1], arg[2], T(s.imm))
		}
	}
}

// spread writes what the input is under the output's elements at, at+1, ..
func (x *operand[T]) spread(to []T, out kernels.Desc, at int) {
	switch {
	case x.layout == strided || x.Type == kernels.Int32:
		x.walk(to, out, at)
	case x.layout == single:
		for i := range to {
			to[i] = x.F[0]
		}
	case x.layout == cycle:
		for from := at % x.period; len(to) > 0; from = 0 {
			to = to[copy(to, x.F[from:]):]
		}
	case x.layout == steps:
		for row, left := at/x.period, x.period-at%x.period; len(to) > 0; row, left = row+1, x.period {
			v, n := x.F[row], min(left, len(to))
			for i := range to[:n] {
				to[i] = v
			}
			to = to[n:]
		}
	}
}

// walk is spread for any strides and for integers: it carries the coordinates along.
func (x *operand[T]) walk(to []T, out kernels.Desc, at int) {
	var coord [kernels.MaxRank]int
	from := 0
	for i := out.Rank - 1; i >= 0; i-- {
		coord[i] = at % out.Dim[i]
		from += coord[i] * x.stride[i]
		at /= out.Dim[i]
	}
	for e := range to {
		if x.Type == kernels.Int32 {
			to[e] = T(x.I[from])
		} else {
			to[e] = x.F[from]
		}
		for i := out.Rank - 1; i >= 0; i-- {
			coord[i]++
			from += x.stride[i]
			if coord[i] < out.Dim[i] {
				break
			}
			from -= coord[i] * x.stride[i]
			coord[i] = 0
		}
	}
}
