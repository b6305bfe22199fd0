package models

import (
	"context"
	"math"
	"testing"

	"nearfar/engine"
	"nearfar/kernels"
	"nearfar/trainer/dataset"
	"nearfar/trainer/evaluate"
)

// tables scores by the inner product of rows.
type tables struct {
	users, items []float64
	nUsers, dim  int
}

func (s *tables) Users() int { return s.nUsers }
func (s *tables) Items() int { return len(s.items) / s.dim }

func (s *tables) Score(_ context.Context, users []int32, out []float32) error {
	for k, u := range users {
		for i := range s.Items() {
			sum := 0.0
			for j := range s.dim {
				sum += s.users[int(u)*s.dim+j] * s.items[i*s.dim+j]
			}
			out[k*s.Items()+i] = float32(sum)
		}
	}
	return nil
}

// recall is Recall@10 of a model as it stands in the store.
func recall(t *testing.T, store *engine.Store, m TableModel, train, test *dataset.Interactions) float64 {
	t.Helper()
	score := build(t, store, func(b *engine.Builder) engine.Step {
		users, items := m.Score(b)
		return engine.Step{Outputs: []engine.Named{{Name: "users", Value: users}, {Name: "items", Value: items}}}
	})
	run(t, score, 1)
	s := &tables{users: output(t, score, "users"), items: output(t, score, "items"), nUsers: train.Users()}
	s.dim = len(s.users) / s.nUsers
	r, err := evaluate.Rank(t.Context(), s, evaluate.Protocol{Targets: test, Mask: []*dataset.Interactions{train}, K: []int{10}})
	if err != nil {
		t.Fatal(err)
	}
	v, _ := r.Value("Recall@10")
	return v
}

// Every model finds the blocks of a planted data set, of which popularity knows nothing.
func TestTrainingLiftsRecallAbovePopularity(t *testing.T) {
	train, test := blocks(t, 120, 160, 8)
	data := Data{Train: train, Seed: 1}
	popularity := recall(t, platforms()[3].on(t), newModel(t, "popularity", data), train, test)
	if popularity > .2 {
		t.Fatalf("popularity alone has Recall@10 %.3f: the data set is too easy", popularity)
	}
	for _, name := range learners() {
		t.Run(name, func(t *testing.T) {
			args := []string{"-dim=16", "-batch=512"}
			switch name { // the published settings are those of larger data, and learn more slowly than this test lasts
			case "sgl", "simgcl", "xsimgcl":
				args = append(args, "-lambda=0.02")
			case "freedom":
				args = append(args, "-prune=0.3")
			case "bm3":
				args = append(args, "-dropout=0.3", "-reg=0.01")
			}
			store, m := platforms()[3].on(t), newModel(t, name, data, args...)
			training := build(t, store, func(b *engine.Builder) engine.Step { return engine.Optimise(b, m.Train(b), engine.Adam(.01)) })
			steps := run(t, training, 200)
			if after := recall(t, store, m, train, test); after < .8 {
				t.Errorf("Recall@10 is %.3f after 200 steps, want .8; popularity has %.3f", after, popularity)
			}
			if first, last := steps[0]["loss"], steps[len(steps)-1]["loss"]; !(last < first) {
				t.Errorf("the loss went from %g to %g", first, last)
			}
		})
	}
}

// At the start the scores are near 0, so that BPR is near ln 2 for each triple.
func TestBPRStartsAtLn2(t *testing.T) {
	train, _ := blocks(t, 120, 160, 8)
	for _, name := range rankers() {
		for _, reduce := range []string{"mean", "sum"} {
			store, m := platforms()[3].on(t), newModel(t, name, Data{Train: train, Seed: 1}, "-batch=512", "-reduce="+reduce)
			program := build(t, store, func(b *engine.Builder) engine.Step { return engine.Optimise(b, m.Train(b), engine.Adam(.001)) })
			got := run(t, program, 1)[0]["bpr"]
			if reduce == "sum" {
				got /= 512
			}
			if math.Abs(got/math.Ln2-1) > .05 {
				t.Errorf("%s, %s: BPR starts at %g, want about ln 2 = %g", name, reduce, got, math.Ln2)
			}
		}
	}
}

// The same seed trains to the same bits, and another one does not.
func TestTheSeedDecidesEverything(t *testing.T) {
	train, _ := blocks(t, 40, 50, 4)
	trained := func(name string, seed uint64) *engine.Store {
		p := platforms()[3]
		device := p.open()
		t.Cleanup(func() { device.Close() })
		store := engine.NewStore(device, kernels.Float32, seed)
		m := newModel(t, name, Data{Train: train, Seed: seed}, smaller(name)...)
		run(t, build(t, store, func(b *engine.Builder) engine.Step { return engine.Optimise(b, m.Train(b), engine.Adam(.01)) }), 12)
		return store
	}
	for _, name := range learners() {
		first := trained(name, 1)
		if differs, err := first.Equal(trained(name, 1)); err != nil || differs != "" {
			t.Errorf("%s: two runs of one seed differ in %q (%v)", name, differs, err)
		}
		if differs, err := first.Equal(trained(name, 2)); err != nil || differs == "" {
			t.Errorf("%s: runs of two seeds are the same (%v)", name, err)
		}
	}
}
