package engine_test

import (
	"math"
	"testing"

	"nearfar/engine"
	"nearfar/engine/op"
	"nearfar/engine/paranoid"
	"nearfar/kernels"
)

var rewrites = map[string]engine.PlanOption{
	"row grads":  engine.WithoutRowGradients,
	"factoring":  engine.WithoutFactoring,
	"folding":    engine.WithoutFolding,
	"map fusion": engine.WithoutMapFusion,
	"noise":      engine.WithoutNoise,
	"one pass":   engine.WithoutOnePass,
	"pruning":    engine.WithoutRowPruning,
	"zero rows":  engine.WithoutZeroRows,
	"reuse":      engine.WithoutReuse,
	"in place":   engine.WithoutInPlace,
}

func TestRewritesChangeNothing(t *testing.T) {
	for name, m := range gallery {
		t.Run(name, func(t *testing.T) {
			with := start(t, paranoid.New(1), kernels.Float64, m).steps(0, 4)
			var all []engine.PlanOption
			for without, o := range rewrites {
				all = append(all, o)
				plain := start(t, paranoid.New(2), kernels.Float64, m, o).steps(0, 4)
				agree(t, "without "+without, plain, with, 1e-11)
			}
			plain := start(t, paranoid.New(3), kernels.Float64, m, all...).steps(0, 4)
			agree(t, "without any", plain, with, 1e-11)
			if with.count("") >= plain.count("") {
				t.Errorf("%d instructions with the rewrites and %d without", with.count(""), plain.count(""))
			}
			if with.program.Plan.Arena >= plain.program.Plan.Arena {
				t.Errorf("an arena of %d bytes with the rewrites and %d without", with.program.Plan.Arena, plain.program.Plan.Arena)
			}
		})
	}
}

// Orders that the dependencies allow give the same bits: an order that gave others would be one that a faster device may take.
func TestOrderChangesNothing(t *testing.T) {
	for name, m := range gallery {
		t.Run(name, func(t *testing.T) {
			first := start(t, paranoid.New(1), kernels.Float64, m).steps(0, 4)
			for seed := range uint64(6) {
				agree(t, "another order", start(t, paranoid.New(100+seed), kernels.Float64, m).steps(0, 4), first, 0)
			}
		})
	}
}

// Operators that the device lacks are written in smaller ones.
func TestRefusedKernelsAreExpanded(t *testing.T) {
	for name, m := range gallery {
		t.Run(name, func(t *testing.T) {
			fused := start(t, paranoid.New(1), kernels.Float64, m).steps(0, 3)
			for _, refused := range [][]string{
				{"LogSumExpWithGrad"},
				{"LogSumExp", "LogSumExpGrad", "LogSumExpWithGrad"},
				{"LogSumExpGrad", "LogSumExpWithGrad"},
				{"NormaliseRowsGrad", "ScatterAddOnto"},
				{"SignedNoise"},
			} {
				r := start(t, paranoid.New(2, paranoid.Refuse(refused...)), kernels.Float64, m).steps(0, 3)
				for _, k := range refused {
					if r.count(k) > 0 {
						t.Errorf("the plan has %d refused %s", r.count(k), k)
					}
				}
				agree(t, "expanded", r, fused, 1e-10)
			}
		})
	}
}

func TestRefusedKernelWithoutExpansionIsAnError(t *testing.T) {
	s := engine.NewStore(paranoid.New(1, paranoid.Refuse("SpMM")), kernels.Float64, 1)
	_, err := engine.Build(s, simGCL)
	mustSay(t, err, "does not have SpMM")
}

// Instruction counts of a SimGCL-shaped step at three layers. A E0 is common to the three propagations, so that forward takes 3 + 2 + 2
// products; backward takes 3 for each propagation, and 3 for all of them once A is taken out of the sums.
func TestGoldenCounts(t *testing.T) {
	tests := []struct {
		name    string
		options []engine.PlanOption
		want    map[string]int
	}{
		{"all rewrites", nil, map[string]int{"SpMM": 10, "LogSumExpWithGrad": 2, "LogSumExp": 0, "LogSumExpGrad": 0, "Adam": 1}},
		{"without factoring", []engine.PlanOption{engine.WithoutFactoring}, map[string]int{"SpMM": 16}},
		{"without one pass", []engine.PlanOption{engine.WithoutOnePass}, map[string]int{"LogSumExpWithGrad": 0, "LogSumExp": 2, "LogSumExpGrad": 2}},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, paranoid.New(1), kernels.Float64, simGCL, c.options...)
			for k, want := range c.want {
				if got := r.count(k); got != want {
					t.Errorf("%d %s, want %d", got, k, want)
				}
			}
		})
	}
}

