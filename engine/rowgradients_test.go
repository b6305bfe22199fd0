package engine_test

import (
	"testing"

	"nearfar/engine"
	"nearfar/engine/cpu"
	"nearfar/engine/op"
	"nearfar/kernels"
	kernelset "nearfar/kernels/cpu"
)

// tall is a number of rows that is more than a batch.
const tall = 40

// Adam takes a table's gradient by rows where nothing but Adam and the guard reads it, and the results are those without, to the bit.
func TestRowGradients(t *testing.T) {
	f := &triples{}
	gathered := func(b *engine.Builder, table *op.Node, list string) *op.Node {
		return op.Gather(table, b.Index(f, list))
	}
	users := func(b *engine.Builder, table *op.Node) *op.Node { return op.Sum(op.Tanh(gathered(b, table, "user"))) }
	minimise := func(o engine.Optimiser, rows int, loss func(b *engine.Builder, table *op.Node) *op.Node) model {
		return func(b *engine.Builder) engine.Step {
			table := b.Param("table", engine.Gaussian(.5), rows, width)
			return engine.Optimise(b, engine.Objective{{Name: "far", Weight: 1, Value: loss(b, table)}}, o)
		}
	}
	apply := func(step func(b *engine.Builder, p, q, loss, gradient *op.Node) engine.Step) model {
		return func(b *engine.Builder) engine.Step {
			p, q := b.Param("p", engine.Gaussian(.5), tall, width), b.Param("q", engine.Gaussian(.5), tall, width)
			loss := users(b, p)
			g, err := op.Grad(loss, p)
			if err != nil {
				t.Fatal(err)
			}
			return step(b, p, q, loss, g[0])
		}
	}
	clipped := engine.Adam(.01)
	clipped.Clip = .1
	decayed := engine.Optimiser{Kernel: kernels.Adam{B1: .9, B2: .999, Eps: 1e-8, Decay: .05}, LR: .01}
	for _, c := range []struct {
		name   string
		m      model
		byRows int // optimisers
	}{
		{"Adam", minimise(engine.Adam(.01), tall, users), 1},
		{"Adam with L2", minimise(decayed, tall, users), 1},
		{"AdamW", minimise(engine.AdamW(.01, .05), tall, users), 1},
		{"beside another parameter", minimise(engine.Adam(.01), tall, func(b *engine.Builder, table *op.Node) *op.Node {
			w := b.Param("w", engine.Gaussian(.5), width, width)
			return op.SumSquares(op.MatMul(gathered(b, table, "user"), w, false, false))
		}), 1},
		{"for two parameters", apply(func(b *engine.Builder, p, q, loss, g *op.Node) engine.Step {
			return engine.Step{Updates: engine.Apply(b, loss, []*op.Node{p, q}, []*op.Node{g, g}, engine.Adam(.01))}
		}), 2},
		{"clipped", minimise(clipped, tall, users), 0},
		{"another optimiser", minimise(engine.SGD(.01, .9), tall, users), 0},
		{"a table as small as the batch", minimise(engine.Adam(.01), batch, users), 0},
		{"ids without an inverse", minimise(engine.Adam(.01), tall, func(b *engine.Builder, table *op.Node) *op.Node {
			return op.SumSquares(op.Gather(table, op.Only(b.Indices("few", []int32{8, -1, 8}))))
		}), 0},
		{"of two lists", minimise(engine.Adam(.01), tall, func(b *engine.Builder, table *op.Node) *op.Node {
			return op.Add(users(b, table), op.SumSquares(gathered(b, table, "pos")))
		}), 0},
		{"read by another", apply(func(b *engine.Builder, p, q, loss, g *op.Node) engine.Step {
			updates := engine.Apply(b, loss, []*op.Node{p}, []*op.Node{g}, engine.Adam(.01))
			return engine.Step{Updates: append(updates, engine.Update{State: q, Next: op.Sub(q, g)})}
		}), 0},
		{"an output", apply(func(b *engine.Builder, p, _, loss, g *op.Node) engine.Step {
			return engine.Step{Updates: engine.Apply(b, loss, []*op.Node{p}, []*op.Node{g}, engine.Adam(.01)), Outputs: []engine.Named{{Name: "gradient", Value: g}}}
		}), 0},
		{"a norm that is reported", apply(func(b *engine.Builder, p, _, loss, g *op.Node) engine.Step {
			return engine.Step{Updates: engine.Apply(b, loss, []*op.Node{p}, []*op.Node{g}, engine.Adam(.01)), Scalars: []engine.Named{{Name: "norm", Value: op.Sqrt(op.SumSquares(g))}}}
		}), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, start func(model) *run) {
				r := start(c.m).steps(0, 4)
				if got := r.byRows(); got != c.byRows {
					t.Errorf("%d optimisers take their gradient by rows, want %d", got, c.byRows)
				}
				if got := r.count("ScatterAdd"); c.byRows > 0 && got > 0 {
					t.Errorf("%d gradients are scattered nevertheless", got)
				}
			})
			for _, d := range devices {
				for _, float := range []kernels.DType{kernels.Float32, kernels.Float64} {
					r, plain := start(t, d.make(), float, c.m).steps(0, 4), start(t, d.make(), float, c.m, engine.WithoutRowGradients).steps(0, 4)
					if got := plain.byRows(); got != 0 {
						t.Errorf("%d optimisers take their gradient by rows without the pass", got)
					}
					agree(t, d.name+": without row gradients", plain, r, 0)
				}
			}
		})
	}
}

