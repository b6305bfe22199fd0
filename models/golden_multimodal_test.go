package models

import (
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"nearfar/engine"
	"nearfar/engine/op"
	"nearfar/kernels"
	"nearfar/trainer/dataset"
	"nearfar/trainer/graph"
)

// multimodalCase is five steps in PyTorch of a model of items with features.
type multimodalCase struct {
	Name, Model                             string
	Steps, Users, Items, Dim, Batch, Layers int
	Modalities                              map[string]int
	Hyper                                   struct {
		Reg, Dropout, CL, Prune float64
		AlignTo                 string `json:"align_to"`
		Freeze                  bool   `json:"freeze_features"`
		Neighbours              int
		ItemLayers              int `json:"item_layers"`
		Mix                     map[string]float64
	}
	Optimiser struct {
		Name string
		LR   float64
	}
	Inputs struct {
		Edges      [][2]int32
		Tables     map[string]goldenTensor
		Batches    []batch
		Masks      map[string]goldenTensor
		Kept       [][]int
		Neighbours map[string][][]int32
	}
	Outputs map[string]goldenTensor
}

// theirs are the names of PyTorch's tables and losses that are not ours.
var theirs = map[string]string{"embedding/users": "user", "embedding/items": "item", "side": "feature_bpr"}

func byTheirs(name string) string {
	if other, ok := theirs[name]; ok {
		return other
	}
	return name
}

func (c *multimodalCase) commandLine() []string {
	h := &c.Hyper
	args := []string{fmt.Sprint("-dim=", c.Dim), fmt.Sprint("-batch=", c.Batch)}
	switch c.Model {
	case "vbpr":
		return append(args, fmt.Sprint("-reg=", h.Reg))
	case "freedom":
		return append(args, fmt.Sprint("-layers=", c.Layers), fmt.Sprint("-side=", h.Reg), fmt.Sprint("-prune=", h.Prune), fmt.Sprint("-neighbours=", h.Neighbours),
			fmt.Sprint("-item-layers=", h.ItemLayers), "-modality-weights="+ModalityWeights(h.Mix).String())
	}
	return append(args, fmt.Sprint("-layers=", c.Layers), fmt.Sprint("-reg=", h.Reg), fmt.Sprint("-dropout=", h.Dropout), fmt.Sprint("-cl=", h.CL),
		fmt.Sprintf("-align-to=%ss", h.AlignTo), fmt.Sprint("-freeze-features=", h.Freeze))
}

// model makes the case's model, with the case's batches, sub-graphs and dropout in the place of random ones.
func (c *multimodalCase) model(t *testing.T) TableModel {
	t.Helper()
	var pairs []dataset.Pair
	for _, e := range c.Inputs.Edges {
		pairs = append(pairs, dataset.Pair{User: e[0], Item: e[1]})
	}
	train, _, err := dataset.FromPairs(c.Users, c.Items, pairs)
	if err != nil {
		t.Fatal(err)
	}
	data := Data{Train: train, Seed: 1}
	for _, name := range slices.Sorted(maps.Keys(c.Modalities)) {
		f := dataset.Features{Name: name, Dim: c.Modalities[name]}
		for _, x := range c.Inputs.Tables["features/"+name].values() {
			f.Value = append(f.Value, float32(x))
		}
		data.ItemFeatures = append(data.ItemFeatures, f)
	}
	triples := newFixedTriples(c.Users, c.Items, false, c.Inputs.Batches...)
	triples.offset = 0
	model := newModel(t, c.Model, data, c.commandLine()...)
	switch m := model.(type) {
	case *bm3:
		m.pairs, m.kept = triples, c.kept
	case *vbpr:
		m.triples = triples
	case *freedom:
		m.triples, m.pruned = triples, c.pruned()
		c.compareNeighbours(t, m)
	default:
		t.Fatalf("%s makes a %T", c.Model, m)
	}
	return model
}

// kept are the case's masks of dropout, by step.
func (c *multimodalCase) kept(b *engine.Builder, what string, _ float64, rows, dim int) *op.Node {
	name, modality := strings.CutPrefix(what, "features/")
	if !modality {
		name = strings.TrimSuffix(what, "s")
	}
	mask := c.Inputs.Masks[name].values()
	return op.Reshape(b.Schedule("mask/"+what, rows*dim, func(t uint64, out []float64) { copy(out, mask[int(t)*len(out):]) }), rows, dim)
}

// fixedGraph is a fixedViews as the feed of one sub-graph.
type fixedGraph struct{ *fixedViews }

func (f fixedGraph) View() graph.View { return f.fixedViews.View(1, 0) }

func (c *multimodalCase) pruned() fixedGraph {
	f := &fixedViews{users: c.Users, items: c.Items, edges: c.Inputs.Edges}
	for _, kept := range c.Inputs.Kept {
		f.kept = append(f.kept, [2][][]int{{kept}, {kept}})
	}
	return fixedGraph{f}
}

