package cuda

import (
	"testing"

	"nearfar/kernels"
)

// BindTiled is Bind of a contrastive kernel over tiles of so many logits and of a multiple of so many rows, for tests on a device.
func BindTiled(logits, grain int, k kernels.Kernel, out, in []Tensor, m Memory) (Work, Sizes) {
	c := &call{out: out, in: in, scratch: arena{base: m.Scratch}, table: m.Table}
	c.overTiles(k, tiling{logits, grain})
	return c.work, Sizes{Scratch: c.scratch.used, Table: int64(len(c.work.Table))}
}

// contrastOf lowers LogSumExpWithGrad on operands that lie one behind another.
func contrastOf(t *testing.T, s kernels.Similarity, rows, cols, d, pairs int) (Work, Sizes) {
	t.Helper()
	of := func(dims ...int) kernels.Desc { return kernels.Of(kernels.Float32, dims...) }
	in := []kernels.Desc{of(rows, d), of(cols, d), of(rows)}
	if s.Biased {
		in = append(in, of(cols))
	}
	if s.Weighted {
		in = append(in, of(rows))
	}
	if s.Excludes {
		list := kernels.Of(kernels.Int32, pairs)
		in = append(in, list, list)
	}
	k := kernels.LogSumExpWithGrad{Similarity: s}
	out, err := k.Infer(in)
	if err != nil {
		t.Fatal(err)
	}
	at := Ptr(1 << 40)
	place := func(ds []kernels.Desc) (ts []Tensor) {
		for _, d := range ds {
			ts = append(ts, Tensor{d, at})
			at += Ptr(roundUp(int(d.Bytes()), 256))
		}
		return ts
	}
	sizes := Set{}.Sizes(k, out, in)
	w, err := Set{}.Bind(k, place(out), place(in), Memory{Scratch: 1 << 50})
	if err != nil {
		t.Fatal(err)
	}
	return w, sizes
}

// TestContrastSizes holds the lowering to its numbers: products' FLOPs, scratch, and the steps that a graph of a training step gets.
func TestContrastSizes(t *testing.T) {
	all := kernels.Similarity{Scale: 5, Biased: true, Weighted: true, Excludes: true}
	for _, c := range []struct {
		name          string
		s             kernels.Similarity
		rows, cols, d int
		products      int // of 2 B N d FLOPs
		steps         int // at most
	}{
		{"one tile", kernels.Similarity{Scale: 5}, 2048, 2048, 64, 3, 10},
		{"yelp2018's users", kernels.Similarity{Scale: 5}, 2048, 31_668, 64, 3, 120},
		{"yelp2018's items", kernels.Similarity{Scale: 5}, 2048, 38_048, 64, 3, 120},
		{"40,000 items", all, 2048, 40_000, 64, 3, 140},
		{"whole rows, few at a time", kernels.Similarity{Scale: 5}, 2048, 80_000, 64, 3, 240},
		{"rows in tiles", kernels.Similarity{Scale: 5}, 2048, 1_000_000, 64, 4, 4000},
		{"one row", all, 1, 10_000_000, 128, 4, 40},
		{"one column", all, 1_000_000, 1, 128, 3, 80},
	} {
		w, sizes := contrastOf(t, c.s, c.rows, c.cols, c.d, 1000)
		flops := 0
		for _, s := range w.Steps {
			if p, ok := s.(*Product); ok {
				flops += 2 * p.M * p.N * p.K * max(1, p.Batches)
			}
		}
		if want := c.products * 2 * c.rows * c.cols * c.d; flops != want {
			t.Errorf("%s: %d FLOPs, want %d", c.name, flops, want)
		}
		if len(w.Steps) > c.steps {
			t.Errorf("%s: %d steps, at most %d are wanted", c.name, len(w.Steps), c.steps)
		}
		operands := int64(c.rows) * int64(c.d) * float
		if c.s.Biased {
			operands += 16 * int64(c.cols) * float
		}
		if most := operands + 40<<20; sizes.Scratch > most {
			t.Errorf("%s: %d bytes of scratch, want at most %d", c.name, sizes.Scratch, most)
		}
		t.Logf("%s: %d steps, %.1f MiB of scratch", c.name, len(w.Steps), float64(sizes.Scratch)/(1<<20))
	}
}
