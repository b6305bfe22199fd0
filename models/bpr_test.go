package models

import (
	"fmt"
	"hash/crc32"
	"math"
	"strings"
	"testing"

	"nearfar/engine"
	"nearfar/engine/op"
	"nearfar/kernels"
	"nearfar/trainer/memory"
	"nearfar/trainer/sample"
)

// plainBPR is BPR and its L2 penalty by the definition: of every N x M candidates the M-fold hardest, the mean over N, the weighted sum over rows. taken
// holds their ids, in their order; where chosen is given, it is what is taken.
func plainBPR(e [][]float64, user, pos, neg []int32, weight []float64, n, m int, chosen []int32) (bpr, l2 float64, taken []int32) {
	dot := func(x, y []float64) (s float64) {
		for k := range x {
			s += x[k] * y[k]
		}
		return s
	}
	for b, w := range weight {
		if w == 0 {
			for range n {
				taken = append(taken, -1)
			}
			continue
		}
		u, p := e[user[b]], e[pos[b]]
		l2 += w / 2 * (dot(u, u) + dot(p, p))
		for k := range n {
			candidates := neg[(b*n+k)*m:][:m]
			best := candidates[0]
			for _, c := range candidates[1:] {
				if dot(u, e[c]) > dot(u, e[best]) {
					best = c
				}
			}
			if chosen != nil {
				best = chosen[b*n+k]
			}
			taken = append(taken, best)
			bpr += w / float64(n) * math.Log1p(math.Exp(dot(u, e[best])-dot(u, p)))
			l2 += w / float64(n) / 2 * dot(e[best], e[best])
		}
	}
	return bpr, l2, taken
}

// TestNegatives compares loss, penalty and their gradients, of several and of hard negatives, with the definition and its differences. The last batch has
// padding, and the last user has every item.
func TestNegatives(t *testing.T) {
	train, _ := blocks(t, 20, 30, 2)
	for i := range int32(30) {
		train.Item = append(train.Item, i)
	}
	train.Ptr = append(train.Ptr, int64(len(train.Item)))
	for _, c := range []struct {
		n, m     int
		sampling string
	}{{1, 1, "uniform"}, {3, 1, "uniform"}, {1, 5, "uniform"}, {2, 4, "popularity"}} {
		t.Run(fmt.Sprintf("%d of %d %s", c.n, c.m, c.sampling), func(t *testing.T) {
			model := newModel(t, "bprmf", Data{Train: train, Seed: 1}, "-dim=6", "-batch=64", "-init=normal", "-init-std=1", "-sampling=shuffle",
				fmt.Sprint("-num-negatives=", c.n), fmt.Sprint("-hard-negatives=", c.m), "-negative-sampling="+c.sampling).(*bprmf)
			store := platforms()[0].on(t)
			program := build(t, store, func(b *engine.Builder) engine.Step {
				o := model.Train(b)
				s := engine.Step{Outputs: []engine.Named{{Name: "embedding", Value: model.embedding(b)}}}
				for _, term := range o {
					s.Scalars = append(s.Scalars, engine.Named{Name: term.Name, Value: term.Value})
					g, err := op.Grad(term.Value, model.embedding(b))
					if err != nil {
						t.Fatal(err)
					}
					s.Outputs = append(s.Outputs, engine.Named{Name: term.Name + " gradient", Value: g[0]})
				}
				return s
			})
			steps := model.StepsPerEpoch()
			got := run(t, program, steps)[steps-1] // the padded batch; outputs are of the last step
			ids := func(name string) (port int) {
				for k, p := range model.triples.Ports() {
					if p.Name == name {
						port = k
					}
				}
				return port
			}
			slots := make([]engine.Slot, len(model.triples.Ports()))
			for k, p := range model.triples.Ports() {
				if p.Desc.Type == kernels.Int32 {
					slots[k].I32 = make([]int32, p.Desc.Elems())
				} else {
					slots[k].F64 = make([]float64, p.Desc.Elems())
				}
			}
			if err := model.triples.Fill(uint64(steps-1), slots); err != nil {
				t.Fatal(err)
			}
			user, pos, neg, weight := slots[ids("user")].I32, slots[ids("pos")].I32, slots[ids("neg")].I32, slots[ids("weight")].F64
			if user[len(user)-1] != -1 {
				t.Fatal("the batch is not padded")
			}
			flat := output(t, program, "embedding")
			var e [][]float64
			for n := range model.count() {
				e = append(e, flat[n*6:][:6]) // shares flat's memory, so that a difference changes both
			}
			bpr, l2, chosen := plainBPR(e, user, pos, neg, weight, c.n, c.m, nil)
			if math.Abs(got["bpr"]-bpr) > 1e-13*bpr || math.Abs(got["l2"]-l2) > 1e-13*l2 {
				t.Errorf("bpr %.15g, l2 %.15g; by the definition %.15g, %.15g", got["bpr"], got["l2"], bpr, l2)
			}
			bprGradient, l2Gradient := output(t, program, "bpr gradient"), output(t, program, "l2 gradient")
			const h = 1e-5
			for k := range flat {
				at := flat[k]
				flat[k] = at + h
				bprUp, l2Up, _ := plainBPR(e, user, pos, neg, weight, c.n, c.m, chosen)
				flat[k] = at - h
				bprDown, l2Down, _ := plainBPR(e, user, pos, neg, weight, c.n, c.m, chosen)
				flat[k] = at
				if d := (bprUp - bprDown) / (2 * h); math.Abs(d-bprGradient[k]) > 1e-8 {
					t.Fatalf("gradient of bpr at %d is %g, the difference %g", k, bprGradient[k], d)
				}
				if d := (l2Up - l2Down) / (2 * h); math.Abs(d-l2Gradient[k]) > 1e-8 {
					t.Fatalf("gradient of l2 at %d is %g, the difference %g", k, l2Gradient[k], d)
				}
			}
		})
	}
}

