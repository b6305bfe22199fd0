package awkward

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"testing"

	"nearfar/engine"
	"nearfar/engine/op"
	"nearfar/kernels"
)

// The walking skeleton is one small model with every kind of state that a contrastive recommender has: tables under Adam, a momentum encoder, a
// queue of negatives that fills up, prototypes that are renormalised, a weight network with an optimiser of its own, and three rounds a step.
const (
	kU, kI, kD   = 12, 15, 4
	kB, kQueue   = 5, 17
	kTau, kAlpha = .2, .5
	kPrototypes  = 6
	kMomentum    = .95
	skeletonSeed = 21
	poisoned     = 9 // the step that a test spoils
)

// rounds says how the weight network learns.
type rounds string

const (
	first   rounds = "first"   // through its own output only, at parameters that have moved
	bilevel rounds = "bilevel" // through the virtual step too
)

// tower is the trained part: tables and the map above them.
type tower struct{ users, items, w, prototypes *op.Node }

func (k tower) list() []*op.Node { return []*op.Node{k.users, k.items, k.w, k.prototypes} }

// encode gives unit rows of a batch.
func encode(table, w *op.Node, at op.Index) *op.Node {
	return op.NormaliseRows(op.Linear(op.Gather(table, at), w, nil))
}

// queued are the logits' second operand and bias: the queue before this step, of which slots that were never filled are absent.
type queued struct{ keys, bias, momentum *op.Node }

// rows gives, for one batch, the loss of each row against the queue, and the batch's keys. The momentum encoder sends no gradient.
func (k tower) rows(m *model, q queued, name string, round int) (each, keys *op.Node) {
	user, item := m.index(name+"/user", kB, kU, false), m.index(name+"/item", kB, kI, false)
	u := op.NormaliseRows(m.Dropout(fmt.Sprint("dropout of round ", round), op.Linear(op.Gather(k.users, user), k.w, nil), .1))
	keys = m.stop(name+"/keys", encode(k.items, q.momentum, item))
	lse := op.LogSumExp(u, q.keys, op.Similarity{Scale: 1 / kTau, Unit: true, Bias: q.bias})
	pos := op.Scale(op.RowDot(u, keys), 1/kTau)
	return op.Mul(op.Softplus(op.Sub(lse, pos)), m.epochs()), keys
}

// epochs are factors of the rows that change every seven steps.
func (m *model) epochs() *op.Node {
	if m.epoch == nil {
		m.epoch = &periodic{fed{ports: []engine.Port{realPort("epoch", kB)}, fill: func(t uint64, out []engine.Slot) error {
			for i := range kB {
				out[0].Set(i, 1+.1*math.Sin(float64(t/7*kB)+float64(i)))
			}
			return nil
		}}, 7}
	}
	return m.Feed(m.epoch)[0]
}

// assignments is the swapped prediction of a batch: each side predicts the other's prototypes.
func (k tower) assignments(m *model, name string) *op.Node {
	u, v := encode(k.users, k.w, m.index(name+"/user", kB, kU, false)), encode(k.items, k.w, m.index(name+"/item", kB, kI, false))
	score := func(x *op.Node) *op.Node { return op.MatMul(x, k.prototypes, false, true) }
	qu, qv := m.stop(name+"/qu", sinkhorn(score(u))), m.stop(name+"/qv", sinkhorn(score(v)))
	return op.Add(swapped(qv, score(u)), swapped(qu, score(v)))
}

// weights of rows by their losses, [B]: 2 sig(tanh(l w1 + b1) w2).
func weights(l *op.Node, net []*op.Node) *op.Node {
	h := op.Tanh(op.Add(op.MatMul(op.Column(l), net[0], false, false), net[1]))
	return op.Scale(op.Sigmoid(op.Reshape(op.MatMul(h, net[2], false, false), kB)), 2)
}

