package engine_test

import (
	"math"
	"strings"
	"testing"

	"nearfar/engine"
	"nearfar/engine/op"
	"nearfar/engine/paranoid"
	"nearfar/kernels"
)

func TestStoreReadsAndWrites(t *testing.T) {
	for k, float := range []kernels.DType{kernels.Float32, kernels.Float64, kernels.Float32, kernels.Float64} {
		d := devices[k/2]
		t.Run(d.name+"/"+float.String(), func(t *testing.T) {
			r := start(t, d.make(), float, func(b *engine.Builder) engine.Step {
				s := b.State("s", values(1, 2.5, -3), 3)
				return engine.Step{Outputs: []engine.Named{{Name: "half", Value: op.Scale(s, .5)}, {Name: "place", Value: op.ArgMax(s)}}}
			}).steps(0, 1)
			f, d, err := r.store.Read32("s")
			if err != nil || d != kernels.Of(float, 3) || f[1] != 2.5 {
				t.Errorf("Read32: %v %v %v", f, d, err)
			}
			half := make([]float32, 3)
			if err := r.program.Output("half", half); err != nil || half[2] != -1.5 {
				t.Errorf("Output: %v %v", half, err)
			}
			close(t, "the place of the largest", r.output("place"), []float64{1}, 0)
			if e := r.store.Entry("s"); e == nil || e.Kind != engine.State || r.store.Entry("none") != nil {
				t.Errorf("Entry: %+v", e)
			}
			if err := r.store.Write64("s", []float64{4, 5, 6}); err != nil {
				t.Error(err)
			}
			close(t, "what was written", r.read("s"), []float64{4, 5, 6}, 0)
			_, _, unknown := r.store.Read64("none")
			mustSay(t, unknown, `"none"`)
			mustSay(t, r.store.Write64("s", []float64{1}), "s: ")
			mustSay(t, r.store.Write64("none", nil), `"none"`)
			mustSay(t, r.program.Output("none", half), `"none"`)
			mustSay(t, r.program.Output("half", half[:2]), "half", "2")
			mustSay(t, r.program.OutputPart("half", make([]float32, 4)), "half", "4")
			if err := r.program.OutputPart("half", half[:1]); err != nil || half[0] != .5 {
				t.Errorf("OutputPart: %v %v", half, err)
			}
		})
	}
}

// Initial values are a pure function of the run's seed and the name, and have the moments that their names promise.
func TestInit(t *testing.T) {
	const rows, cols = 120, 80
	r := start(t, paranoid.New(1), kernels.Float64, func(b *engine.Builder) engine.Step {
		b.Param("gauss", engine.Gaussian(.1), rows, cols)
		b.Param("again", engine.Gaussian(.1), rows, cols)
		b.Param("uniform", engine.UniformIn(.3), rows, cols)
		b.Param("xavier uniform", engine.XavierUniform, rows, cols)
		b.Param("xavier normal", engine.XavierNormal, rows, cols)
		return engine.Step{Outputs: []engine.Named{{Name: "x", Value: b.Param("zeros", engine.Zeros, 2)}}}
	})
	fans := float64(rows + cols)
	for name, deviation := range map[string]float64{"gauss": .1, "again": .1, "uniform": .3 / math.Sqrt(3), "xavier uniform": math.Sqrt(2 / fans), "xavier normal": math.Sqrt(2 / fans)} {
		mean, square := 0.0, 0.0
		for _, v := range r.read(name) {
			mean, square = mean+v, square+v*v
		}
		mean, square = mean/(rows*cols), math.Sqrt(square/(rows*cols))
		if math.Abs(mean) > 4*deviation/math.Sqrt(rows*cols) || math.Abs(square-deviation) > .04*deviation {
			t.Errorf("%s: mean %v and deviation %v, want 0 and %v", name, mean, square, deviation)
		}
	}
	if r.read("gauss")[0] == r.read("again")[0] {
		t.Error("two names have the same numbers")
	}
}

