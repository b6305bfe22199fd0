//go:build gpu && linux && amd64 && cgo

package cuda

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"nearfar/engine"
	"nearfar/engine/op"
	"nearfar/kernels"
)

// A gradient by rows is the scattered one, to the bit, also of moments in 16 bits, which are rounded by what an element is and not by who rounds it; and
// both are near the processor's.
func TestRowGradients(t *testing.T) {
	for _, width := range []int{4, 5} { // in fours, and one by one
		for _, rounded := range []bool{false, true} {
			t.Run(fmt.Sprint(width, " ", rounded), func(t *testing.T) {
				o := engine.Adam(.01)
				o.Kernel = kernels.Adam{B1: .9, B2: .999, Eps: 1e-8, Moments16: rounded}
				m := func(b *engine.Builder) engine.Step {
					ids := b.Feed(chosen{})
					at := op.Index{ID: ids[0], Rows: ids[1], Seg: ids[2], Perm: ids[3]}
					rows := op.Gather(b.Param("x", engine.Gaussian(1), 6, width), at)
					return engine.Optimise(b, engine.Objective{{Name: "far", Weight: 1, Value: op.SumSquares(op.Tanh(rows))}}, o)
				}
				byRows := func(p *engine.Program) error {
					if !slices.ContainsFunc(p.Plan.Code, func(i engine.Instr) bool { _, ok := i.K.(kernels.RowAdam); return ok }) {
						return fmt.Errorf("the gradient is not by rows")
					}
					return nil
				}
				const steps = 10
				d := open(t)
				got, err := train(d, m, steps, byRows)
				if err != nil {
					t.Fatal(err)
				}
				for _, without := range []engine.PlanOption{engine.WithoutRowGradients, engine.WithoutInPlace} {
					if plain, err := train(d, m, steps, nil, without); err != nil || !same(got, plain) {
						t.Errorf("without %v: the states are\n%v, want\n%v: %v", without, got, plain, err)
					}
				}
				want, err := train(processorDevice(), m, steps, byRows)
				if err != nil {
					t.Fatal(err)
				}
				x, y := engine.View[float32](got[0].Data), engine.View[float32](want[0].Data)
				for i := range x {
					if math.Abs(float64(x[i]-y[i])) > 1e-3 { // a hundredth of the way; a moment that is rounded otherwise is 1/128 off
						t.Errorf("element %d of x is %v, on the processor %v", i, x[i], y[i])
					}
				}
			})
		}
	}
}