// A constant that is larger than what it meets keeps its shape; a chain that is too long for one Map is cut; a product that someone else reads
// is not computed again inside a sum.
func TestRewritesKnowTheirLimits(t *testing.T) {
	everywhere(t, func(t *testing.T, start func(model) *run) {
		r := start(func(b *engine.Builder) engine.Step {
			s, chain := b.State("s", values(1, 2, 3), 3), b.State("chain", values(1), 1)
			for range 40 {
				chain = op.Tanh(op.Neg(chain))
			}
			g := bipartite(b)
			x, z := op.SpMM(g, b.State("x", engine.Gaussian(1), users+items, width)), op.SpMM(g, b.State("z", engine.Gaussian(1), users+items, width))
			return engine.Step{Outputs: []engine.Named{
				{Name: "wide", Value: op.Mul(s, op.Fill(b.Graph, 2, b.Float(2, 3)))},
				{Name: "chain", Value: chain},
				{Name: "x", Value: x}, {Name: "z", Value: z}, {Name: "both", Value: op.Add(x, z)},
			}}
		}).steps(0, 1)
		close(t, "wide", r.output("wide"), []float64{2, 4, 6, 2, 4, 6}, 0)
		want := 1.0
		for range 40 {
			want = math.Tanh(-want)
		}
		close(t, "chain", r.output("chain"), []float64{want}, 1e-12)
		both := r.output("x")
		for i, v := range r.output("z") {
			both[i] += v
		}
		close(t, "both", r.output("both"), both, 1e-12)
		if n := r.count("SpMM"); n != 2 {
			t.Errorf("%d SpMM, want 2", n)
		}
	})
}

// 0 and -0 are equal and are two numbers: what is computed of them is not one instruction. Nor is x / c one product where 1/c is no number.
func TestConstantsKeepTheirBits(t *testing.T) {
	minus := math.Copysign(0, -1)
	everywhere(t, func(t *testing.T, start func(model) *run) {
		r := start(func(b *engine.Builder) engine.Step {
			x := b.State("x", values(1, 1e-310), 2)
			return engine.Step{Outputs: []engine.Named{
				{Name: "fill", Value: op.Recip(op.Fill(b.Graph, 0, b.Float(2)))},
				{Name: "minus fill", Value: op.Recip(op.Fill(b.Graph, minus, b.Float(2)))},
				{Name: "scale", Value: op.Recip(op.Scale(x, 0))},
				{Name: "minus scale", Value: op.Recip(op.Scale(x, minus))},
				{Name: "tiny", Value: op.Div(x, b.Scalar(1e-310))},
				{Name: "zero", Value: op.Div(x, b.Scalar(0))},
			}}
		}).steps(0, 1)
		inf := math.Inf(1)
		for name, want := range map[string][]float64{"fill": {inf, inf}, "minus fill": {-inf, -inf}, "scale": {inf, inf}, "minus scale": {-inf, -inf},
			"tiny": {inf, 1}, "zero": {inf, inf}} {
			close(t, name, r.output(name), want, 0)
		}
	})
}

// Folding and fusion are two switches.
func TestFoldingAlone(t *testing.T) {
	m := func(b *engine.Builder) engine.Step {
		x := op.Exp(op.Div(b.State("x", values(1, 2), 2), b.Scalar(4)))
		return engine.Step{Outputs: []engine.Named{{Name: "x", Value: x}}}
	}
	for _, c := range []struct {
		options []engine.PlanOption
		want    map[string]int // kernels beside the copy to the output
	}{
		{nil, map[string]int{"Map(scale exp)": 1, "Fill": 0}},
		{[]engine.PlanOption{engine.WithoutFolding}, map[string]int{"Fill": 1}},
		{[]engine.PlanOption{engine.WithoutMapFusion}, map[string]int{"Map(scale)": 1, "Map(exp)": 1, "Fill": 0}},
	} {
		r := start(t, paranoid.New(1), kernels.Float64, m, c.options...).steps(0, 1)
		for k, want := range c.want {
			if got := r.count(k); got != want {
				t.Errorf("without %v: %d %s, want %d", c.options, got, k, want)
			}
		}
		close(t, "x", r.output("x"), []float64{math.Exp(.25), math.Exp(.5)}, 0)
	}
}

