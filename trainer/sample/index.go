package sample

import (
	"fmt"
	"math"
	"math/bits"

	"nearfar/engine"
	"nearfar/kernels"
)

// An Index is a list of ids that comes with its inverse, so that a gradient is scattered row by row in a fixed order, without
// atomics, and a sparse optimiser knows the rows that a batch touches. With B ids in 0..Bound-1 (-1 in padding) its ports are
//
//	NAME      [B]    the ids
//	NAME/rows [B]    the distinct ids in increasing order, then -1
//	NAME/seg  [B+1]  row k occurs at the positions perm[seg[k]:seg[k+1]]; constant after the last row
//	NAME/perm [B]    the positions of the ids in the order of rows, increasing within a row; then -1
//
// and, where the loss runs over distinct ids (InfoNCE as SELFRec writes it, torch.unique before the loss),
//
//	NAME/unique [B]  weight of rows[k]: 1/(number of distinct ids), 0 in padding
//	NAME/absent [B]  bias of rows[k] as a column of logits: 0, -Inf in padding
//
// An Index keeps scratch memory: one goroutine at a time.
type Index struct {
	name     string
	bound    int
	distinct bool

	from, to []int32 // positions, before and after one pass of the radix sort
	count    [1 << radixBits]int32
}

// radixBits sorts ids below 4 million in two passes; the counts of one pass fit the L1 cache.
const radixBits = 11

// NewIndex is an index of length ids in 0..bound-1. With distinct it has the ports unique and absent.
func NewIndex(name string, length, bound int, distinct bool) (*Index, error) {
	if length < 1 || bound < 1 || int64(bound) > math.MaxInt32 {
		return nil, fmt.Errorf("sample: index %q of %d ids below %d: both must be positive and fit 32 bits", name, length, bound)
	}
	return &Index{name: name, bound: bound, distinct: distinct, from: make([]int32, length), to: make([]int32, length)}, nil
}

// Ports are the ports above, in that order.
func (x *Index) Ports() []engine.Port {
	n := len(x.from)
	ports := []engine.Port{
		{Name: x.name, Desc: kernels.Of(kernels.Int32, n)},
		{Name: x.name + "/rows", Desc: kernels.Of(kernels.Int32, n)},
		{Name: x.name + "/seg", Desc: kernels.Of(kernels.Int32, n+1)},
		{Name: x.name + "/perm", Desc: kernels.Of(kernels.Int32, n)},
	}
	if x.distinct {
		ports = append(ports,
			engine.Port{Name: x.name + "/unique", Desc: kernels.Of(kernels.Float32, n)},
			engine.Port{Name: x.name + "/absent", Desc: kernels.Of(kernels.Float32, n)})
	}
	return ports
}

// width is the number of ports.
func (x *Index) width() int {
	if x.distinct {
		return 6
	}
	return 4
}

// Invert reads the ids from out[0] and writes the other ports; out is ordered as Ports.
func (x *Index) Invert(out []engine.Slot) error {
	ids, rows, seg, perm := out[0].I32, out[1].I32, out[2].I32, out[3].I32
	order, err := x.sort(ids)
	if err != nil {
		return err
	}
	n := 0 // distinct ids so far
	for i, p := range order {
		if i == 0 || ids[p] != rows[n-1] {
			rows[n], seg[n] = ids[p], int32(i)
			n++
		}
		perm[i] = p
	}
	fill(rows[n:], -1)
	fill(seg[n:], int32(len(order)))
	fill(perm[len(order):], -1)
	if x.distinct {
		for k := range ids {
			if k < n {
				out[4].Set(k, 1/float64(n))
				out[5].Set(k, 0)
			} else {
				out[4].Set(k, 0)
				out[5].Set(k, math.Inf(-1))
			}
		}
	}
	return nil
}

// sort returns the positions of the ids that are not -1 by increasing id, equal ids by position: a radix sort from the least
// significant digit, O(B + 2^radixBits) a pass. The result is the index's scratch.
func (x *Index) sort(ids []int32) ([]int32, error) {
	n := 0
	for p, id := range ids {
		if id == -1 {
			continue
		}
		if id < 0 || int(id) >= x.bound {
			return nil, fmt.Errorf("sample: index %q: id %d at position %d is not in 0..%d", x.name, id, p, x.bound-1)
		}
		x.from[n] = int32(p)
		n++
	}
	from, to := x.from[:n], x.to[:n]
	for shift := 0; shift < bits.Len(uint(x.bound-1)); shift += radixBits {
		clear(x.count[:])
		for _, p := range from {
			x.count[uint32(ids[p])>>shift%(1<<radixBits)]++
		}
		start := int32(0)
		for d, c := range x.count {
			x.count[d] = start
			start += c
		}
		for _, p := range from {
			d := uint32(ids[p]) >> shift % (1 << radixBits)
			to[x.count[d]] = p
			x.count[d]++
		}
		from, to = to, from
	}
	return from, nil
}

func fill(s []int32, v int32) {
	for i := range s {
		s[i] = v
	}
}
