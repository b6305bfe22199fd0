package loss

import (
	"fmt"
	"math"
	"testing"

	"nearfar/engine"
	"nearfar/engine/cpu"
	"nearfar/engine/op"
	"nearfar/kernels"
	kernelset "nearfar/kernels/cpu"
)

// evaluate gives the values of scalars over N(0, 1) draws, in float64.
func evaluate(t *testing.T, scalars func(b *engine.Builder) []*op.Node) []float64 {
	t.Helper()
	device := cpu.New(1, kernelset.Generic())
	defer device.Close()
	p, err := engine.Build(engine.NewStore(device, kernels.Float64, 1), func(b *engine.Builder) (s engine.Step) {
		for _, n := range scalars(b) {
			s.Scalars = append(s.Scalars, engine.Named{Name: fmt.Sprint("scalar ", len(s.Scalars)), Value: n})
		}
		return s
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var values []float64
	if err := p.Run(t.Context(), 0, 1, func(_ uint64, v []float64) { values = append(values, v...) }); err != nil {
		t.Fatal(err)
	}
	return values
}

func draw(b *engine.Builder, name string, dims ...int) *op.Node {
	return b.Param(name, engine.Gaussian(1), dims...)
}

func ones(b *engine.Builder, n int, v float64) *op.Node { return op.Fill(b.Graph, v, b.Float(n)) }

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance*max(1, math.Abs(want))) {
		t.Errorf("%s is %.15g, want %.15g", what, got, want)
	}
}

// With scores of 0 an interaction and its negative are a coin's toss.
func TestBPRWithoutKnowledgeIsLn2(t *testing.T) {
	v := evaluate(t, func(b *engine.Builder) []*op.Node {
		zero := op.Fill(b.Graph, 0, b.Float(5, 3))
		p := draw(b, "p", 5, 3)
		return []*op.Node{BPR(zero, p, draw(b, "n", 5, 3), ones(b, 5, .2)), BPR(draw(b, "u", 5, 3), p, p, ones(b, 5, .2))}
	})
	near(t, "BPR of users at 0", v[0], math.Ln2, 1e-15)
	near(t, "BPR of equal items", v[1], math.Ln2, 1e-15)
}

// A score difference of s costs softplus(-s), also where e^s overflows.
func TestBPROfGivenScores(t *testing.T) {
	for _, s := range []float64{-800, -30, -1, 0, .5, 3, 40, 800} {
		v := evaluate(t, func(b *engine.Builder) []*op.Node {
			u, n := b.Const("u", []float64{1, 2}, 1, 2), b.Const("n", []float64{0, 0}, 1, 2)
			return []*op.Node{BPR(u, b.Const("p", []float64{s, 0}, 1, 2), n, ones(b, 1, 1))}
		})
		near(t, "BPR", v[0], math.Log1p(math.Exp(-math.Abs(s)))+max(-s, 0), 1e-14)
	}
}

func TestL2IsHalfTheSquares(t *testing.T) {
	v := evaluate(t, func(b *engine.Builder) []*op.Node {
		x, y := b.Const("x", []float64{1, 2, 3, 4}, 2, 2), b.Const("y", []float64{5, 6, 7, 8}, 2, 2)
		w := b.Const("w", []float64{.5, 0}, 2)
		return []*op.Node{L2(w, x), L2(w, x, y)}
	})
	near(t, "L2 of a row", v[0], .5*.5*5, 1e-15)
	near(t, "L2 of two rows", v[1], .5*.5*(5+61), 1e-15)
}

// Between unrelated views every candidate is as likely: the loss is about the logarithm of their number.
func TestInfoNCEOfRandomViewsIsTheLogOfTheCandidates(t *testing.T) {
	const batch, candidates, dim = 64, 500, 64
	v := evaluate(t, func(b *engine.Builder) []*op.Node {
		x, y := op.NormaliseRows(draw(b, "x", batch, dim)), op.NormaliseRows(draw(b, "y", candidates, dim))
		p, w := op.Slice(y, 0, 0, batch), ones(b, batch, 1./batch)
		same := op.NormaliseRows(op.Fill(b.Graph, 1, b.Float(batch, dim)))
		return []*op.Node{InfoNCE(x, p, Candidates{Rows: y}, w, 1), InfoNCE(same, same, Candidates{Rows: same}, w, .1)}
	})
	near(t, "InfoNCE of random views", v[0], math.Log(candidates), .02)
	near(t, "InfoNCE of a collapsed table", v[1], math.Log(batch), 1e-12)
}

