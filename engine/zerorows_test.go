package engine_test

import (
	"testing"

	"nearfar/engine"
	"nearfar/engine/cpu"
	"nearfar/engine/op"
	"nearfar/kernels"
	kernelset "nearfar/kernels/cpu"
)

// A product's X is marked where it is scattered from few rows and nothing else, and results are those without the mark.
func TestZeroRows(t *testing.T) {
	sparse := func(b *engine.Builder, y *op.Node) *op.Node { return op.SpMM(bipartite(b), y) }
	for _, c := range []struct {
		name   string
		loss   func(b *engine.Builder, e *op.Node) *op.Node // of E
		marked int                                          // products
	}{
		{"the gradient at few rows", func(b *engine.Builder, e *op.Node) *op.Node {
			return op.SumSquares(op.Gather(sparse(b, e), op.Only(b.Indices("few", []int32{8, -1, 8}))))
		}, 1},
		{"of two lists", func(b *engine.Builder, e *op.Node) *op.Node {
			y := sparse(b, e)
			one, two := op.Only(b.Indices("one", []int32{8, 3})), op.Only(b.Indices("two", []int32{1, 8}))
			return op.Add(op.SumSquares(op.Gather(y, one)), op.SumSquares(op.Tanh(op.Gather(y, two))))
		}, 1},
		{"a second product is dense", func(b *engine.Builder, e *op.Node) *op.Node {
			return op.SumSquares(op.Gather(sparse(b, sparse(b, e)), op.Only(b.Indices("few", []int32{8, 0, 8}))))
		}, 1},
		{"too many rows", func(b *engine.Builder, e *op.Node) *op.Node {
			return op.SumSquares(op.Gather(sparse(b, e), op.Only(b.Indices("many", []int32{8, 1, 2, 3, 4, 5, 6, 7}))))
		}, 0},
		{"all rows", func(b *engine.Builder, e *op.Node) *op.Node { return op.SumSquares(sparse(b, e)) }, 0},
		{"all rows beside few", func(b *engine.Builder, e *op.Node) *op.Node {
			y := sparse(b, e)
			return op.Add(op.Sum(op.Tanh(y)), op.SumSquares(op.Gather(y, op.Only(b.Indices("few", []int32{8, 0})))))
		}, 0},
	} {
		model := func(b *engine.Builder) engine.Step {
			e := b.Param("embedding", engine.Gaussian(.5), users+items, width)
			return engine.Optimise(b, engine.Objective{{Name: "far", Weight: 1, Value: c.loss(b, e)}}, engine.Adam(.01))
		}
		for _, d := range devices {
			t.Run(c.name+" "+d.name, func(t *testing.T) {
				r := start(t, d.make(), kernels.Float64, model).steps(0, 3)
				if marked := r.marked(); marked != c.marked {
					t.Errorf("%d products are marked, want %d", marked, c.marked)
				}
				plain := start(t, d.make(), kernels.Float64, model, engine.WithoutZeroRows).steps(0, 3)
				if marked := plain.marked(); marked != 0 {
					t.Errorf("%d products are marked without the pass", marked)
				}
				agree(t, "without marks", plain, r, 1e-11)
			})
		}
	}
}

func (r *run) marked() (n int) {
	for _, i := range r.program.Plan.Code {
		if k, ok := i.K.(kernels.SpMM); ok && k.ZeroRows {
			n++
		}
	}
	return n
}

// What is multiplied with few rows of X keeps its precision: rounding all of X would take longer than it saves.
func TestZeroRowsAreNotHalved(t *testing.T) {
	store := engine.NewStore(cpu.New(1, kernelset.Best()), kernels.Float32, 1)
	store.Half = true
	p, err := engine.Build(store, fewRows)
	if err != nil {
		t.Fatal(err)
	}
	halved, marked := 0, 0
	for _, i := range p.Plan.Code {
		if k, ok := i.K.(kernels.SpMM); ok && k.Half {
			halved++
		} else if ok && k.ZeroRows {
			marked++
		}
	}
	if halved == 0 || marked != 1 {
		t.Errorf("%d products are halved and %d with few rows are not: want some, and one", halved, marked)
	}
}