// compareNeighbours holds what Prepare has found against the case's lists.
func (c *multimodalCase) compareNeighbours(t *testing.T, m *freedom) {
	t.Helper()
	for i := range c.Items {
		want := map[int32]float64{}
		for name, lists := range c.Inputs.Neighbours {
			for _, j := range lists[i] {
				want[j] += c.Hyper.Mix[name] / float64(c.Hyper.Neighbours)
			}
		}
		s := m.neighbours
		row := s.Col[s.Ptr[i]:s.Ptr[i+1]]
		if !slices.Equal(row, slices.Sorted(maps.Keys(want))) {
			t.Fatalf("item %d has the neighbours %v, want %v", i, row, want)
		}
		for k, j := range row {
			if math.Abs(s.Weight[int(s.Ptr[i])+k]-want[j]) > 1e-15 {
				t.Fatalf("item %d has neighbour %d with the weight %g, want %g", i, j, s.Weight[int(s.Ptr[i])+k], want[j])
			}
		}
	}
}

func TestMultimodalModelsAreThoseOfPyTorch(t *testing.T) {
	multimodalModelsAreThoseOfPyTorch(t, platforms()...)
}

func multimodalModelsAreThoseOfPyTorch(t *testing.T, platforms ...platform) {
	files, err := filepath.Glob("../testdata/golden/multimodal/*.json")
	if err != nil || len(files) != 3*3+2 {
		t.Fatalf("%d golden models (%v), want 3 models in 3 shapes and BM3 frozen and aligned with users", len(files), err)
	}
	for _, p := range platforms {
		t.Run(p.name, func(t *testing.T) {
			for _, f := range files {
				c := new(multimodalCase)
				readGolden(t, filepath.Join("multimodal", filepath.Base(f)), c)
				t.Run(c.Name, func(t *testing.T) { c.holdAgainst(t, p) })
			}
		})
	}
}

func (c *multimodalCase) holdAgainst(t *testing.T, p platform) {
	store, m := p.on(t), c.model(t)
	checked := 0
	check := func(what string, got ...float64) {
		t.Helper()
		checked++
		c.Outputs[what].check(t, what, got, p.float)
	}
	var params []string
	first := build(t, store, func(b *engine.Builder) (s engine.Step) {
		objective := m.Train(b)
		grads, err := op.Grad(objective.Total(), b.Params()...)
		if err != nil {
			t.Fatal(err)
		}
		for k, n := range b.Params() {
			params = append(params, n.Name())
			s.Outputs = append(s.Outputs, engine.Named{Name: n.Name(), Value: grads[k]})
		}
		s.Scalars = append(s.Scalars, engine.Named{Name: "total", Value: objective.Total()})
		for _, term := range objective {
			s.Scalars = append(s.Scalars, engine.Named{Name: term.Name, Value: term.Value})
		}
		return s
	})
	for name, table := range c.Inputs.Tables {
		ours := name
		for k, v := range theirs {
			if v == name {
				ours = k
			}
		}
		if err := store.Write64(ours, table.values()); err != nil {
			t.Fatal(err)
		}
	}
	scalars := run(t, first, 1)[0]
	for name, v := range scalars {
		check(byTheirs(name), v)
	}
	for _, name := range params {
		got, want := output(t, first, name), c.Outputs["grad_"+byTheirs(name)]
		if slices.ContainsFunc(want.Data, func(x float64) bool { return x != 0 }) {
			check("grad_"+byTheirs(name), got...)
			continue
		}
		checked++
		for _, g := range got { // of what the loss does not depend on: what rounding leaves
			if math.Abs(g) > map[kernels.DType]float64{kernels.Float32: 1e-7, kernels.Float64: 1e-16}[p.float] {
				t.Errorf("the gradient of %s is %g, and the loss does not depend on it", name, g)
			}
		}
	}
	if want, ok := c.Outputs["scores"]; ok {
		checked++
		want.check(t, "scores", c.scores(t, store, m), p.float)
	}

	training := build(t, store, func(b *engine.Builder) engine.Step {
		return engine.Optimise(b, m.Train(b), engine.Adam(c.Optimiser.LR))
	})
	var totals []float64
	for _, s := range run(t, training, c.Steps) {
		totals = append(totals, s["loss"])
	}
	check("totals", totals...)
	for _, name := range params {
		if _, ok := c.Outputs[byTheirs(name)]; !ok {
			continue
		}
		v, _, err := store.Read64(name)
		if err != nil {
			t.Fatal(err)
		}
		check(byTheirs(name), v...)
	}
	if checked != len(c.Outputs) {
		t.Errorf("%d tensors are compared of %d", checked, len(c.Outputs))
	}
}

// scores are those of all users with all items, [U I].
func (c *multimodalCase) scores(t *testing.T, store *engine.Store, m TableModel) []float64 {
	t.Helper()
	program := build(t, store, func(b *engine.Builder) engine.Step {
		users, items := m.Score(b)
		return engine.Step{Outputs: []engine.Named{{Name: "scores", Value: op.MatMul(users, items, false, true)}}}
	})
	run(t, program, 1)
	return output(t, program, "scores")
}