// With the positive and one negative as candidates and tau 1, InfoNCE is BPR: ln(e^p + e^n) - p = softplus(n - p).
func TestInfoNCEWithOneNegativeIsBPR(t *testing.T) {
	const dim = 6
	v := evaluate(t, func(b *engine.Builder) []*op.Node {
		x, p, n := draw(b, "x", 1, dim), draw(b, "p", 1, dim), draw(b, "n", 1, dim)
		w := ones(b, 1, 1)
		// Rows that are not of unit length have no bound, so this is InfoNCE's formula over the running maximum.
		lse := op.LogSumExp(x, op.Concat(0, p, n), op.Similarity{Scale: 1})
		plain := Weighted(w, op.Sub(lse, op.RowDot(x, p)))
		x1, p1, n1 := op.NormaliseRows(x), op.NormaliseRows(p), op.NormaliseRows(n)
		return []*op.Node{plain, BPR(x, p, n, w), InfoNCE(x1, p1, Candidates{Rows: op.Concat(0, p1, n1)}, w, 1), BPR(x1, p1, n1, w)}
	})
	near(t, "InfoNCE without normalisation", v[0], v[1], 1e-14)
	near(t, "InfoNCE of unit rows", v[2], v[3], 1e-14)
	if v[1] == v[3] {
		t.Error("the rows were of unit length already: the two comparisons are one")
	}
}

// A candidate of bias -Inf and an anchor of weight 0 are as if they were not there.
func TestInfoNCELeavesOutWhatIsAbsent(t *testing.T) {
	const dim = 5
	v := evaluate(t, func(b *engine.Builder) []*op.Node {
		x, y := op.NormaliseRows(draw(b, "x", 4, dim)), op.NormaliseRows(draw(b, "y", 6, dim))
		bias := b.Const("bias", []float64{0, 0, 0, 0, math.Inf(-1), math.Inf(-1)}, 6)
		w := b.Const("w", []float64{1, 1, 1, 0}, 4)
		part := func(z *op.Node, n int) *op.Node { return op.Slice(z, 0, 0, n) }
		return []*op.Node{
			InfoNCE(x, part(y, 4), Candidates{Rows: y, Bias: bias}, w, .2),
			InfoNCE(part(x, 3), part(y, 3), Candidates{Rows: part(y, 4)}, ones(b, 3, 1), .2),
		}
	})
	near(t, "InfoNCE", v[0], v[1], 1e-14)
}

// A candidate that stands twice counts twice.
func TestInfoNCEKeepsDuplicates(t *testing.T) {
	v := evaluate(t, func(b *engine.Builder) []*op.Node {
		x := op.NormaliseRows(draw(b, "x", 3, 4))
		w, y := ones(b, 3, 1), op.NormaliseRows(draw(b, "y", 3, 4))
		return []*op.Node{InfoNCE(x, y, Candidates{Rows: y}, w, .5), InfoNCE(x, y, Candidates{Rows: op.Concat(0, y, y)}, w, .5)}
	})
	near(t, "InfoNCE with every candidate twice", v[1], v[0]+3*math.Ln2, 1e-14)
}

// 1 - cos is 0 of what points one way, 1 of what is orthogonal, 2 of opposites; rows of weight 0 and rows of zeros are no NaN.
func TestCosineDistance(t *testing.T) {
	v := evaluate(t, func(b *engine.Builder) []*op.Node {
		x := b.Const("x", []float64{1, 0, 1, 0, 1, 0, 3, 4, 0, 0}, 5, 2)
		y := b.Const("y", []float64{2, 0, 0, 5, -7, 0, 4, 3, 1, 1}, 5, 2)
		w := func(name string, v ...float64) *op.Node { return b.Const(name, v, 5) }
		return []*op.Node{CosineDistance(x, y, w("a", 1, 0, 0, 0, 0)), CosineDistance(x, y, w("b", 0, 1, 0, 0, 0)), CosineDistance(x, y, w("c", 0, 0, 1, 0, 0)),
			CosineDistance(x, y, w("d", 0, 0, 0, 1, 0)), CosineDistance(x, y, w("e", .25, .25, .25, .25, 0)), CosineDistance(x, y, w("f", 0, 0, 0, 0, 1))}
	})
	for k, want := range []float64{0, 1, 2, 1 - 24./25, (3 + 1. - 24./25) / 4, 1} {
		near(t, fmt.Sprint("distance ", k), v[k], want, 1e-15)
	}
}
