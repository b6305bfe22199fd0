package models

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"

	"nearfar/engine"
	"nearfar/engine/op"
	"nearfar/trainer/graph"
)

func TestDefaultsAreThePublished(t *testing.T) {
	shared := "dim=64 batch=2048 init=xavier sampling=shuffle reg=0.0001"
	published := map[string]string{
		"popularity": "epochs=0", // it counts and does not train
		"itemknn":    "epochs=0 neighbours=100 shrink=0 similarity=cosine alpha=0.5",
		"ease":       "epochs=0 lambda=250",
		"bprmf":      shared + " reduce=mean l2=ego",
		"lightgcn":   shared + " layers=3 reduce=mean l2=ego readout=mean0",
		"sgl":        shared + " layers=3 reduce=sum ssl-reduce=sum negatives=all unique=false l2=ego readout=mean0 lambda=0.1 tau=0.2 augment=ed rho=0.1",
		"simgcl":     shared + " layers=3 reduce=mean ssl-reduce=mean negatives=batch unique=true l2=final readout=mean1 lambda=0.5 tau=0.2 eps=0.1",
		"xsimgcl": shared + " layers=3 reduce=mean ssl-reduce=mean negatives=batch unique=true l2=final readout=mean1 lambda=0.2 tau=0.15 eps=0.2" +
			" contrast-layer=1",
		"vbpr": "eval-every=1 patience=20 warmup=0 dim=64 batch=2048 init=xavier sampling=shuffle reduce=mean reg=0.0001",
		"freedom": "eval-every=1 patience=20 warmup=0 dim=64 batch=2048 init=xavier sampling=shuffle reg=0 layers=2 readout=mean0 freeze-features=false" +
			" neighbours=10 item-layers=1 modality-weights= prune=0.8 side=0.001",
		"bm3": "eval-every=1 patience=20 warmup=0 dim=64 batch=2048 init=xavier sampling=shuffle reg=0.1 layers=1 readout=mean0 freeze-features=false" +
			" dropout=0.5 cl=2 align-to=items",
	}
	if len(published) != len(All()) {
		t.Fatalf("%d models, want %d", len(All()), len(published))
	}
	for _, spec := range All() {
		t.Run(spec.Name, func(t *testing.T) {
			_, set := parsed(t, spec.Name)
			for _, entry := range strings.Fields(published[spec.Name]) {
				name, want, _ := strings.Cut(entry, "=")
				switch o := set.Lookup(name); {
				case o == nil:
					t.Errorf("there is no option -%s", name)
				case o.Value() != want:
					t.Errorf("-%s is %s, published is %s", name, o.Value(), want)
				case o.Source == "" && !slices.Contains([]string{"epochs", "eval-every", "patience", "warmup"}, name):
					t.Errorf("-%s does not say where its default is from", name)
				}
			}
		})
	}
}

func TestFindKnowsEveryName(t *testing.T) {
	for _, name := range Names() {
		if s, ok := Find(name); !ok || s.Name != name || s.Title == "" || s.Paper == "" {
			t.Errorf("%q: found %v, %+v", name, ok, s)
		}
	}
	if _, ok := Find("SGL"); ok {
		t.Error("a name that is not listed is found")
	}
}

func TestEveryModelBuildsWithItsDefaults(t *testing.T) {
	train, _ := blocks(t, 40, 50, 4)
	adjacency, err := graph.New(train)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append([]string{"popularity"}, learners()...) {
		for _, p := range platforms() {
			t.Run(name+" on "+p.name, func(t *testing.T) {
				store, m := p.on(t), newModel(t, name, Data{Train: train, Seed: 1}, smaller(name)...)
				var objective engine.Objective
				if m.StepsPerEpoch() > 0 {
					training := build(t, store, func(b *engine.Builder) engine.Step {
						objective = m.Train(b)
						var graph *gorgonia.ExprGraph = b.Graph
						for _, part := range objective {
							if part.Value.Graph() != graph || part.Value.Op() == nil {
								t.Errorf("the part %s is no expression of the program's graph", part.Name)
							}
						}
						return engine.Optimise(b, objective, engine.Adam(1e-3))
					})
					if steps := run(t, training, 2); steps[0]["loss"] == steps[1]["loss"] {
						t.Errorf("the loss of two steps is the same: %v", steps)
					}
				}
				score := build(t, store, func(b *engine.Builder) engine.Step {
					users, items := m.Score(b)
					if op.Desc(users).Rows() != train.Users() || op.Desc(items).Rows() != train.Items || op.Desc(users).Cols() != op.Desc(items).Cols() {
						t.Errorf("scores of %v and %v", op.Desc(users), op.Desc(items))
					}
					return engine.Step{Outputs: []engine.Named{{Name: "users", Value: users}, {Name: "items", Value: items}}}
				})
				run(t, score, 1)
				if slices.Max(output(t, score, "users")) == 0 || slices.Max(output(t, score, "items")) == 0 {
					t.Error("the scores are nothing")
				}
				if name == "popularity" || name == "bprmf" || name == "vbpr" {
					return
				}
				for entry, want := range map[string][]int32{"graph/beg": adjacency.Beg(), "graph/end": adjacency.End(), "graph/col": adjacency.Col} {
					raw, _, err := store.ReadBytes(entry)
					if err != nil || !slices.Equal(engine.View[int32](raw), want) {
						t.Errorf("%s is not that of graph.New (%v)", entry, err)
					}
				}
			})
		}
	}
}

