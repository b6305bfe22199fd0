package models

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"nearfar/engine"
	"nearfar/kernels"
	"nearfar/kernels/philox"
	"nearfar/trainer/dataset"
	"nearfar/trainer/sample"
)

// rowsOf draws a table [n, d] of N(0, 1).
func rowsOf(stream string, n, d int) [][]float64 {
	flat := make([]float64, n*d)
	engine.Gaussian(1)(philox.New(1, stream), kernels.Of(kernels.Float64, n, d), flat)
	var rows [][]float64
	for r := range slices.Chunk(flat, d) {
		rows = append(rows, r)
	}
	return rows
}

func cosine(x, y []float64) float64 {
	var xy, xx, yy float64
	for k := range x {
		xy, xx, yy = xy+x[k]*y[k], xx+x[k]*x[k], yy+y[k]*y[k]
	}
	return xy / math.Sqrt(xx*yy)
}

// plainInfoNCE is Σ_k [ln Σ_j e^(cos(x_k, y_j)/tau) - cos(x_k, y_k)/tau] over the anchors k, j over the candidates, by the definition.
func plainInfoNCE(x, y [][]float64, anchors, candidates []int32, tau float64) (sum float64) {
	for _, k := range anchors {
		total := 0.0
		for _, j := range candidates {
			total += math.Exp(cosine(x[k], y[j]) / tau)
		}
		sum += math.Log(total) - cosine(x[k], y[k])/tau
	}
	return sum
}

func TestContrastHasTheNegativesThatOptionsName(t *testing.T) {
	const users, items, dim = 5, 7, 4
	// User 1 and item 2 stand twice, and the last two rows are padding.
	given := batch{User: []int32{1, 3, 1, 0, -1, -1}, Pos: []int32{2, 2, 6, 0, -1, -1}, Neg: []int32{0, 0, 0, 3, -1, -1}, Weight: []float64{.25, .25, .25, .25, 0, 0}}
	x, y := rowsOf("x", users+items, dim), rowsOf("y", users+items, dim)
	present := func(ids []int32, from int32, unique bool) (nodes []int32) {
		for _, id := range ids {
			if id >= 0 {
				nodes = append(nodes, id+from)
			}
		}
		if unique {
			slices.Sort(nodes)
			nodes = slices.Compact(nodes)
		}
		return nodes
	}
	all := func(from, to int32) (nodes []int32) {
		for n := from; n < to; n++ {
			nodes = append(nodes, n)
		}
		return nodes
	}
	want := func(o ContrastOptions) (sum float64) {
		anchors := [][]int32{present(given.User, 0, o.Unique), present(given.Pos, users, o.Unique)}
		candidates := anchors
		switch o.Negatives {
		case AllNodes:
			candidates = [][]int32{all(0, users), all(users, users+items)}
		case BatchMerged:
			anchors = [][]int32{slices.Concat(anchors...)}
			candidates = anchors
		}
		for k := range anchors {
			part := plainInfoNCE(x, y, anchors[k], candidates[k], o.Tau)
			if o.SSLReduce == sample.Mean {
				part /= float64(len(anchors[k]))
			}
			sum += part
		}
		return sum
	}
	seen := map[float64]string{}
	for _, negatives := range []Negatives{AllNodes, InBatch, BatchMerged} {
		for _, unique := range []bool{false, true} {
			for _, reduce := range []sample.Reduction{sample.Mean, sample.Sum} {
				o := ContrastOptions{Tau: .3, Negatives: negatives, Unique: unique, SSLReduce: reduce}
				name := fmt.Sprintf("%s/unique=%v/%s", negatives, unique, reduce)
				t.Run(name, func(t *testing.T) {
					m := ranked{propagation{nodes: nodes{EmbeddingOptions{Batch: len(given.User)}, users, items}},
						ranking{triples: newFixedTriples(users, items, unique, given)}}
					p := build(t, platforms()[0].on(t), func(b *engine.Builder) engine.Step {
						v1 := b.Const("x", slices.Concat(x...), users+items, dim)
						v2 := b.Const("y", slices.Concat(y...), users+items, dim)
						return engine.Step{Outputs: []engine.Named{{Name: "contrast", Value: m.contrast(b, v1, v2, o)}}}
					})
					run(t, p, 1)
					expected := want(o)
					goldenTensor{Data: []float64{expected}}.check(t, "contrast", output(t, p, "contrast"), kernels.Float64)
					if other, twice := seen[expected]; twice {
						t.Errorf("the same value as %s: the test cannot tell them apart", other)
					}
					seen[expected] = name
				})
			}
		}
	}
}

// An epoch's last batch may hold nothing but padding in one list: the losses are then 0, not NaN.
func TestContrastOfPaddingIsNothing(t *testing.T) {
	pad := batch{User: []int32{-1, -1}, Pos: []int32{-1, -1}, Neg: []int32{-1, -1}, Weight: []float64{0, 0}}
	for _, negatives := range []Negatives{AllNodes, InBatch, BatchMerged} {
		for _, unique := range []bool{false, true} {
			m := ranked{propagation{nodes: nodes{EmbeddingOptions{Batch: 2}, 3, 3}}, ranking{triples: newFixedTriples(3, 3, unique, pad)}}
			p := build(t, platforms()[1].on(t), func(b *engine.Builder) engine.Step {
				x := b.Param("x", engine.Gaussian(1), 6, 4)
				l := m.contrast(b, x, x, ContrastOptions{Tau: .2, Negatives: negatives, Unique: unique})
				return engine.Optimise(b, engine.Objective{{Name: "ssl", Weight: 1, Value: l}}, engine.Adam(.1))
			})
			if got := run(t, p, 1)[0]["ssl"]; got != 0 {
				t.Errorf("%s, unique %v: a contrast of padding is %g", negatives, unique, got)
			}
		}
	}
}

// blocks is a planted data set: each user of block k likes the items of block k. train holds most of a user's likes, test the others.
func blocks(t *testing.T, users, items, n int) (train, test *dataset.Interactions) {
	t.Helper()
	likes := rowsOf("likes", users, items)
	var trained, tested []dataset.Pair
	for u, row := range likes {
		for i, z := range row {
			pair := dataset.Pair{User: int32(u), Item: int32(i)}
			switch same := u%n == i%n; {
			case same && z < .2, !same && z > 2.3: // most of the block, and a little noise
				trained = append(trained, pair)
			case same && z > .6:
				tested = append(tested, pair)
			}
		}
	}
	train, _, err := dataset.FromPairs(users, items, trained)
	if err != nil {
		t.Fatal(err)
	}
	if test, _, err = dataset.FromPairs(users, items, tested); err != nil {
		t.Fatal(err)
	}
	return train, test
}
