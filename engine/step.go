package engine

import (
	"errors"
	"fmt"
	"slices"

	"nearfar/engine/op"
	"nearfar/kernels"
)

// Term is one part of an objective: Weight times a scalar.
type Term struct {
	Name   string
	Weight float64
	Value  *op.Node
}

// Objective is what a model minimises: Σ Weight·Value. Each part is reported by its name.
type Objective []Term

// Total is the weighted sum.
func (o Objective) Total() *op.Node {
	var total *op.Node
	for _, t := range o {
		v := t.Value
		if t.Weight != 1 {
			v = op.Scale(v, t.Weight)
		}
		if total == nil {
			total = v
		} else {
			total = op.Add(total, v)
		}
	}
	return total
}

// Update gives a State its next value. Reading State always gives the value before the step; Next is the value after it.
type Update struct{ State, Next *op.Node }

// Named is a scalar that is reported every step, or a tensor that can be read after a run.
type Named struct {
	Name  string
	Value *op.Node
}

// Step is what a program does at every step.
type Step struct {
	Updates []Update
	Scalars []Named // reported step by step
	Outputs []Named // tensors of the last step
}

// Optimise is the step of an ordinary training run: minimise the objective over all of the program's parameters, and report its parts.
func Optimise(b *Builder, obj Objective, o Optimiser) Step {
	if len(obj) == 0 {
		b.fail(errors.New("the objective has no terms"))
	}
	total := obj.Total()
	s := Step{Updates: Minimise(b, total, b.Params(), o), Scalars: []Named{{"loss", total}}}
	for _, t := range obj {
		s.Scalars = append(s.Scalars, Named{t.Name, t.Value})
	}
	return s
}

// finish checks a step, puts the guard on each update, and makes one output of the scalars and the guard, so that a step's numbers are one copy
// from the device.
func (b *Builder) finish(s *Step) error {
	if name, twice := duplicate(s.Scalars); twice {
		return fmt.Errorf("two scalars of one program are called %q", name)
	}
	if name, twice := duplicate(append(slices.Clone(s.Outputs), Named{Name: reportName})); twice {
		return fmt.Errorf("two outputs of one program are called %q", name)
	}
	seen := map[*op.Node]bool{}
	for i, u := range s.Updates {
		l, ok := b.leaves[u.State]
		if !ok || l.kind != Resident || l.entry.Kind == Const {
			return fmt.Errorf("an update of %s, which is no state of the store", u.State.Name())
		}
		if seen[u.State] {
			return fmt.Errorf("two updates of %s", u.State.Name())
		}
		if op.Desc(u.Next) != op.Desc(u.State) {
			return fmt.Errorf("the update of %s %v is %v", u.State.Name(), op.Desc(u.State), op.Desc(u.Next))
		}
		seen[u.State] = true
		s.Updates[i].Next = b.guarded(u)
	}
	if report := b.report(s.Scalars); report != nil {
		s.Outputs = append(s.Outputs, Named{reportName, report})
	}
	return nil
}

func duplicate(list []Named) (name string, found bool) {
	seen := map[string]bool{}
	for _, n := range list {
		if seen[n.Name] {
			return n.Name, true
		}
		seen[n.Name] = true
	}
	return "", false
}

// reportName is the output that holds a step's scalars and, behind them, the guard. No output of a model has it.
const reportName = "engine/report"

func (b *Builder) report(scalars []Named) *op.Node {
	var row []*op.Node
	for _, s := range scalars {
		if d := op.Desc(s.Value); d.Rank != 0 || !d.Type.IsFloat() {
			b.fail(fmt.Errorf("the reported %q is %v, not a real scalar", s.Name, d))
		}
		row = append(row, op.Reshape(s.Value, 1))
	}
	if len(b.guards) > 0 {
		row = append(row, op.Reshape(b.guard(), 1))
	}
	if len(row) == 0 {
		return nil
	}
	return op.Concat(0, row...)
}

// guard is 1 where every Minimise of the program saw finite numbers.
func (b *Builder) guard() *op.Node {
	g := b.guards[0]
	for _, n := range b.guards[1:] {
		g = op.Mul(g, n)
	}
	return g
}

// guarded keeps a state as it was in a step that is not finite. Optimisers have a gate of their own, which every Minimise's joins; a Put writes its
// old rows back, so that it stays in place.
func (b *Builder) guarded(u Update) *op.Node {
	if len(b.guards) == 0 {
		return u.Next
	}
	def, in, _, ok := op.Operator(u.Next)
	if ok && isOptimiser(def.Base()) {
		gate := in[len(in)-1] // the gate is the last input
		switch {
		case len(b.guards) == 1 && gate == b.guards[0]:
			return u.Next
		case slices.Contains(b.guards, gate):
			gate = b.guard()
		default: // the model's own
			gate = op.Mul(gate, b.guard())
		}
		gated := append(slices.Clone(in[:len(in)-1]), gate)
		return op.OptimiserStep(def.Base(), gated...)[op.OutputIndex(u.Next)]
	}
	if ok && def.Base() == (kernels.Put{}) && in[0] == u.State {
		return op.Put(in[0], op.Where(b.guard(), in[1], op.Gather(in[0], op.Only(in[2]))), in[2])
	}
	return op.Where(b.guard(), u.Next, u.State)
}

// Build makes a program over a Store. A mistake in the model, an operator without a needed derivative, or one that the device cannot run
// is an error.
func Build(s *Store, model func(b *Builder) Step, options ...PlanOption) (p *Program, err error) {
	defer func() {
		if r := recover(); r != nil {
			mistake, ok := r.(*op.Error)
			if !ok {
				panic(r)
			}
			p, err = nil, errors.Unwrap(mistake)
		}
	}()
	b := newBuilder(s)
	step := model(b)
	step.Updates, step.Outputs = slices.Clone(step.Updates), slices.Clone(step.Outputs)
	if err := b.finish(&step); err != nil {
		return nil, err
	}
	return compile(b, step, options)
}