// skeletonParts are the nodes of one step: the outer loss over the weight network, and the updates.
func skeletonParts(m *model, how rounds) (outer, real *op.Node, updates []engine.Update) {
	k := tower{m.matrix("users", kU, kD), m.matrix("items", kI, kD), m.Param("w", engine.Values(identity(kD)), kD, kD), m.matrix("prototypes", kPrototypes, kD)}
	net := []*op.Node{m.matrix("M/w1", 1, 3), m.matrix("M/b1", 3), m.matrix("M/w2", 3, 1)}

	slow := m.State("slow w", engine.Values(identity(kD)), kD, kD)
	var q queued
	q.momentum = op.Add(op.Scale(slow, kMomentum), op.Scale(op.Detach(k.w), 1-kMomentum))
	q.keys = m.State("queue", engine.Zeros, kQueue, kD)
	q.bias = m.reals("queue filled", func(t uint64, i int) float64 {
		switch {
		case t == poisoned && m.poison:
			return math.NaN()
		case uint64(i) >= t*kB:
			return math.Inf(-1)
		}
		return 0
	}, kQueue)

	objective := func(k tower, net []*op.Node, name string, round int) (j, keys *op.Node) {
		each, keys := k.rows(m, q, name, round)
		w := weights(each, net)
		if round == 3 {
			w = m.stop(name+"/w", w)
		}
		return op.Add(op.Mean(op.Mul(w, each)), op.Scale(k.assignments(m, name), .1)), keys
	}

	// Round 1: a copy of the model takes a step on the weighted loss.
	j, _ := objective(k, net, "train", 1)
	g := m.grad(j, k.list()...)
	var copied []*op.Node
	for i, p := range k.list() {
		next := op.Sub(p, op.Scale(g[i], kAlpha))
		if how == first {
			next = m.stop("copy/"+p.Name(), next)
		}
		copied = append(copied, next)
	}
	// Round 2: the copy's loss on other rows moves the weight network.
	outer, _ = objective(tower{copied[0], copied[1], copied[2], copied[3]}, net, "meta", 2)
	updates = engine.Minimise(m.Builder, outer, net, engine.Optimiser{Kernel: kernels.SGD{Momentum: .9}, LR: .05, Name: "meta"})
	moved := make([]*op.Node, len(net))
	for i, p := range net {
		for _, u := range updates {
			if u.State == p {
				moved[i] = u.Next
			}
		}
	}
	// Round 3: the model steps on the same rows with the new weights, which are given.
	real, keys := objective(k, moved, "train", 3)
	for _, u := range engine.Minimise(m.Builder, real, k.list(), engine.Adam(.02)) {
		if u.State == k.prototypes {
			u.Next = op.NormaliseRows(u.Next)
		}
		updates = append(updates, u)
	}
	slots := m.ints("slots", kB, func(t uint64, i int) int { return int((t*kB + uint64(i)) % kQueue) })
	updates = append(updates, engine.Update{State: slow, Next: q.momentum}, engine.Update{State: q.keys, Next: op.Put(q.keys, keys, slots)})
	return outer, real, updates
}

func identity(n int) []float64 {
	v := make([]float64, n*n)
	for i := range n {
		v[i*n+i] = 1
	}
	return v
}

// skeleton is the program.
func skeleton(how rounds, poison bool) func(b *engine.Builder) engine.Step {
	return func(b *engine.Builder) engine.Step {
		outer, real, updates := skeletonParts(&model{Builder: b, poison: poison}, how)
		return engine.Step{Updates: updates, Scalars: []engine.Named{{Name: "outer", Value: outer}, {Name: "loss", Value: real}}}
	}
}

// openSkeleton builds it over a new store.
func openSkeleton(t *testing.T, d engine.Device, float kernels.DType, how rounds, options ...engine.PlanOption) (*engine.Store, *engine.Program) {
	t.Helper()
	s := engine.NewStore(d, float, skeletonSeed)
	p, err := engine.Build(s, skeleton(how, false), options...)
	if err != nil {
		t.Fatalf("%s on %s: %v", how, d.Name(), err)
	}
	return s, p
}