// Dropout is another one every step, the same one at the same step, and keeps the mean.
func TestDropout(t *testing.T) {
	everywhere(t, func(t *testing.T, start func(model) *run) {
		r := start(func(b *engine.Builder) engine.Step {
			x := b.Param("x", engine.Constant(1), 50, 40)
			return engine.Step{Outputs: []engine.Named{{Name: "kept", Value: b.Dropout("drop", x, .25)}, {Name: "all", Value: b.Dropout("none", x, 0)}}}
		})
		first := append([]float64{}, r.steps(0, 1).output("kept")...)
		mean := 0.0
		for _, v := range first {
			if v != 0 && math.Abs(v-4./3) > 1e-12 {
				t.Fatalf("an element is %v, want 0 or 4/3", v)
			}
			mean += v / float64(len(first))
		}
		if math.Abs(mean-1) > .06 {
			t.Errorf("the mean is %v, want 1", mean)
		}
		other := 0
		for i, v := range r.steps(1, 1).output("kept") {
			if v != first[i] {
				other++
			}
		}
		if other < len(first)/4 {
			t.Errorf("%d of %d elements differ at the next step", other, len(first))
		}
		close(t, "step 0 again", r.steps(0, 1).output("kept"), first, 0)
		close(t, "no dropout", r.output("all"), r.read("x"), 0)
	})
}

func TestExplain(t *testing.T) {
	r := start(t, paranoid.New(1), kernels.Float32, simGCL)
	var text strings.Builder
	if err := r.program.Plan.Explain(&text, nil); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(text.String()), "\n")
	if want := len(r.program.Plan.Code) + 2; len(lines) < want {
		t.Errorf("%d lines for %d instructions", len(lines), len(r.program.Plan.Code))
	}
	mustHave := []string{"embedding[11 4]", "LogSumExpWithGrad", "0:0 1:1 2:2", "SpMM"} // Adam's three are in place
	for _, w := range mustHave {
		if !strings.Contains(text.String(), w) {
			t.Errorf("explain does not say %q:\n%s", w, text.String())
		}
	}
}

// A constant is the data that it was made of: to ask for it with other data is an error, in one program or in the next.
func TestConstantsOfOtherData(t *testing.T) {
	s := engine.NewStore(paranoid.New(1), kernels.Float32, 1)
	build := func(v float64, id int32) error {
		p, err := engine.Build(s, func(b *engine.Builder) engine.Step {
			return engine.Step{Outputs: []engine.Named{{Name: "x", Value: op.Gather(b.Const("c", []float64{v, 1}, 2), op.Only(b.Indices("id", []int32{id})))}}}
		})
		if err == nil {
			err = p.Close()
		}
		return err
	}
	for range 2 {
		if err := build(3, 1); err != nil {
			t.Fatal(err)
		}
	}
	mustSay(t, build(4, 1), `"c"`, "other data")
	mustSay(t, build(3, 0), `"id"`, "other data")
}

// Restore takes what belongs to the store and nothing else.
func TestRestoreIsExact(t *testing.T) {
	build := func(names ...string) *engine.Store {
		r := start(t, paranoid.New(1), kernels.Float64, func(b *engine.Builder) engine.Step {
			x := b.Const("k", []float64{1}, 1)
			for _, n := range names {
				x = op.Add(x, b.State(n, engine.Constant(5), 1))
			}
			return engine.Step{Outputs: []engine.Named{{Name: "x", Value: x}}}
		})
		return r.store
	}
	two, one := build("a", "b"), build("a")
	states, constants, err := two.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	mustSay(t, one.Restore(states, constants), "has b", "every program")
	mustSay(t, two.Restore(states, map[string]uint32{}), "k")
	for _, c := range []map[string]uint32{constants, nil} {
		if err := two.Restore(states, c); err != nil {
			t.Error(err)
		}
	}
	for _, pair := range [][2]*engine.Store{{one, two}, {two, one}} {
		if name, err := pair[0].Equal(pair[1]); err != nil || name != "b" {
			t.Errorf("the difference is %q, %v; want b", name, err)
		}
	}
	if name, err := two.Equal(two); err != nil || name != "" {
		t.Errorf("a store differs from itself in %q, %v", name, err)
	}
}