func (r *run) byRows() (n int) {
	for _, i := range r.program.Plan.Code {
		if k, ok := i.K.(kernels.RowAdam); ok && k.Dense {
			n++
		}
	}
	return n
}

// The parameter, its moments and nothing else of the table's size are in memory, and the update is in place.
func TestRowGradientsNeedNoTable(t *testing.T) {
	r := start(t, cpu.New(1, kernelset.Best()), kernels.Float32, func(b *engine.Builder) engine.Step {
		table := b.Param("table", engine.Gaussian(.5), 1000*tall, width)
		return engine.Optimise(b, engine.Objective{{Name: "far", Weight: 1, Value: op.SumSquares(op.Gather(table, b.Index(&triples{}, "user")))}}, engine.Adam(.01))
	})
	if size := int64(1000 * tall * width * 4); r.program.Plan.Arena >= size {
		t.Errorf("temporaries of %d bytes, beside a table of %d", r.program.Plan.Arena, size)
	}
	for _, i := range r.program.Plan.Code {
		if _, ok := i.K.(kernels.RowAdam); ok && (i.InPlace[0] != 0 || i.InPlace[1] != 1 || i.InPlace[2] != 2) {
			t.Errorf("outputs lie on the inputs %v, want p, m and v on their own", i.InPlace)
		}
	}
}

// A gradient that is not finite changes nothing, wherever it is.
func TestNaNInRowGradients(t *testing.T) {
	everywhere(t, func(t *testing.T, start func(model) *run) {
		r := start(func(b *engine.Builder) engine.Step {
			table, bad := b.Param("table", engine.Gaussian(.5), tall, width), b.Feed(&poisoned{at: 2})[0]
			rows := op.Gather(table, b.Index(&triples{}, "user"))
			loss := op.Sum(op.Mul(rows, op.Reshape(op.Detach(bad), batch, 1)))
			g, err := op.Grad(loss, table)
			if err != nil {
				t.Fatal(err)
			}
			finite := op.Sum(rows)
			return engine.Step{Updates: engine.Apply(b, finite, []*op.Node{table}, g, engine.Adam(.1))}
		})
		if r.byRows() != 1 {
			t.Fatal("the gradient is not by rows")
		}
		nonFinite(t, r, 2)
	})
}
