package models

import (
	"math"
	"slices"
	"strings"
	"testing"

	"nearfar/engine"
	"nearfar/engine/op"
	"nearfar/kernels/philox"
	"nearfar/trainer/dataset"
)

// gaussianFeatures are features of given sizes.
func gaussianFeatures(items int, dims map[string]int, names ...string) (of []dataset.Features) {
	for _, name := range names {
		f := dataset.Features{Name: name, Dim: dims[name]}
		words := philox.New(11, name).Sequence(0, 0)
		for range items * f.Dim {
			f.Value = append(f.Value, float32(math.Sqrt(-2*math.Log(1-philox.Uniform(words.Word())))*math.Cos(2*math.Pi*philox.Uniform(words.Word()))))
		}
		of = append(of, f)
	}
	return of
}

// At the start a prediction and its target are nearly orthogonal: every 1 - cos is near 1.
func TestBM3StartsNear1(t *testing.T) {
	train, _ := blocks(t, 300, 200, 10)
	features := gaussianFeatures(200, map[string]int{"image": 128, "text": 384}, "image", "text")
	for seed := range uint64(3) {
		store := platforms()[3].on(t)
		m := newModel(t, "bm3", Data{Train: train, Seed: seed, ItemFeatures: features}, "-batch=512")
		store.Seed = seed
		got := run(t, build(t, store, func(b *engine.Builder) engine.Step { return engine.Optimise(b, m.Train(b), engine.Adam(.001)) }), 1)[0]
		for part, distances := range map[string]float64{"reconstruction": 2, "alignment": 2, "masking": 2} {
			if d := got[part] / distances; !(math.Abs(d-1) < .4) {
				t.Errorf("seed %d: 1 - cos of %s begins at %g, want 1 ± .4", seed, part, d)
			}
		}
	}
}

// What is left out is out, and the rest stays.
func TestBM3Without(t *testing.T) {
	train, _ := blocks(t, 40, 50, 4)
	for without, want := range map[string]string{
		"none": "reconstruction alignment masking l2", "reconstruction": "alignment masking l2", "alignment": "reconstruction masking l2", "masking": "reconstruction alignment l2",
	} {
		m := newModel(t, "bm3", Data{Train: train, Seed: 1}, "-batch=64", "-dim=8", "-without="+without)
		var names []string
		build(t, platforms()[3].on(t), func(b *engine.Builder) engine.Step {
			o := m.Train(b)
			for _, term := range o {
				names = append(names, term.Name)
			}
			return engine.Optimise(b, o, engine.Adam(.001))
		})
		if strings.Join(names, " ") != want {
			t.Errorf("without %s: the parts are %v", without, names)
		}
	}
}

// A row that stands twice in a batch is dropped alike, and no gradient comes through a target.
func TestBM3Targets(t *testing.T) {
	train, _ := blocks(t, 40, 50, 4)
	m := newModel(t, "bm3", Data{Train: train, Seed: 1}, "-batch=6", "-dim=64", "-dropout=0.5").(*bm3)
	m.pairs = newFixedTriples(0, 90, false, batch{User: []int32{3, 3, 1, 2, 3, -1}, Pos: []int32{7, 8, 7, 7, 9, -1}, Weight: []float64{.2, .2, .2, .2, .2, 0}})
	p := build(t, platforms()[1].on(t), func(b *engine.Builder) engine.Step {
		at := b.Index(m.pairs, "user")
		whole := b.Param("whole", engine.Constant(1), 40, 64)
		target := m.target(b, "users", op.Gather(whole, at), at, 40)
		if _, err := op.Grad(op.SumSquares(target), whole); err == nil || !strings.Contains(err.Error(), "no gradient reaches whole") {
			t.Errorf("a gradient comes through a target (%v)", err)
		}
		return engine.Step{Outputs: []engine.Named{{Name: "target", Value: target}}}
	})
	run(t, p, 1)
	got := output(t, p, "target")
	row := func(k int) []float64 { return got[k*64 : (k+1)*64] }
	if !slices.Equal(row(0), row(1)) || !slices.Equal(row(0), row(4)) || slices.Equal(row(0), row(2)) || slices.Equal(row(2), row(3)) {
		t.Error("rows of one user are dropped differently, or rows of two alike")
	}
	kept := 0
	for _, x := range got[:5*64] {
		if x != 0 && x != 2 {
			t.Fatalf("an element of 1 becomes %g", x)
		}
		if x == 2 {
			kept++
		}
	}
	if kept < 100 || kept > 220 {
		t.Errorf("%d of 320 elements are kept", kept)
	}
}