// The gradient of a readout is read by every layer of the backward pass: the scatters of all views are one table, whatever their number.
func TestScattersAreOneTable(t *testing.T) {
	r := start(t, paranoid.New(1), kernels.Float64, fewRows).steps(0, 3)
	plain := start(t, paranoid.New(2), kernels.Float64, fewRows, engine.WithoutFactoring).steps(0, 3)
	agree(t, "without factoring", plain, r, 1e-11)
	if tables, onto := r.count("ScatterAdd"), r.count("ScatterAddOnto"); tables != 1 || onto != 2 {
		t.Errorf("%d tables of scattered rows and %d sums onto them, want 1 and 2", tables, onto)
	}
	if tables := plain.count("ScatterAdd"); tables < 3 {
		t.Errorf("%d tables of scattered rows without factoring, want one for each of 3 passes", tables)
	}
}

// What several Maps read is computed again in each where that moves less than to store it, and is cheap.
func TestMapsOfSeveralReaders(t *testing.T) {
	for _, c := range []struct {
		name   string
		shared func(x, y, z, w *op.Node) *op.Node
		maps   int
	}{
		{"of what they read anyway", func(x, _, _, _ *op.Node) *op.Node { return op.Sign(x) }, 2},
		{"of two", func(_, y, z, _ *op.Node) *op.Node { return op.Mul(y, z) }, 2},
		{"of three", func(_, y, z, w *op.Node) *op.Node { return op.Mul(op.Mul(y, z), w) }, 3},
		{"costly", func(x, _, _, _ *op.Node) *op.Node { return op.Tanh(x) }, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := func(b *engine.Builder) engine.Step {
				leaf := func(name string) *op.Node { return b.State(name, engine.Gaussian(1), users, width) }
				x := leaf("x")
				s := c.shared(x, leaf("y"), leaf("z"), leaf("w"))
				first, second := op.Add(op.Mul(s, leaf("u")), x), op.Add(op.Mul(s, leaf("v")), x)
				return engine.Step{Outputs: []engine.Named{{Name: "first", Value: first}, {Name: "second", Value: second}}}
			}
			r := start(t, paranoid.New(1), kernels.Float64, m).steps(0, 1)
			plain := start(t, paranoid.New(2), kernels.Float64, m, engine.WithoutMapFusion).steps(0, 1)
			for _, name := range []string{"first", "second"} {
				close(t, name, r.output(name), plain.output(name), 0)
			}
			const copies = 2 // to the outputs
			maps := 0
			for _, i := range r.program.Plan.Code {
				if _, ok := i.K.(kernels.Map); ok {
					maps++
				}
			}
			if maps-copies != c.maps {
				t.Errorf("%d Maps, want %d", maps-copies, c.maps)
			}
		})
	}
}

