package op_test

import (
	"math"

	"nearfar/engine/op"
)

func logSumExpCases() (cases []opCase) {
	type form struct {
		name string
		s    func(b *bench, s *op.Similarity, o *operands)
		once bool
	}
	for _, f := range []form{
		{name: "plain", s: func(*bench, *op.Similarity, *operands) {}},
		{name: "unit", s: func(_ *bench, s *op.Similarity, _ *operands) { s.Unit = true }},
		{name: "bias", s: func(b *bench, s *op.Similarity, o *operands) {
			s.Bias, s.FiniteBias = b.float("bias", b.apart, 4), true
			o.flows = append(o.flows, s.Bias)
		}},
		{name: "absent column", s: func(b *bench, s *op.Similarity, _ *operands) {
			s.Unit, s.Bias = true, b.values64("bias", []float64{0, math.Inf(-1), 0, 0}, 4)
		}},
		{name: "every column absent", s: func(b *bench, s *op.Similarity, _ *operands) {
			gone := math.Inf(-1)
			s.Bias, s.Weight = b.values64("bias", []float64{gone, gone, gone, gone}, 4), b.values64("weight", []float64{0, 0, 0}, 3)
		}},
		{name: "absent row", s: func(b *bench, s *op.Similarity, o *operands) {
			s.Weight = b.values64("weight", []float64{1, 0, .5}, 3)
		}},
		{name: "weight", s: func(b *bench, s *op.Similarity, o *operands) {
			s.Weight = b.float("weight", b.above, 3)
			o.stops = append(o.stops, s.Weight)
		}},
		{name: "excluded pairs", once: true, s: func(b *bench, s *op.Similarity, _ *operands) {
			s.ExcludeRow, s.ExcludeCol = b.ints("row", 0, 0, 2, -1), b.ints("col", 1, 3, 0, 0)
		}},
		{name: "everything", once: true, s: func(b *bench, s *op.Similarity, o *operands) {
			s.Bias, s.FiniteBias, s.Weight = b.float("bias", b.apart, 4), true, b.values64("weight", []float64{1, 1, 0}, 3)
			s.ExcludeRow, s.ExcludeCol = b.ints("row", 1, -1), b.ints("col", 2, 0)
			o.flows = append(o.flows, s.Bias)
		}},
	} {
		cases = append(cases, opCase{of: "LogSumExp", name: f.name, once: f.once, build: func(b *bench) (*op.Node, operands) {
			x, y := b.float("x", b.apart, 3, 2), b.float("y", b.apart, 4, 2)
			s, o := op.Similarity{Scale: 2}, on(x, y)
			f.s(b, &s, &o)
			if f.name == "every column absent" {
				o = operands{stops: []*op.Node{x, y}}
			}
			if s.Unit {
				return op.LogSumExp(op.NormaliseRows(x), op.NormaliseRows(y), s), o
			}
			return op.LogSumExp(x, y, s), o
		}})
	}
	return append(cases, opCase{of: "LogSumExp", name: "a matrix with itself", build: func(b *bench) (*op.Node, operands) {
		x := b.float("x", b.apart, 3, 2)
		return op.LogSumExp(x, x, op.Similarity{Scale: 1}), on(x)
	}})
}