// TestEveryModelTrainsWithEveryNegative: all platforms, paranoid ones included, and the loss is about ln 2 at the start, of hard ones above.
func TestEveryModelTrainsWithEveryNegative(t *testing.T) {
	train, _ := blocks(t, 40, 50, 4)
	for _, name := range rankers() {
		for _, p := range platforms()[3:] {
			args := append(smaller(name), "-num-negatives=2", "-hard-negatives=3", "-negative-sampling=popularity", "-reduce=mean")
			store, m := p.on(t), newModel(t, name, Data{Train: train, Seed: 1}, args...)
			program := build(t, store, func(b *engine.Builder) engine.Step { return engine.Optimise(b, m.Train(b), engine.Adam(1e-3)) })
			steps := run(t, program, 2)
			if bpr := steps[0]["bpr"]; !(bpr > math.Ln2-.02 && bpr < math.Ln2+.2) {
				t.Errorf("%s on %s: BPR starts at %g", name, p.name, bpr)
			}
			if steps[0]["loss"] == steps[1]["loss"] {
				t.Errorf("%s on %s: two steps have one loss", name, p.name)
			}
		}
	}
}

// TestHardNegativesAreHarder: of more candidates the hardest is ranked higher, so that BPR is larger on the same model.
func TestHardNegativesAreHarder(t *testing.T) {
	train, _ := blocks(t, 40, 50, 4)
	last := 0.0
	for _, m := range []int{1, 2, 4, 16} {
		store := platforms()[0].on(t)
		model := newModel(t, "lightgcn", Data{Train: train, Seed: 1}, "-dim=8", "-batch=256", "-init=normal", "-init-std=2", fmt.Sprint("-hard-negatives=", m))
		program := build(t, store, func(b *engine.Builder) (s engine.Step) {
			for _, term := range model.Train(b) {
				s.Scalars = append(s.Scalars, engine.Named{Name: term.Name, Value: term.Value})
			}
			return s
		})
		bpr := run(t, program, 1)[0]["bpr"]
		if bpr <= last {
			t.Errorf("hardest of %d: BPR %g, of fewer %g", m, bpr, last)
		}
		last = bpr
	}
}

