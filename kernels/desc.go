package kernels

import (
	"fmt"
	"slices"
	"strings"
)

// DType is the type of a tensor's elements.
type DType uint8

const (
	Float32 DType = iota
	Float64
	Int32
	BFloat16 // the upper half of a float32, as which moments are stored; no kernel computes in it
)

// Size is the number of bytes of one element.
func (t DType) Size() int {
	switch t {
	case Float64:
		return 8
	case BFloat16:
		return 2
	}
	return 4
}

// IsFloat tells the numbers that kernels compute with from indices, and from what is only stored.
func (t DType) IsFloat() bool { return t == Float32 || t == Float64 }

func (t DType) String() string { return [...]string{"float32", "float64", "int32", "bfloat16"}[t] }

// MaxRank is the highest rank of a tensor.
const MaxRank = 4

// Desc describes a contiguous, row-major tensor. It is a comparable value; a scalar has rank 0.
type Desc struct {
	Type DType
	Rank int
	Dim  [MaxRank]int // Dim[Rank:] is zero
}

// Of describes a tensor of the given dimensions. More than MaxRank of them is a broken invariant.
func Of(t DType, dims ...int) Desc {
	if len(dims) > MaxRank {
		panic(fmt.Sprintf("kernels: rank %d is above %d", len(dims), MaxRank))
	}
	d := Desc{Type: t, Rank: len(dims)}
	copy(d.Dim[:], dims)
	return d
}

// Shape returns the dimensions, outermost first.
func (d Desc) Shape() []int { return slices.Clone(d.Dim[:d.Rank]) }

// Elems is the number of elements: 1 for a scalar.
func (d Desc) Elems() int {
	n := 1
	for _, k := range d.Dim[:d.Rank] {
		n *= k
	}
	return n
}

// Bytes is the size of the tensor.
func (d Desc) Bytes() int64 { return int64(d.Elems()) * int64(d.Type.Size()) }

// Cols is the last dimension (1 for a scalar) and Rows the product of the others, so that Rows*Cols = Elems.
func (d Desc) Cols() int {
	if d.Rank == 0 {
		return 1
	}
	return d.Dim[d.Rank-1]
}

// Rows is the product of all dimensions but the last.
func (d Desc) Rows() int {
	n := 1
	for i := 0; i < d.Rank-1; i++ {
		n *= d.Dim[i]
	}
	return n
}

// SameShape compares shapes, not types.
func (d Desc) SameShape(e Desc) bool { return d.Rank == e.Rank && d.Dim == e.Dim }

// As is d with elements of another type.
func (d Desc) As(t DType) Desc { d.Type = t; return d }

func (d Desc) String() string {
	s := make([]string, d.Rank)
	for i := range s {
		s[i] = fmt.Sprint(d.Dim[i])
	}
	return d.Type.String() + "[" + strings.Join(s, " ") + "]"
}