func TestSkeletonTrains(t *testing.T) {
	const steps = 80
	for _, how := range []rounds{first, bilevel} {
		reference, p := openSkeleton(t, oracle(), kernels.Float64, how, withoutRewrites...)
		var early, late float64
		run := func(p *engine.Program, report func(uint64, []float64)) {
			t.Helper()
			if err := p.Run(t.Context(), 0, steps, report); err != nil {
				t.Fatalf("%s: %v", how, err)
			}
		}
		run(p, func(t uint64, s []float64) {
			switch { // the queue fills up in the first steps, and the loss with it
			case t >= 5 && t < 15:
				early += s[1]
			case t >= steps-10:
				late += s[1]
			}
		})
		if !(late < .8*early) {
			t.Errorf("%s: the loss fell from %.3f to %.3f in %d steps only", how, early/10, late/10, steps)
		}
		checkPrototypes(t, reference)
		for _, d := range devices() {
			s, p := openSkeleton(t, d.open(), kernels.Float64, how)
			run(p, nil)
			for _, e := range reference.Entries() {
				if e.Kind != engine.State {
					continue
				}
				want, _, err := reference.Read64(e.Name)
				if err != nil {
					t.Fatal(err)
				}
				got, _, err := s.Read64(e.Name)
				if err != nil {
					t.Fatal(err)
				}
				checkEqual(t, string(how)+" "+d.name, values{e.Name: got}, values{e.Name: want}, 1e-6)
			}
			single, p := openSkeleton(t, d.open(), kernels.Float32, how)
			run(p, nil)
			checkPrototypes(t, single)
		}
	}
}

// checkPrototypes holds every row to unit length.
func checkPrototypes(t *testing.T, s *engine.Store) {
	t.Helper()
	c, d, err := s.Read64("prototypes")
	if err != nil {
		t.Fatal(err)
	}
	for k := range d.Dim[0] {
		n := 0.0
		for _, x := range c[k*kD : k*kD+kD] {
			n += x * x
		}
		if !(math.Abs(n-1) < 1e-5) {
			t.Errorf("prototype %d has the squared length %v", k, n)
		}
	}
}

// skeletonMiddle is the step's two losses, with the gradient of everything that either moves.
func skeletonMiddle(how rounds) func(m *model) *op.Node {
	return func(m *model) *op.Node {
		outer, real, _ := skeletonParts(m, how)
		return op.Add(outer, real)
	}
}

// A step that is not finite in one round changes nothing in any: no parameter, no moment, no queue, no average. The next step goes on.
func TestPoisonedStepChangesNothing(t *testing.T) {
	for _, how := range []rounds{first, bilevel} {
		for _, d := range devices() {
			checkPoisonedStep(t, how, d)
		}
	}
}

func checkPoisonedStep(t *testing.T, how rounds, d device) {
	t.Helper()
	s := engine.NewStore(d.open(), kernels.Float32, skeletonSeed)
	p, err := engine.Build(s, skeleton(how, true))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(t.Context(), 0, poisoned, nil); err != nil {
		t.Fatalf("%s: before: %v", d.name, err)
	}
	before, _, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	var spoilt *engine.NonFiniteError
	if err := p.Run(t.Context(), poisoned, 1, nil); !errors.As(err, &spoilt) || spoilt.Step != poisoned {
		t.Fatalf("%s: the spoilt step says %v", d.name, err)
	}
	after, _, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range before {
		if !bytes.Equal(b.Data, after[i].Data) {
			t.Errorf("%s, %s: %s changed in a step that was not finite", how, d.name, b.Name)
		}
	}
	if err := p.Run(t.Context(), poisoned+1, 3, nil); err != nil {
		t.Errorf("%s: after: %v", d.name, err)
	}
}
