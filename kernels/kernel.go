// Package kernels is the vocabulary of the arithmetic: what each kernel computes, on which shapes, and a float64 reference of it.
// It knows nothing of graphs, models or devices. The implementations are in kernels/cpu and kernels/cuda; kernels/kerneltest holds
// them to the references here.
package kernels

import "fmt"

// A Kernel is a comparable value: two equal values compute the same function of their inputs. Its doc comment is the loop that
// it stands for.
type Kernel interface {
	// Name is the family's name, as plans, profiles and errors print it.
	Name() string
	// Infer gives the outputs' descriptions for the inputs', or an error that says which input is wrong.
	Infer(in []Desc) (out []Desc, err error)
	// Ref computes the kernel in float64. Outputs are allocated, of the inferred shapes, with unspecified content.
	Ref(out, in []Tensor64)
}

// Tensor64 is a tensor of the float64 references: F holds real numbers, those of a BFloat16 too, I holds indices (Desc.Type Int32).
type Tensor64 struct {
	Desc Desc
	F    []float64
	I    []int32
}

// NewTensor64 allocates a zero tensor.
func NewTensor64(d Desc) Tensor64 {
	t := Tensor64{Desc: d}
	if d.Type != Int32 {
		t.F = make([]float64, d.Elems())
	} else {
		t.I = make([]int32, d.Elems())
	}
	return t
}

// row returns row i of a tensor seen as [Rows, Cols].
func (t Tensor64) row(i int) []float64 { c := t.Desc.Cols(); return t.F[i*c : i*c+c : i*c+c] }

// wrong is the error of every Infer: kernel, what is expected, what came.
func wrong(k Kernel, want string, in []Desc) error {
	return fmt.Errorf("%s: want %s, got %v", k.Name(), want, in)
}

// floats checks that the given inputs hold real numbers of one type.
func floats(in ...Desc) bool {
	for _, d := range in {
		if !d.Type.IsFloat() || d.Type != in[0].Type {
			return false
		}
	}
	return true
}

// indices checks that the given inputs are index vectors.
func indices(in ...Desc) bool {
	for _, d := range in {
		if d.Type != Int32 || d.Rank != 1 {
			return false
		}
	}
	return true
}

func dot(a, b []float64) (s float64) {
	for i, v := range a {
		s += v * b[i]
	}
	return s
}