// Noise is one kernel where nothing reads what lies between, and the same to the bit.
func TestNoiseIsOneKernel(t *testing.T) {
	rounding := map[string]float64{"paranoid": 1e-3} // the reference rounds once, not at each step; 1 / x of a sum near 0 shows it
	for _, c := range []struct {
		name string
		make func(x, u *op.Node) []*op.Node
		want int
	}{
		{"on a table", func(x, u *op.Node) []*op.Node {
			return []*op.Node{op.Add(x, op.Scale(op.Mul(op.Sign(x), op.NormaliseRows(u)), .1))}
		}, 1},
		{"in another order", func(x, u *op.Node) []*op.Node {
			return []*op.Node{op.Add(op.Scale(op.Mul(op.NormaliseRows(u), op.Sign(x)), 2), x)}
		}, 1},
		{"towards 0", func(x, u *op.Node) []*op.Node {
			return []*op.Node{op.Add(x, op.Scale(op.Mul(op.Sign(x), op.NormaliseRows(u)), -.1))}
		}, 1},
		{"its sign elsewhere", func(x, u *op.Node) []*op.Node {
			return []*op.Node{op.Add(x, op.Scale(op.Mul(op.Sign(x), op.NormaliseRows(u)), .1)), op.Sign(x)}
		}, 1},
		{"read before it is added", func(x, u *op.Node) []*op.Node {
			noise := op.Scale(op.Mul(op.Sign(x), op.NormaliseRows(u)), .1)
			return []*op.Node{op.Add(x, noise), noise}
		}, 0},
		{"read before it is scaled", func(x, u *op.Node) []*op.Node {
			noise := op.Mul(op.Sign(x), op.NormaliseRows(u))
			return []*op.Node{op.Add(x, op.Scale(noise, .1)), noise}
		}, 0},
		{"of unit rows with readers", func(x, u *op.Node) []*op.Node {
			unit := op.NormaliseRows(u)
			return []*op.Node{op.Add(x, op.Scale(op.Mul(op.Sign(x), unit), .1)), unit}
		}, 0},
		{"of numbers with readers", func(x, u *op.Node) []*op.Node {
			return []*op.Node{op.Add(x, op.Scale(op.Mul(op.Sign(x), op.NormaliseRows(u)), .1)), u}
		}, 0},
		{"in another's orthants", func(x, u *op.Node) []*op.Node {
			return []*op.Node{op.Add(x, op.Scale(op.Mul(op.Sign(op.Neg(x)), op.NormaliseRows(u)), .1))}
		}, 0},
		{"on a column", func(x, u *op.Node) []*op.Node {
			x = op.Slice(x, 1, 0, 1)
			return []*op.Node{op.Add(x, op.Scale(op.Mul(op.Sign(x), op.NormaliseRows(u)), .1))}
		}, 0},
		{"not drawn", func(x, _ *op.Node) []*op.Node {
			return []*op.Node{op.Add(x, op.Scale(op.Mul(op.Sign(x), op.NormaliseRows(op.Tanh(x))), .1))}
		}, 0},
		{"taken away", func(x, u *op.Node) []*op.Node {
			return []*op.Node{op.Sub(x, op.Scale(op.Mul(op.Sign(x), op.NormaliseRows(u)), .1))}
		}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, d := range devices {
				for _, form := range []struct {
					drawn kernels.Distribution
					few   bool // rows are read
				}{{kernels.Uniform, false}, {kernels.Normal, false}, {kernels.Uniform, true}} {
					const rows, cols = 200, 45 // more than a chunk, whole vectors and some
					m := func(b *engine.Builder) (s engine.Step) {
						x := b.State("x", values(zerosAmong(rows*cols)...), rows, cols)
						for i, n := range c.make(x, b.Random("noise", form.drawn, 0, rows, cols)) {
							if form.few {
								n = op.Gather(n, op.Only(b.Indices("few", []int32{150, -1, 3, 150, 0})))
							}
							s.Outputs = append(s.Outputs, engine.Named{Name: string(rune('a' + i)), Value: n},
								engine.Named{Name: string(rune('a'+i)) + "'s zeros", Value: op.Recip(n)}) // of which sign
						}
						return s
					}
					r, plain := start(t, d.make(), kernels.Float32, m).steps(0, 2), start(t, d.make(), kernels.Float32, m, engine.WithoutNoise).steps(0, 2)
					for _, b := range r.program.Plan.Bufs {
						if b.Kind == engine.Output {
							close(t, d.name+" "+b.Name, r.output(b.Name), plain.output(b.Name), rounding[d.name])
						}
					}
					want := c.want
					if form.drawn != kernels.Uniform || form.few && c.name == "towards 0" { // -.1 · 0 is -0, so that rows are not computed apart
						want = 0
					}
					if got := r.count("SignedNoise"); got != want || plain.count("SignedNoise") != 0 {
						t.Errorf("%s, %+v: %d kernels, want %d; %d without the rewrite", d.name, form, got, want, plain.count("SignedNoise"))
					}
				}
			}
		})
	}
}

// Noise on blocks of a higher rank stays what it is.
func TestNoiseOfRankThree(t *testing.T) {
	m := func(b *engine.Builder) engine.Step {
		x, u := b.State("x", engine.Gaussian(1), 2, 3, 4), b.Random("noise", kernels.Uniform, 0, 2, 3, 4)
		return engine.Step{Outputs: []engine.Named{{Name: "y", Value: op.Add(x, op.Scale(op.Mul(op.Sign(x), op.NormaliseRows(u)), .1))}}}
	}
	r, plain := start(t, paranoid.New(1), kernels.Float64, m).steps(0, 2), start(t, paranoid.New(2), kernels.Float64, m, engine.WithoutNoise).steps(0, 2)
	close(t, "y", r.output("y"), plain.output("y"), 0)
}

// zerosAmong is n numbers about 0, every seventh of them a 0 or -0.
func zerosAmong(n int) []float64 {
	v := make([]float64, n)
	for i := range v {
		switch v[i] = math.Sin(float64(i)); i % 14 {
		case 0:
			v[i] = 0
		case 7:
			v[i] = math.Copysign(0, -1)
		}
	}
	return v
}
