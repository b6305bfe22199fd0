package models

import (
	"math"
	"slices"
	"testing"

	"nearfar/engine"
	"nearfar/engine/op"
	"nearfar/engine/paranoid"
	"nearfar/kernels"
	"nearfar/models/loss"
)

// goldenInfoNCE is the contrastive loss alone.
type goldenInfoNCE struct {
	Name         string
	Tau          float64
	Normalise    bool
	BiasPositive bool `json:"bias_positive"`
	Inputs       struct {
		X, Y                 goldenTensor
		Index                []int32
		Weight, Bias, Absent []float64
	}
	Outputs map[string]goldenTensor
}

// columns is the bias of the columns, -Inf for absent ones, and whether it is more than that.
func (c *goldenInfoNCE) columns() (bias []float64, finite bool) {
	bias = slices.Clone(c.Inputs.Bias)
	for j, a := range c.Inputs.Absent {
		finite = finite || bias[j] != 0
		if a != 0 {
			bias[j] = math.Inf(-1)
		}
	}
	return bias, finite
}

// infoNCENodes are the inputs of a case in a program.
type infoNCENodes struct {
	x, y, bias, weight *op.Node // as given; bias is nil without one
	u, v               *op.Node // x and y, of unit length where the case says so
	index              op.Index
}

func (c *goldenInfoNCE) nodes(b *engine.Builder) infoNCENodes {
	in := &c.Inputs
	n := infoNCENodes{
		x: b.Const("x", in.X.values(), in.X.Shape...), y: b.Const("y", in.Y.values(), in.Y.Shape...),
		weight: b.Const("weight", in.Weight, len(in.Weight)), index: op.Only(b.Indices("index", in.Index)),
	}
	if bias, _ := c.columns(); bias != nil {
		n.bias = b.Const("bias", bias, len(bias))
	}
	n.u, n.v = n.x, n.y
	if c.Normalise {
		n.u, n.v = op.NormaliseRows(n.x), op.NormaliseRows(n.y)
	}
	return n
}

// step reports rows, value and the gradients of a loss.
func (n infoNCENodes) step(t *testing.T, value, rows *op.Node) engine.Step {
	wrt, names := []*op.Node{n.x, n.y}, []string{"grad_x", "grad_y"}
	if n.bias != nil {
		wrt, names = append(wrt, n.bias), append(names, "grad_bias")
	}
	s := engine.Step{Outputs: []engine.Named{{Name: "value", Value: value}}}
	if rows != nil {
		s.Outputs = append(s.Outputs, engine.Named{Name: "rows", Value: rows})
	}
	grads, err := op.Grad(value, wrt...)
	if err != nil {
		t.Fatal(err)
	}
	for k, g := range grads {
		s.Outputs = append(s.Outputs, engine.Named{Name: names[k], Value: g})
	}
	return s
}

// direct is the loss by LogSumExp: rows_b = lse_b - pos_b.
func (c *goldenInfoNCE) direct(t *testing.T, unit bool) func(b *engine.Builder) engine.Step {
	return func(b *engine.Builder) engine.Step {
		n := c.nodes(b)
		_, finite := c.columns()
		lse := op.LogSumExp(n.u, n.v, op.Similarity{Scale: 1 / c.Tau, Unit: unit, Bias: n.bias, FiniteBias: finite, Weight: n.weight})
		pos := op.Scale(op.RowDot(n.u, op.Gather(n.v, n.index)), 1/c.Tau)
		if c.BiasPositive {
			pos = op.Add(pos, op.Gather(n.bias, n.index))
		}
		rows := op.Sub(lse, pos)
		return n.step(t, loss.Weighted(n.weight, rows), rows)
	}
}

// byLoss is the loss that models call; it has no bias of the positive and none but 0 and -Inf on the columns.
func (c *goldenInfoNCE) byLoss(t *testing.T) func(b *engine.Builder) engine.Step {
	return func(b *engine.Builder) engine.Step {
		n := c.nodes(b)
		return n.step(t, loss.InfoNCE(n.u, op.Gather(n.v, n.index), loss.Candidates{Rows: n.v, Bias: n.bias}, n.weight, c.Tau), nil)
	}
}

