package engine_test

import (
	"testing"

	"nearfar/engine"
	"nearfar/engine/cpu"
	"nearfar/engine/op"
	"nearfar/engine/paranoid"
	"nearfar/kernels"
	kernelset "nearfar/kernels/cpu"
)

// fewRows is SimGCL whose loss reads three rows of each table, one of them twice and one that is none.
func fewRows(b *engine.Builder) engine.Step {
	g, e := bipartite(b), b.Param("embedding", engine.Gaussian(.5), users+items, width)
	few := op.Only(b.Indices("few", []int32{8, -1, 8}))
	z := op.Gather(propagate(b, g, e, 2, ""), few)
	x, y := op.NormaliseRows(op.Gather(propagate(b, g, e, 2, "first"), few)), op.NormaliseRows(op.Gather(propagate(b, g, e, 2, "second"), few))
	return engine.Optimise(b, engine.Objective{
		{Name: "apart", Weight: .3, Value: op.Sum(op.LogSumExp(x, y, op.Similarity{Scale: 5, Unit: true}))},
		{Name: "together", Weight: -1, Value: op.Sum(op.RowDot(x, y))},
		{Name: "small", Weight: .1, Value: op.SumSquares(z)},
	}, engine.Adam(.01))
}

// tables counts a kernel's instructions that compute whole tables, and those that compute some rows.
func (r *run) tables(kernel string) (whole, rows int) {
	for _, i := range r.program.Plan.Code {
		if i.K.Name() != kernel {
			continue
		}
		if r.program.Plan.Bufs[i.Out[0]].Desc.Dim[0] == users+items {
			whole++
		} else {
			rows++
		}
	}
	return whole, rows
}

// At two layers A E0 is common to the three passes, their last products are of rows, and the gradient takes two.
func TestRowPruning(t *testing.T) {
	for _, d := range devices {
		for _, float := range []kernels.DType{kernels.Float64, kernels.Float32} {
			t.Run(d.name+" "+float.String(), func(t *testing.T) {
				r := start(t, d.make(), float, fewRows).steps(0, 4)
				plain := start(t, d.make(), float, fewRows, engine.WithoutRowPruning).steps(0, 4)
				agree(t, "without row pruning", plain, r, 0)
				for kernel, want := range map[string][4]int{"SpMM": {3, 3, 6, 0}, "SignedNoise": {2, 2, 4, 0}} {
					whole, rows := r.tables(kernel)
					before, none := plain.tables(kernel)
					if got := [4]int{whole, rows, before, none}; got != want {
						t.Errorf("%s: %d whole and %d of rows, and %d and %d without row pruning; want %v", kernel, whole, rows, before, none, want)
					}
				}
			})
		}
	}
}

// A device without random numbers of rows draws them all, and prunes the rest.
func TestRowPruningWithoutRandomRows(t *testing.T) {
	r := start(t, wholeRandom{cpu.New(2, kernelset.Generic())}, kernels.Float64, fewRows).steps(0, 4)
	plain := start(t, paranoid.New(1), kernels.Float64, fewRows, engine.WithoutRowPruning).steps(0, 4)
	agree(t, "without row pruning", plain, r, 1e-11)
	for _, kernel := range []string{"SignedNoise", "RandomUniform"} { // of the first layer, and of the last
		if whole, rows := r.tables(kernel); whole != 2 || rows != 0 {
			t.Errorf("%s: %d whole tables and %d of rows, want 2 and 0", kernel, whole, rows)
		}
	}
	if _, rows := r.tables("SpMM"); rows != 3 {
		t.Errorf("%d products of rows, want 3", rows)
	}
}

type wholeRandom struct{ engine.Device }

func (d wholeRandom) Offers(k kernels.Kernel, out, in []kernels.Desc) bool {
	r, ok := k.(kernels.Random)
	return d.Device.Offers(k, out, in) && !(ok && r.Rows)
}

// What is read whole anywhere is computed whole, as is what would not be 0 in a row that is none, or too small a table.
func TestRowPruningKnowsItsLimits(t *testing.T) {
	few, many := []int32{10, -1, 0}, []int32{0, 1, 2, 3}
	product := func(b *engine.Builder) *op.Node {
		return op.SpMM(bipartite(b), b.State("x", engine.Gaussian(1), users+items, width))
	}
	for _, c := range []struct {
		name string
		read func(b *engine.Builder) []*op.Node
		rows int // products of rows
	}{
		{"rows", func(b *engine.Builder) []*op.Node {
			return []*op.Node{op.Gather(product(b), op.Only(b.Indices("few", few)))}
		}, 1},
		{"normalised rows", func(b *engine.Builder) []*op.Node {
			return []*op.Node{op.Gather(op.NormaliseRows(op.Neg(op.Scale(product(b), -2))), op.Only(b.Indices("few", few)))}
		}, 0}, // -0 is not 0
		{"a function of rows", func(b *engine.Builder) []*op.Node {
			return []*op.Node{op.Gather(op.NormaliseRows(op.Tanh(op.Scale(product(b), 2))), op.Only(b.Indices("few", few)))}
		}, 1},
		{"1 where there is none", func(b *engine.Builder) []*op.Node {
			return []*op.Node{op.Gather(op.Exp(product(b)), op.Only(b.Indices("few", few)))}
		}, 0},
		{"an output", func(b *engine.Builder) []*op.Node {
			y := product(b)
			return []*op.Node{op.Gather(y, op.Only(b.Indices("few", few))), y}
		}, 0},
		{"read whole by another", func(b *engine.Builder) []*op.Node {
			y := product(b)
			return []*op.Node{op.Gather(y, op.Only(b.Indices("few", few))), op.SumSquares(y)}
		}, 0},
		{"a column beside", func(b *engine.Builder) []*op.Node {
			c := b.State("c", engine.Gaussian(1), users+items, 1)
			return []*op.Node{op.Gather(op.Mul(product(b), c), op.Only(b.Indices("few", few)))}
		}, 0},
		{"many rows", func(b *engine.Builder) []*op.Node {
			return []*op.Node{op.Gather(product(b), op.Only(b.Indices("many", many)))}
		}, 0},
		{"a list twice", func(b *engine.Builder) []*op.Node {
			y, id := product(b), op.Only(b.Indices("few", few))
			return []*op.Node{op.Gather(y, id), op.Gather(op.Scale(y, 2), id)}
		}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := func(b *engine.Builder) (s engine.Step) {
				for i, n := range c.read(b) {
					s.Outputs = append(s.Outputs, engine.Named{Name: string(rune('a' + i)), Value: n})
				}
				return s
			}
			r := start(t, paranoid.New(1), kernels.Float64, m).steps(0, 1)
			plain := start(t, paranoid.New(2), kernels.Float64, m, engine.WithoutRowPruning).steps(0, 1)
			if _, rows := r.tables("SpMM"); rows != c.rows {
				t.Errorf("%d products of rows, want %d", rows, c.rows)
			}
			for _, b := range r.program.Plan.Bufs {
				if b.Kind == engine.Output {
					close(t, b.Name, r.output(b.Name), plain.output(b.Name), 0)
				}
			}
		})
	}
}
