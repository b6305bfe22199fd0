package cpu_test

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"nearfar/kernels"
	"nearfar/kernels/cpu"
	"nearfar/kernels/kerneltest"
)

// underTest runs a set's work on goroutines that take chunks as they come.
type underTest struct{ cpu.Set }

func (s underTest) Bind(k kernels.Kernel, out, in []kerneltest.Tensor, threads int) (func() error, error) {
	o, i := operands(out), operands(in)
	need := s.Scratch(k, described(o), described(i))
	work, err := s.Set.Bind(k, o, i, aligned(need))
	if err != nil {
		return nil, err
	}
	return func() error { run(work, threads); return nil }, nil
}

func operands(ts []kerneltest.Tensor) []cpu.Tensor {
	os := make([]cpu.Tensor, len(ts))
	for i, t := range ts {
		os[i] = cpu.Tensor(t)
	}
	return os
}

func described(ts []cpu.Tensor) []kernels.Desc {
	ds := make([]kernels.Desc, len(ts))
	for i, t := range ts {
		ds[i] = t.Desc
	}
	return ds
}

// aligned is scratch memory filled with NaN, since its content is unspecified.
func aligned(n int64) []byte {
	b := slices.Repeat([]byte{0xff}, int(n)+64)
	skip := -uintptr(unsafe.Pointer(unsafe.SliceData(b))) % 64
	return b[skip:][:n]
}

func run(work cpu.Work, threads int) {
	for _, p := range work {
		var next atomic.Int64
		var wg sync.WaitGroup
		for range threads {
			wg.Go(func() {
				for c := int(next.Add(1) - 1); c < p.Chunks; c = int(next.Add(1) - 1) {
					p.Run(c)
				}
			})
		}
		wg.Wait()
	}
}

// Short, as under the race detector, which does not see into assembly, it is plain Go alone.
func TestConformance(t *testing.T) {
	sets := cpu.Sets()
	if testing.Short() {
		sets = sets[:1]
	}
	for _, s := range sets {
		t.Run(s.Name(), func(t *testing.T) { kerneltest.RunAll(t, underTest{s}) })
	}
}

func TestNamed(t *testing.T) {
	for _, s := range cpu.Sets() {
		if got, err := cpu.Named(s.Name()); err != nil || got != s {
			t.Errorf("%s is %v, %v", s.Name(), got, err)
		}
	}
	if got, err := cpu.Named(""); err != nil || got != cpu.Best() {
		t.Errorf("no name is %v, %v", got, err)
	}
	if _, err := cpu.Named("sse"); err == nil || !strings.Contains(err.Error(), "it has generic") {
		t.Errorf("a set that is none: %v", err)
	}
}