// learners are the models that train in steps.
func learners() []string {
	return slices.DeleteFunc(Names(), func(name string) bool { return name == "popularity" || name == "itemknn" || name == "ease" })
}

// rankers are the learners that are trained by BPR.
func rankers() []string {
	return slices.DeleteFunc(learners(), func(name string) bool { return name == "bm3" })
}

// Every model ranks in one way.
func TestEveryModelRanks(t *testing.T) {
	train, _ := blocks(t, 40, 50, 4)
	for _, name := range Names() {
		m := made[Model](t, name, Data{Train: train, Seed: 1})
		_, byTables := m.(TableModel)
		_, byItems := m.(ItemModel)
		if byTables == byItems || m.StepsPerEpoch() > 0 != slices.Contains(learners(), name) || m.StepsPerEpoch() > 0 && !byTables {
			t.Errorf("%s: %d steps an epoch, by tables %v, by items %v", name, m.StepsPerEpoch(), byTables, byItems)
		}
		spec, _ := Find(name)
		if _, untrained := spec.Options().(Untrained); untrained != (m.StepsPerEpoch() == 0) {
			t.Errorf("%s has %d steps an epoch, and its options say untrained: %t", name, m.StepsPerEpoch(), untrained)
		}
		if _, fitted := spec.Options().(Fitted); fitted != byItems {
			t.Errorf("%s is an ItemModel: %t, and its options say fitted: %t", name, byItems, fitted)
		}
	}
}

// smaller keeps the references' float64 arithmetic quick; everything else stays as published.
func smaller(name string) []string {
	if name == "popularity" {
		return nil
	}
	return []string{"-dim=8", "-batch=64"}
}

func TestModelsRefuseWhatTheyCannotDo(t *testing.T) {
	train, _ := blocks(t, 40, 50, 4)
	empty, _ := blocks(t, 3, 3, 1)
	empty.Ptr, empty.Item = []int64{0, 0, 0, 0}, nil
	for _, name := range Names() {
		o, _ := parsed(t, name)
		_, err := o.New(Data{Train: empty})
		if trains := name != "popularity"; trains != (err != nil) {
			t.Errorf("%s without a training interaction: %v", name, err)
		}
	}
	o, _ := parsed(t, "xsimgcl", "-contrast-layer=3", "-layers=2")
	if _, err := o.New(Data{Train: train}); err == nil || !strings.Contains(err.Error(), "-contrast-layer 3 is above -layers 2") {
		t.Errorf("a contrast with a layer that is not there: %v", err)
	}
}

func TestSGLDescribesItsSubgraphs(t *testing.T) {
	train, _ := blocks(t, 40, 50, 4)
	edges := train.Len()
	kept := edges * 3 / 4
	const form = "sub-graphs (%s, rho 0.25) of %d edges, epoch 1: view 1 has %d %d by layer, %d in all layers; view 2 has %d %d by layer, %d in all layers"
	for _, augment := range []string{"ed", "rw"} {
		m := newModel(t, "sgl", Data{Train: train, Seed: 1}, "-augment="+augment, "-rho=0.25", "-layers=2")
		got, err := m.(Describer).Describe()
		if err != nil {
			t.Fatal(err)
		}
		var shared [2]int
		if _, err := fmt.Sscanf(got, strings.ReplaceAll(fmt.Sprintf(form, augment, edges, kept, kept, 999, kept, kept, 999), "999", "%d"), &shared[0], &shared[1]); err != nil {
			t.Fatalf("%q: %v", got, err)
		}
		// Layers are one draw with edge dropout, and two independent draws (9 of 16 edges in both) with random walks.
		for _, n := range shared {
			if augment == "ed" && n != kept || augment == "rw" && (n < edges/2 || n > edges*5/8) {
				t.Errorf("%s: %d of %d kept edges are in both layers", augment, n, kept)
			}
		}
	}
	// Dropped nodes take their edges with them, the same in every layer.
	m := newModel(t, "sgl", Data{Train: train, Seed: 1}, "-augment=nd", "-rho=0.25", "-layers=2")
	got, err := m.(Describer).Describe()
	if err != nil {
		t.Fatal(err)
	}
	var of, a, b, ab, c, d, cd int
	if _, err := fmt.Sscanf(got, strings.Replace(form, "%s", "nd", 1), &of, &a, &b, &ab, &c, &d, &cd); err != nil {
		t.Fatalf("%q: %v", got, err)
	}
	if of != edges || a != b || c != d || ab != a || cd != c || a == c || max(a, c) >= kept {
		t.Errorf("%q: want equal layers, different views, and fewer than %d edges", got, kept)
	}
}
