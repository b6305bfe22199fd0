// Package kerneltest holds every kernel set (plain Go, assembly, CUDA) to the float64 references of package kernels, with one
// table of cases over the whole vocabulary.
//
// For each case, in float64 and in float32, the suite checks that
//
//   - results agree with Ref within the tolerance of tolerance.go;
//   - every output element is written (outputs hold a poison before), nothing outside an output is written, nothing outside an
//     input is used (guard bands hold NaN and impossible indices), and inputs stay as they were;
//   - 1, 2, 3 and 7 threads give equal bits, and so does a second run of the same bound work;
//   - a result that overwrites its operand has the bits of one that does not;
//   - binding reads no data: operands are filled after it.
package kerneltest

import (
	"fmt"
	"testing"

	"nearfar/kernels"
)

// Set is a kernel set under test.
type Set interface {
	Name() string
	// Offers tells whether the set has k for these operands. What it declines is logged, not failed.
	Offers(k kernels.Kernel, out, in []kernels.Desc) bool
	// Bind prepares k on the operands, whose memory the suite owns; the work it returns computes the outputs each time it is called, with
	// as many threads as asked. An output may share the memory of an input of the same description.
	Bind(k kernels.Kernel, out, in []Tensor, threads int) (work func() error, err error)
}

// Tensor is an operand: the slice of its Desc's type is set, the others are nil.
type Tensor struct {
	Desc kernels.Desc
	F32  []float32
	F64  []float64
	I32  []int32
	B16  []uint16 // bfloat16
}

// TB is the part of testing.TB that the suite needs; a test of the suite itself records instead of failing.
type TB interface {
	Helper()
	Errorf(format string, args ...any)
	Logf(format string, args ...any)
}

// Case is one kernel on one set of inputs. Real numbers are given in float64; the suite rounds them for the float32 run.
type Case struct {
	K  kernels.Kernel
	In []kernels.Tensor64
	// InPlace lists assignments to try beside the plain run: assignment[i] is the input that output i overwrites, -1 for none.
	InPlace [][]int
	// Exact asks for Ref's value, rounded once.
	Exact bool
}

func (c Case) String() string {
	s := make([]kernels.Desc, len(c.In))
	for i, t := range c.In {
		s[i] = t.Desc
	}
	return fmt.Sprintf("%s %+v %v", c.K.Name(), c.K, s)
}

// RunAll runs the whole table (a third of it under the race detector), one subtest for each family. A family that the set declines altogether is skipped by name.
func RunAll(t *testing.T, s Set) {
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			if check(t, s, f, stride) == 0 {
				t.Skipf("%s does not offer %s", s.Name(), f.name)
			}
		})
	}
}

// Check runs one family's cases, each in float64 and float32, and returns how many the set offered. It stops after ten failures.
func Check(tb TB, s Set, name string) (offered int) {
	tb.Helper()
	for _, f := range families {
		if f.name == name {
			return check(tb, s, f, 1)
		}
	}
	tb.Errorf("kerneltest: no family %q", name)
	return 0
}

// check runs one case in stride, picked at random.
func check(tb TB, s Set, f family, stride int) (offered int) {
	tb.Helper()
	pick := newGen("cases")
	c := checker{tb: tb, set: s, declined: map[kernels.DType]int{}}
	for i, one := range f.cases(newGen(f.name)) {
		if !pick.one(stride) {
			continue
		}
		c.index = i
		for _, t := range []kernels.DType{kernels.Float64, kernels.Float32} {
			c.check(one, t)
		}
		if c.failures >= 10 {
			tb.Errorf("%s: too many failures, the rest is not run", f.name)
			break
		}
	}
	for _, t := range []kernels.DType{kernels.Float64, kernels.Float32} {
		if n := c.declined[t]; n > 0 {
			tb.Logf("%s declines %d cases of %s in %v", s.Name(), n, f.name, t)
		}
	}
	return c.offered
}
