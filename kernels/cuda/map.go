package cuda

import (
	"bytes"
	"encoding/binary"
	"math"

	"nearfar/kernels"
)

// Of map.cu: the threads of a block, and the elements that each of them computes at once.
const (
	mapThreads = 128
	mapWidth   = 4
)

// mapInstr is an instruction as map.cu reads it. A source is an operand (its number), the previous result, a slot, or nothing.
type mapInstr struct {
	Op      int32
	Slot    int32 // where the result is kept beside the registers; -1: nowhere
	Sources uint32
	Imm     float32
}

const (
	mapPrevious = 64
	mapSlot     = 128 // + slot
	mapNothing  = 255
)

// mapOperand is an input as map.cu reads it.
type mapOperand struct {
	At      uint64
	Stride  [3]int64 // elements, along the dimensions 0, 1 and 2 of the output
	Unit    int32    // 1: along dimension 3, the last, an element follows the other; 0: one is repeated
	Integer int32
}

func (c *call) mapping(k kernels.Map) {
	p := newMapProgram(k)
	out := c.out[0]
	n := int64(out.Desc.Elems())
	dim, stride := p.collapse(out.Desc, c.in)
	kernel := "map"
	if dim[3]%mapWidth == 0 {
		kernel = "map4"
	}
	operands := make([]mapOperand, len(p.inputs))
	for i, in := range p.inputs {
		x, s := c.in[in], stride[i]
		operands[i] = mapOperand{At: uint64(x.At), Stride: [3]int64{int64(s[0]), int64(s[1]), int64(s[2])}, Unit: int32(s[3])}
		if x.Desc.Type == kernels.Int32 {
			operands[i].Integer = 1
		}
	}
	rank := 1
	for i := range 3 {
		if dim[i] > 1 {
			rank = 4 - i
			break
		}
	}
	if rank == 1 {
		dim[3] = 1 // unread, and likely to be above 2^31
	}
	if max(dim[1], dim[2], dim[3]) > math.MaxInt32 {
		c.decline()
		return
	}
	code, table := c.constant(packed(p.code)), c.constant(packed(operands))
	c.launch(kernel, over(n, mapThreads*mapWidth), mapThreads, n, rank, dim[1], dim[2], dim[3], len(p.code), code, table, out.At).
		Shared = p.slots * mapThreads * mapWidth * float
}

// packed is data as the device reads it.
func packed(data any) []byte {
	var b bytes.Buffer
	if err := binary.Write(&b, binary.LittleEndian, data); err != nil {
		panic(err) // a type without a fixed size
	}
	return b.Bytes()
}

// mapProgram is a Map without the instructions that nothing reads.
type mapProgram struct {
	code   []mapInstr
	inputs []int // of the Map, by operand: those that are read
	slots  int   // of results that live longer than to the next instruction
}

func newMapProgram(m kernels.Map) *mapProgram {
	n := m.Len()
	// last is the last instruction that reads a result, 0 where none does. Backwards: what nothing reads, reads nothing.
	var last [kernels.MaxMap]int
	last[n-1] = n
	for i := n - 1; i >= 0; i-- {
		if last[i] == 0 {
			continue
		}
		for _, k := range operandsOf(m.Code[i]) {
			if k < 0 {
				last[-k-1] = max(last[-k-1], i)
			}
		}
	}
	p := &mapProgram{}
	previous := -1
	slot := [kernels.MaxMap]int{} // of a result
	var taken [kernels.MaxMap]int // the last reader of what a slot holds
	for i, c := range m.Code[:n] {
		if last[i] == 0 {
			continue
		}
		sources := [3]uint32{mapNothing, mapNothing, mapNothing}
		for j, k := range operandsOf(c) {
			switch r := int(-k) - 1; {
			case k >= 0:
				sources[j] = p.operand(int(k))
			case r == previous:
				sources[j] = mapPrevious
			default:
				sources[j] = mapSlot + uint32(slot[r])
			}
		}
		x := mapInstr{Op: int32(c.Op), Slot: -1, Sources: sources[0] | sources[1]<<8 | sources[2]<<16, Imm: float32(c.Imm)}
		// A result stays in registers for the next instruction. A slot that this instruction was the last to read may take its result: a thread
		// reads before it writes.
		if i < n-1 && last[i] > p.next(last[:], i) {
			s := 0
			for s < p.slots && taken[s] > i {
				s++
			}
			p.slots = max(p.slots, s+1)
			taken[s], slot[i], x.Slot = last[i], s, int32(s)
		}
		p.code = append(p.code, x)
		previous = i
	}
	return p
}

// next is the instruction behind i that is read.
func (p *mapProgram) next(last []int, i int) int {
	for i++; last[i] == 0; i++ {
	}
	return i
}

func operandsOf(c kernels.MapInstr) []int8 { return []int8{c.A, c.B, c.C}[:c.Op.Arity()] }

// operand is the number of an input among those that are read.
func (p *mapProgram) operand(input int) uint32 {
	for i, in := range p.inputs {
		if in == input {
			return uint32(i)
		}
	}
	p.inputs = append(p.inputs, input)
	return uint32(len(p.inputs) - 1)
}

// collapse writes the output's dimensions, and the operands' strides along them, as few as possible, right-aligned: a dimension that every
// operand walks on with its neighbour is one with it. Operands of the output's shape beside scalars leave one dimension, [n, d] with [d] or [n, 1]
// two. Along the last of them an operand has stride 1 or 0.
func (p *mapProgram) collapse(out kernels.Desc, in []Tensor) (dim [kernels.MaxRank]int, stride [][kernels.MaxRank]int) {
	whole := make([][kernels.MaxRank]int, len(p.inputs))
	for i, k := range p.inputs {
		whole[i] = kernels.Strides(out, in[k].Desc)
	}
	stride = make([][kernels.MaxRank]int, len(p.inputs))
	for i := range dim {
		dim[i] = 1
	}
	at := kernels.MaxRank - 1
	for i := out.Rank - 1; i >= 0; i-- {
		if out.Dim[i] == 1 {
			continue
		}
		together := true
		for k := range stride {
			together = together && whole[k][i] == stride[k][at]*dim[at]
		}
		switch {
		case dim[at] == 1:
		case together:
			dim[at] *= out.Dim[i]
			continue
		default:
			at--
		}
		dim[at] = out.Dim[i]
		for k := range stride {
			stride[k][at] = whole[k][i]
		}
	}
	return dim, stride
}
