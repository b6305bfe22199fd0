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
			one, two := op.Only(b.Indices("one", []int32{8})), op.Only(b.Indices("two", []int32{1, 8}))
			return op.Add(op.SumSquares(op.Gather(y, one)), op.SumSquares(op.Tanh(op.Gather(y, two))))
		}, 1},
		{"a second product is dense", func(b *engine.Builder, e *op.Node) *op.Node {
			return op.SumSquares(op.Gather(sparse(b, sparse(b, e)), op.Only(b.Indices("few", []int32{8, 0, 8}))))
		}, 1},
		{"too many rows", func(b *engine.Builder, e *op.Node) *op.Node {
			return op.SumSquares(op.Gather(sparse(b, e), op.Only(b.Indices("many", []int32{8, 1, 2, 3, 4, 5, 6, 7}))))
		}, 0},
		{"of a function that is 0 of 0", func(b *engine.Builder, e *op.Node) *op.Node {
			few := op.Only(b.Indices("few", []int32{8, 2}))
			x := op.ScatterAdd(op.Gather(e, few), few, users+items)
			for range 40 { // looked at once each
				x = op.Add(x, op.Tanh(x))
			}
			return op.SumSquares(op.NormaliseRows(sparse(b, x)))
		}, 1},
		{"of a function that is not", func(b *engine.Builder, e *op.Node) *op.Node {
			few := op.Only(b.Indices("few", []int32{8, 2}))
			return op.SumSquares(sparse(b, op.Exp(op.ScatterAdd(op.Gather(e, few), few, users+items))))
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

// A product with few rows of X keeps its precision, where it is faster so: not where X has as many rows as can still be marked in float32.
func TestZeroRowsInHalfPrecision(t *testing.T) {
	for _, c := range []struct {
		few            []int32
		halved, marked int
	}{{[]int32{8}, 2, 1}, {[]int32{8, 2}, 3, 0}} {
		store := engine.NewStore(cpu.New(1, kernelset.Best()), kernels.Float32, 1)
		store.Half = true
		p, err := engine.Build(store, func(b *engine.Builder) engine.Step {
			e := b.Param("embedding", engine.Gaussian(.5), users+items, width)
			z := op.Gather(op.SpMM(bipartite(b), op.SpMM(bipartite(b), e)), op.Only(b.Indices("few", c.few)))
			return engine.Optimise(b, engine.Objective{{Name: "small", Weight: 1, Value: op.SumSquares(z)}}, engine.Adam(.01))
		})
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
		if halved != c.halved || marked != c.marked {
			t.Errorf("%d rows: %d products are halved and %d marked, want %d and %d", len(c.few), halved, marked, c.halved, c.marked)
		}
	}
}