func TestInfoNCEIsThatOfPyTorch(t *testing.T) {
	// Without the kernels, LogSumExp and its gradient are written in smaller operators.
	expanded := platform{"expanded float64", kernels.Float64, func() engine.Device {
		return paranoid.New(1, paranoid.Refuse("LogSumExp", "LogSumExpGrad", "LogSumExpWithGrad"))
	}}
	infoNCEIsThatOfPyTorch(t, append(platforms(), expanded)...)
}

func infoNCEIsThatOfPyTorch(t *testing.T, platforms ...platform) {
	var golden struct{ Cases []*goldenInfoNCE }
	readGolden(t, "infonce.json", &golden)
	if len(golden.Cases) != 36 {
		t.Fatalf("%d cases, want 36", len(golden.Cases))
	}
	for _, p := range platforms {
		t.Run(p.name, func(t *testing.T) {
			for _, c := range golden.Cases {
				t.Run(c.Name, func(t *testing.T) { c.holdAgainst(t, p) })
			}
		})
	}
}

func (c *goldenInfoNCE) holdAgainst(t *testing.T, p platform) {
	_, finite := c.columns()
	forms := []struct {
		name    string
		applies bool
		model   func(b *engine.Builder) engine.Step
		options []engine.PlanOption
	}{
		{"running maximum", true, c.direct(t, false), nil},
		{"bounded logits", c.Normalise, c.direct(t, true), nil},
		{"two passes", c.Normalise, c.direct(t, true), []engine.PlanOption{engine.WithoutOnePass}},
		{"loss", c.Normalise && !finite && !c.BiasPositive, c.byLoss(t), nil},
	}
	for _, f := range forms {
		if !f.applies {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			program := build(t, p.on(t), f.model, f.options...)
			run(t, program, 1)
			for name, want := range c.Outputs {
				if name == "rows" && f.name == "loss" {
					continue
				}
				got := output(t, program, name)
				if name == "rows" { // of padding, golden rows are 0
					for i, id := range c.Inputs.Index {
						if id < 0 {
							got[i] = 0
						}
					}
				}
				want.check(t, name, got, p.float)
			}
		})
	}
}

// SGL's sum over logsumexp(s - s_pos) and SimGCL's mean of -log(e^s_pos / Σ e^s) are one loss.
func TestBothPublishedFormsAreOneLoss(t *testing.T) {
	var golden struct {
		Same struct {
			X, Y   goldenTensor
			Values []struct {
				Tau       float64
				FormASum  float64 `json:"form_a_sum"`
				FormBMean float64 `json:"form_b_mean"`
			}
		} `json:"seed_forms_on_the_same_negatives"`
	}
	readGolden(t, "infonce.json", &golden)
	same := golden.Same
	if len(same.Values) != 5 {
		t.Fatalf("%d temperatures, want 5", len(same.Values))
	}
	n := same.X.Shape[0]
	for _, v := range same.Values {
		store := platforms()[0].on(t)
		program := build(t, store, func(b *engine.Builder) engine.Step {
			x := op.NormaliseRows(b.Const("x", same.X.values(), same.X.Shape...))
			y := op.NormaliseRows(b.Const("y", same.Y.values(), same.Y.Shape...))
			one := op.Fill(b.Graph, 1, b.Float(n))
			return engine.Step{Outputs: []engine.Named{
				{Name: "sum", Value: loss.InfoNCE(x, y, loss.Candidates{Rows: y}, one, v.Tau)},
				{Name: "mean", Value: loss.InfoNCE(x, y, loss.Candidates{Rows: y}, op.Scale(one, 1/float64(n)), v.Tau)}}}
		})
		run(t, program, 1)
		goldenTensor{Data: []float64{v.FormASum}}.check(t, "sum", output(t, program, "sum"), kernels.Float64)
		goldenTensor{Data: []float64{v.FormBMean}}.check(t, "mean", output(t, program, "mean"), kernels.Float64)
	}
}