func TestNegativeOptionsReachTheSampler(t *testing.T) {
	train, _ := blocks(t, 40, 50, 4)
	o, _ := parsed(t, "lightgcn", "-batch=8", "-num-negatives=3", "-hard-negatives=5")
	m, err := o.New(Data{Train: train, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range m.(*lightgcn).triples.Ports() {
		if p.Name == "neg" && p.Desc != kernels.Of(kernels.Int32, 8*3*5) {
			t.Errorf("neg is %v", p.Desc)
		}
	}
	if _, ok := m.(*lightgcn).triples.(*sample.Pairwise); !ok {
		t.Error("the sampler is not sample.Pairwise")
	}
}

// TestAttributeMask: a view begins with the embeddings of which each dimension stays with its probability, the two views apart, and none beside it.
func TestAttributeMask(t *testing.T) {
	const rho = .3
	train, _ := blocks(t, 40, 50, 4)
	store := platforms()[0].on(t)
	m := newModel(t, "sgl", Data{Train: train, Seed: 1}, "-dim=64", "-augment=attribute-mask", "-rho=0.3").(*sgl)
	m.layers = 0 // a view is then what it begins with
	program := build(t, store, func(b *engine.Builder) engine.Step {
		return engine.Step{Outputs: []engine.Named{{Name: "e", Value: m.embedding(b)}, {Name: "1", Value: m.view(b, 1)}, {Name: "2", Value: m.view(b, 2)}}}
	})
	run(t, program, 1)
	e, views := output(t, program, "e"), [][]float64{output(t, program, "1"), output(t, program, "2")}
	both, pattern := 0, crc32.NewIEEE()
	for v, x := range views {
		kept := 0
		for k := range e {
			bit := byte(0)
			if x[k] != 0 {
				bit = 1
				if kept++; x[k] != e[k] {
					t.Fatalf("view %d: element %d is %g, the embedding %g", v+1, k, x[k], e[k])
				}
				if v == 1 && views[0][k] != 0 {
					both++
				}
			}
			pattern.Write([]byte{bit})
		}
		if n := float64(len(e)); math.Abs(float64(kept)-n*(1-rho)) > 4*math.Sqrt(n*rho*(1-rho)) {
			t.Errorf("view %d keeps %d of %g", v+1, kept, n)
		}
	}
	const p = (1 - rho) * (1 - rho)
	if n := float64(len(e)); math.Abs(float64(both)-n*p) > 4*math.Sqrt(n*p*(1-p)) {
		t.Errorf("both views keep %d of %g, want about %g: they are not independent", both, n, n*p)
	}
	if got, want := pattern.Sum32(), uint32(0x58d32caf); got != want { // published runs are repeated with it
		t.Errorf("what is kept has the checksum %#x, want %#x", got, want)
	}
	text, err := m.Describe()
	if err != nil || text != fmt.Sprintf("views of the whole graph of %d edges: both views hide a share 0.3 of each node's dimensions, drawn anew each step", train.Len()) {
		t.Errorf("%q, %v", text, err)
	}
}

// TestBatchIsNoLargerThanTheData: rows beyond the data would be padding in every array of a step.
func TestBatchIsNoLargerThanTheData(t *testing.T) {
	train, _ := blocks(t, 20, 30, 2)
	m := made[*bprmf](t, "bprmf", Data{Train: train, Seed: 1}, "-batch=1048576")
	if got := m.StepsPerEpoch(); got != 1 {
		t.Errorf("%d steps an epoch", got)
	}
	for _, p := range m.triples.Ports() {
		if rows := p.Desc.Dim[0]; p.Name == "user" && rows != train.Len() {
			t.Errorf("%d rows for %d interactions", rows, train.Len())
		}
	}
}

// TestStepBytesAreThoseOfThePlan: the estimate never refuses a step that fits, and is near what many candidates take.
func TestStepBytesAreThoseOfThePlan(t *testing.T) {
	train, _ := blocks(t, 40, 50, 4)
	for _, name := range rankers() {
		for _, args := range [][]string{
			{"-num-negatives=1"}, {"-num-negatives=100"}, {"-hard-negatives=100"}, {"-num-negatives=10", "-hard-negatives=20"},
			{"-num-negatives=10", "-hard-negatives=20", "-l2=final"}, {"-num-negatives=10", "-hard-negatives=20", "-reg=0"},
		} {
			store := platforms()[1].on(t)
			m := newModel(t, name, Data{Train: train, Seed: 1}, append([]string{"-dim=32", "-batch=64"}, args...)...)
			estimate := rankingOf(t, m).bytes()
			p := build(t, store, func(b *engine.Builder) engine.Step { return engine.Optimise(b, m.Train(b), engine.SGD(.1, 0)) }) // which has no moments
			taken := p.Plan.Arena + 3*p.Plan.Input                                                                                 // what a step reads, and the two that feeds fill
			drawn := int64(0)                                                                                                      // in float64, and rounded
			for _, e := range store.Entries() {
				if taken += e.Desc.Bytes(); strings.HasPrefix(e.Name, "embedding") {
					drawn += 3 * e.Desc.Bytes()
				}
			}
			for _, port := range rankingOf(t, m).triples.Ports() {
				if port.Name == "neg" {
					taken += 2 * port.Desc.Bytes() // the sampler sorts in them
				}
			}
			if estimate > max(taken, drawn) {
				t.Errorf("%s %v: %d bytes are estimated, %d taken", name, args, estimate, taken)
			}
			_, featured := specOf(t, name).Options().(Featured) // candidates' features are not in the estimate
			if float64(estimate) < .75*float64(taken) && len(args[0]) > len("-num-negatives=1") && !featured {
				t.Errorf("%s %v: %d bytes are estimated of %d", name, args, estimate, taken)
			}
		}
	}
}

// rankingOf is the BPR of a model.
func rankingOf(t *testing.T, m Model) *ranking {
	t.Helper()
	switch m := m.(type) {
	case *bprmf:
		return &m.ranking
	case *lightgcn:
		return &m.ranking
	case *sgl:
		return &m.ranking
	case *simgcl:
		return &m.ranking
	case *xsimgcl:
		return &m.ranking
	case *vbpr:
		return &m.ranking
	case *freedom:
		return &m.ranking
	}
	t.Fatalf("%T is not trained by BPR", m)
	return nil
}

// TestStepsThatDoNotFitAreRefused: options within their bounds ask for terabytes, and the answer names them before anything is allocated.
func TestStepsThatDoNotFitAreRefused(t *testing.T) {
	if memory.Available() == 0 {
		t.Skip("the system does not say how much memory it has")
	}
	train, _ := blocks(t, 200, 500, 4)
	for _, name := range rankers() {
		o, _ := parsed(t, name, "-dim=4096", "-num-negatives=1000", "-hard-negatives=1000")
		_, err := o.New(Data{Train: train, Seed: 1, ItemFeatures: randomFeatures(train.Items)})
		if err == nil {
			t.Fatalf("%s: no error", name)
		}
		for _, want := range []string{"-num-negatives 1000 of -hard-negatives 1000", "-batch 2048", "-dim 4096", "GiB available"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not name %s", name, err, want)
			}
		}
	}
	// Without several negatives they are not named.
	if text := (&ranking{BPROptions: BPROptions{NegativeOptions: NegativeOptions{NumNegatives: 1, HardNegatives: 1}}, of: nodes{EmbeddingOptions{Dim: 64, Batch: 2048}, 1 << 31, 1 << 31}}).tooLarge(8 * memory.GiB).Error(); text !=
		"training takes at least 3.07e+03 GiB, and the system has 8 GiB available: 4294967296 embeddings of -dim 64 and -batch 2048; lower -dim or -batch" {
		t.Error(text)
	}
}
