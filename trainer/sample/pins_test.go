package sample

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"

	"nearfar/engine"
)

// checksum is that of all ports' bytes.
func checksum(out []engine.Slot) uint32 {
	h := crc32.NewIEEE()
	for _, s := range out {
		if err := errors.Join(binary.Write(h, binary.LittleEndian, s.I32), binary.Write(h, binary.LittleEndian, s.F32)); err != nil {
			panic(err)
		}
	}
	return h.Sum32()
}

// TestPairwiseKeepsItsBits pins batches of one uniform negative: published runs are repeated with them.
func TestPairwiseKeepsItsBits(t *testing.T) {
	train := synthetic(60, 40, 6)
	want := []uint32{0xb1e1026d, 0xd43c37ca, 0x7c40c6c, 0xba61f4bf, 0x570729a2, 0x274162bf, 0xcd753e10, 0xbff23a7d}
	for k, opt := range everyOption()[:len(want)] {
		f, h := newPairwise(t, train, 32, opt), uint32(0)
		for _, step := range []uint64{0, uint64(f.StepsPerEpoch()) - 1, 1000} {
			out := slots(f.Ports(), false)
			if err := f.Fill(step, out); err != nil {
				t.Fatal(err)
			}
			h = h*31 + checksum(out)
		}
		if h != want[k] {
			t.Errorf("%+v: checksum %#x, want %#x", opt, h, want[k])
		}
	}
}
