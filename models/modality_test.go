package models

import (
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"nearfar/engine"
	"nearfar/kernels/philox"
	"nearfar/trainer/dataset"
)

// randomFeatures are two modalities of items that say nothing about them.
func randomFeatures(items int) (of []dataset.Features) {
	for k, dim := range []int{5, 7} {
		f := dataset.Features{Name: []string{"audio", "image"}[k], Dim: dim}
		words := philox.New(3, f.Name).Sequence(0, 0)
		for range items * dim {
			f.Value = append(f.Value, float32(philox.Uniform(words.Word())-.5))
		}
		of = append(of, f)
	}
	return of
}

func TestModalityWeights(t *testing.T) {
	imageText, three := []dataset.Features{{Name: "image"}, {Name: "text"}}, []dataset.Features{{Name: "audio"}, {Name: "image"}, {Name: "text"}}
	for _, c := range []struct {
		text string
		of   []dataset.Features
		want []float64 // nil: an error
	}{
		{"", imageText, []float64{.1, .9}}, {"", imageText[:1], []float64{1}}, {"", three, []float64{1. / 3, 1. / 3, 1. / 3}},
		{"text=1, image=0", imageText, []float64{0, 1}}, {"image=0.5", imageText, nil}, {"image=1,text=1,video=1", imageText, nil},
	} {
		var w ModalityWeights
		if err := w.UnmarshalText([]byte(c.text)); err != nil {
			t.Fatal(err)
		}
		if got, err := w.of(c.of); !slices.Equal(got, c.want) || (err == nil) != (c.want != nil) {
			t.Errorf("%q: %v, %v; want %v", c.text, got, err, c.want)
		}
		var again ModalityWeights
		if text, _ := w.MarshalText(); again.UnmarshalText(text) != nil || !maps.Equal(again, w) {
			t.Errorf("%q becomes %s", c.text, text)
		}
	}
	for _, text := range []string{"image", "image=", "=1", "image=x", "image=-1", "image=NaN", "image=Inf", "image=1,image=2", "image=1,"} {
		if err := new(ModalityWeights).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is no error", text)
		}
	}
}

// A table too large is refused before anything is allocated, with what would help.
func TestFeaturesThatDoNotFit(t *testing.T) {
	m := modalities{items: 1 << 14, dim: 64, state: 8, of: []dataset.Features{{Name: "image", Dim: 64, Value: make([]float32, 1<<20)}, {Name: "text", Dim: 192, Value: make([]float32, 3<<20)}}}
	if got, want := m.tooLarge(1<<30).Error(), "the system has 1 GiB available, and training takes at least 0.0469 GiB for features of 16384 items, image x 64, text x 192: "+
		"0.0156 GiB, trained, with what the optimiser keeps 0.0469 GiB; -moments bf16 halves what Adam keeps, -freeze-features needs none of it, -modalities names fewer"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for state, want := range map[int]string{4: "; -freeze-features needs none of it, -modalities names fewer", 0: "GiB; -modalities names fewer"} { // with -moments bf16, with sgd
		if m.state = state; !strings.HasSuffix(m.tooLarge(1<<30).Error(), want) || m.bytes() != int64(4+state)<<22 {
			t.Errorf("%d bytes beside a parameter: %d in all, %v, want %q", state, m.bytes(), m.tooLarge(1<<30), want)
		}
	}
	if m.Freeze = true; m.bytes() != 16<<20 || !strings.HasSuffix(m.String(), "GiB, frozen") {
		t.Errorf("frozen features take %d bytes: %s", m.bytes(), &m)
	}
}

// A modality may be called what a model calls something else: files have the names that they have.
func TestModalitiesOfAnyName(t *testing.T) {
	train, _ := blocks(t, 40, 50, 4)
	names := []string{"embedding", "items", "predictor", "users"}
	for _, model := range []string{"vbpr", "freedom", "bm3"} {
		m := newModel(t, model, Data{Train: train, Seed: 1, ItemFeatures: gaussianFeatures(50, map[string]int{"embedding": 2, "items": 3, "predictor": 4, "users": 1}, names...)}, "-batch=64", "-dim=4")
		build(t, platforms()[3].on(t), func(b *engine.Builder) engine.Step { return engine.Optimise(b, m.Train(b), engine.Adam(.001)) })
	}
}

// Projections begin as in MMRec: bm3's W is xavier_normal and its b ±1/sqrt(fan in), vbpr's b is 0, freedom's W and b are ±1/sqrt(fan in).
func TestProjectionsBegin(t *testing.T) {
	train, _ := blocks(t, 40, 50, 4)
	features := gaussianFeatures(50, map[string]int{"text": 400}, "text")
	for _, c := range []struct {
		model, of       string
		weight, bias    float64 // deviations
		uniform, biased bool    // W, b within ±1/sqrt(400)
	}{{"bm3", "transform/text", math.Sqrt(2. / 464), .05 / math.Sqrt(3), false, true}, {"vbpr", "transform", math.Sqrt(2. / 464), 0, false, true},
		{"freedom", "transform/text", .05 / math.Sqrt(3), .05 / math.Sqrt(3), true, true}} {
		store, m := platforms()[3].on(t), newModel(t, c.model, Data{Train: train, Seed: 1, ItemFeatures: features}, "-dim=64", "-batch=64")
		build(t, store, func(b *engine.Builder) engine.Step { return engine.Optimise(b, m.Train(b), engine.Adam(.001)) })
		for name, want := range map[string]struct {
			deviation, tolerance float64
			uniform              bool
		}{"/weight": {c.weight, .02, c.uniform}, "/bias": {c.bias, .25, c.biased}} {
			v, _, err := store.Read64(c.of + name)
			if err != nil {
				t.Fatal(err)
			}
			square, largest := 0., 0.
			for _, x := range v {
				square, largest = square+x*x, max(largest, math.Abs(x))
			}
			got := math.Sqrt(square / float64(len(v)))
			if math.Abs(got-want.deviation) > want.tolerance*want.deviation || (largest <= .05) != want.uniform {
				t.Errorf("%s: %s%s has the deviation %g, want %g; its largest is %g", c.model, c.of, name, got, want.deviation, largest)
			}
		}
	}
}
