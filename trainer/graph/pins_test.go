package graph

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

// TestViewsKeepTheirBits pins the views of every method: published runs are repeated with them.
func TestViewsKeepTheirBits(t *testing.T) {
	g := random(t, 60, 80, 1500)
	for _, c := range []struct {
		method Augmentation
		want   uint32
	}{{EdgeDropout, 0xabf197dc}, {NodeDropout, 0x821c6d05}, {RandomWalk, 0x16fa67da}, {EdgeAdd, 0x937cacf2}, {Subgraph, 0x83b2d057},
		{AttributeMask, 0x6b0d77dd}} {
		h := uint32(0)
		for _, step := range []uint64{0, 4, 900} {
			h = h*31 + checksum(fill(t, newViews(t, g, string(c.method), .2, 2, 9, 4), step))
		}
		if h != c.want {
			t.Errorf("%s: checksum %#x, want %#x", c.method, h, c.want)
		}
	}
}

// TestMaskedBagsKeepTheirBits pins the fields that AttributeMask hides.
func TestMaskedBagsKeepTheirBits(t *testing.T) {
	b, err := NewBags(60, 80, attributes(60, "users"), attributes(80, "items"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := NewMaskedBags(b, .2, 9, 4)
	if err != nil {
		t.Fatal(err)
	}
	h := uint32(0)
	for _, step := range []uint64{0, 4, 900} {
		out := make([]engine.Slot, len(m.Ports()))
		for k, p := range m.Ports() {
			out[k].I32 = make([]int32, p.Desc.Elems())
		}
		if err := m.Fill(step, out); err != nil {
			t.Fatal(err)
		}
		h = h*31 + checksum(out)
	}
	if want := uint32(0x3e354d19); h != want {
		t.Errorf("checksum %#x, want %#x", h, want)
	}
}
