//go:build gpu && linux && amd64 && cgo

package cuda_test

import (
	"fmt"
	"slices"
	"testing"

	"nearfar/kernels"
	"nearfar/kernels/cuda"
	"nearfar/kernels/kerneltest"
)

// TestTiles runs the suite's contrastive kernels over tiles so small that its operands need many: several blocks of whole rows, several tiles of
// columns, and both.
func TestTiles(t *testing.T) {
	set := newOnDevice(t)
	for _, tiles := range [][2]int{{4096, 8}, {256, 4}, {1, 1}} {
		for _, family := range []string{"LogSumExp", "LogSumExpGrad", "LogSumExpWithGrad"} {
			t.Run(fmt.Sprint(family, tiles), func(t *testing.T) {
				s := &overTiles{onDevice: set, logits: tiles[0], grain: tiles[1]}
				if kerneltest.Check(t, s, family) == 0 {
					t.Error("nothing was offered")
				}
			})
		}
	}
}

// overTiles is the set with tiles of another size.
type overTiles struct {
	*onDevice
	logits, grain int
}

func (s *overTiles) Bind(k kernels.Kernel, out, in []kerneltest.Tensor, threads int) (func() error, error) {
	if err := s.release(); err != nil {
		return nil, err
	}
	both := slices.Concat(out, in)
	placed := make([]cuda.Tensor, len(both))
	for i, t := range both {
		p, err := s.alloc(t.Desc.Bytes())
		if err != nil {
			return nil, err
		}
		placed[i] = cuda.Tensor{Desc: t.Desc, At: p}
	}
	deviceOut, deviceIn := placed[:len(out)], placed[len(out):]
	_, sizes := cuda.BindTiled(s.logits, s.grain, k, deviceOut, deviceIn, cuda.Memory{})
	scratch, err := s.alloc(sizes.Scratch)
	if err != nil {
		return nil, err
	}
	work, _ := cuda.BindTiled(s.logits, s.grain, k, deviceOut, deviceIn, cuda.Memory{Scratch: scratch})
	return func() error { return s.run(work, both, placed) }, nil
}
