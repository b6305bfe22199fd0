package models

import (
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"nearfar/engine"
	"nearfar/engine/op"
	"nearfar/kernels"
	"nearfar/trainer/dataset"
	"nearfar/trainer/option"
)

// goldenCase is a model's five steps in PyTorch.
type goldenCase struct {
	Name, Model                             string
	Steps, Users, Items, Dim, Batch, Layers int
	Hyper                                   struct {
		Readout, Reduce, Contrast, Negatives, Augment string
		L2Rows                                        string   `json:"l2_rows"`
		L2Terms                                       []string `json:"l2_terms"`
		Unique                                        bool
		Reg, Lambda, Tau, Rho, Eps                    float64
		LayerCL                                       int `json:"layer_cl"`
	}
	Optimiser struct {
		Name                            string
		LR, Beta1, Beta2, Eps, Momentum float64
		WeightDecay                     float64 `json:"weight_decay"`
	}
	Inputs struct {
		Edges      [][2]int32
		User, Item goldenTensor
		Batches    []batch
		Views      [][2][][]int
		Noise      goldenTensor
	}
	Outputs map[string]goldenTensor
}

// embedding is the start: users, then items.
func (c *goldenCase) embedding() []float64 {
	return append(slices.Clone(c.Inputs.User.values()), c.Inputs.Item.values()...)
}

// commandLine are the case's hyper-parameters as a user would write them.
func (c *goldenCase) commandLine() []string {
	h := &c.Hyper
	args := []string{fmt.Sprintf("-dim=%d", c.Dim), fmt.Sprintf("-batch=%d", c.Batch), fmt.Sprintf("-reg=%v", h.Reg), "-reduce=" + h.Reduce, "-l2=" + h.L2Rows}
	if c.Layers > 0 {
		readout := map[string]string{"0..L": "mean0", "1..L": "mean1"}[h.Readout]
		args = append(args, fmt.Sprintf("-layers=%d", c.Layers), "-readout="+readout)
	}
	if h.Contrast != "none" {
		args = append(args, fmt.Sprintf("-lambda=%v", h.Lambda), fmt.Sprintf("-tau=%v", h.Tau), "-negatives="+h.Negatives,
			fmt.Sprintf("-unique=%v", h.Unique), "-ssl-reduce="+h.Reduce)
	}
	switch h.Contrast {
	case "views":
		args = append(args, "-augment="+h.Augment, fmt.Sprintf("-rho=%v", h.Rho))
	case "noise":
		args = append(args, fmt.Sprintf("-eps=%v", h.Eps))
	case "cross-layer":
		args = append(args, fmt.Sprintf("-eps=%v", h.Eps), fmt.Sprintf("-contrast-layer=%d", h.LayerCL))
	}
	return args
}

// newModel makes a model by its name and a command line.
func newModel(t *testing.T, name string, d Data, args ...string) TableModel {
	return made[TableModel](t, name, d, args...)
}

// made is a model of the kind M by a command line.
func made[M Model](t *testing.T, name string, d Data, args ...string) M {
	t.Helper()
	o, _ := parsed(t, name, args...)
	if _, featured := o.(Featured); featured && d.ItemFeatures == nil {
		d.ItemFeatures = randomFeatures(d.Train.Items)
	}
	m, err := o.New(d)
	if err != nil {
		t.Fatal(err)
	}
	if p, ok := m.(Preparer); ok {
		if err := p.Prepare(t.Context(), Fitting{}); err != nil {
			t.Fatal(err)
		}
	}
	kind, ok := m.(M)
	if !ok {
		t.Fatalf("%s is %T", name, m)
	}
	return kind
}

func specOf(t *testing.T, name string) Spec {
	t.Helper()
	spec, ok := Find(name)
	if !ok {
		t.Fatalf("no model is called %s", name)
	}
	return spec
}

// parsed are a model's options by a command line. As in the trainer, they are bound behind those of a run, whose defaults a model may change.
func parsed(t *testing.T, name string, args ...string) (Options, *option.Set) {
	t.Helper()
	spec := specOf(t, name)
	var run struct {
		Epochs    int `flag:"epochs" default:"1000"`
		EvalEvery int `flag:"eval-every" default:"5"`
		Patience  int `flag:"patience" default:"10"`
		Warmup    int `flag:"warmup" default:"20"`
	}
	o, flags := spec.Options(), flag.NewFlagSet(name, flag.ContinueOnError)
	set, err := option.Bind(flags, &run, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return o, set
}

// model makes the case's model, with the case's batches, sub-graphs and noise in the place of random ones.
func (c *goldenCase) model(t *testing.T) TableModel {
	t.Helper()
	var pairs []dataset.Pair
	for _, e := range c.Inputs.Edges {
		pairs = append(pairs, dataset.Pair{User: e[0], Item: e[1]})
	}
	train, _, err := dataset.FromPairs(c.Users, c.Items, pairs)
	if err != nil {
		t.Fatal(err)
	}
	name, _, _ := strings.Cut(c.Model, "-")
	if name == "bpr" {
		name = "bprmf"
	}
	triples := newFixedTriples(c.Users, c.Items, c.Hyper.Unique, c.Inputs.Batches...)
	noise := &fixedNoise{layers: c.Layers, nodes: c.Users + c.Items, dim: c.Dim, draws: c.Inputs.Noise.values()}
	model := newModel(t, name, Data{Train: train, Seed: 1}, c.commandLine()...)
	switch m := model.(type) {
	case *bprmf:
		m.triples = triples
	case *lightgcn:
		m.triples = triples
	case *sgl:
		m.triples = triples
		m.views = &fixedViews{c.Users, c.Items, c.Inputs.Edges, c.Inputs.Views}
	case *simgcl:
		noise.views = 2
		m.triples, m.noise = triples, noise.draw
	case *xsimgcl:
		noise.views = 1
		m.triples, m.noise = triples, noise.draw
	default:
		t.Fatalf("%s makes a %T", c.Model, m)
	}
	return model
}

// optimiser is the engine's, which must have the hyper-parameters of the case by itself.
func (c *goldenCase) optimiser(t *testing.T) engine.Optimiser {
	t.Helper()
	o := c.Optimiser
	var made engine.Optimiser
	var want kernels.Kernel
	switch o.Name {
	case "adam":
		made, want = engine.Adam(o.LR), kernels.Adam{B1: o.Beta1, B2: o.Beta2, Eps: o.Eps}
	case "adamw":
		made, want = engine.AdamW(o.LR, o.WeightDecay), kernels.Adam{B1: o.Beta1, B2: o.Beta2, Eps: o.Eps, Decay: o.WeightDecay, Decoupled: true}
	case "sgd":
		made, want = engine.SGD(o.LR, o.Momentum), kernels.SGD{Momentum: o.Momentum}
	case "adagrad":
		made, want = engine.Adagrad(o.LR), kernels.Adagrad{Eps: o.Eps}
	}
	if want == nil || made.Kernel != want {
		t.Fatalf("the optimiser %s is %v, torch's is %v", o.Name, made.Kernel, want)
	}
	return made
}

// scored are the rows that BPR scores: those of Score, except that XSimGCL trains on its noisy pass.
func scored(m TableModel, b *engine.Builder) (users, items *op.Node) {
	if x, ok := m.(*xsimgcl); ok {
		return x.split(x.read(x.perturbed(b, 1)))
	}
	return m.Score(b)
}

// gradient is the program of d total / d embedding and of the rows that BPR scores.
func gradient(t *testing.T, m TableModel) func(b *engine.Builder) engine.Step {
	return func(b *engine.Builder) engine.Step {
		total := m.Train(b).Total()
		grads, err := op.Grad(total, b.Params()...)
		if err != nil {
			t.Fatal(err)
		}
		if len(grads) != 1 {
			t.Fatalf("%d parameters, want the embedding alone", len(grads))
		}
		users, items := scored(m, b)
		return engine.Step{Outputs: []engine.Named{{Name: "total", Value: total}, {Name: "gradient", Value: grads[0]},
			{Name: "final users", Value: users}, {Name: "final items", Value: items}}}
	}
}

func TestModelsAreThoseOfPyTorch(t *testing.T) { modelsAreThoseOfPyTorch(t, platforms()...) }

func modelsAreThoseOfPyTorch(t *testing.T, platforms ...platform) {
	cases := goldenCases(t)
	for _, p := range platforms {
		t.Run(p.name, func(t *testing.T) {
			for _, c := range cases {
				t.Run(c.Name, func(t *testing.T) { c.holdAgainst(t, p) })
			}
		})
	}
}

// goldenCases are all models, shapes and optimisers.
func goldenCases(t *testing.T) []*goldenCase {
	t.Helper()
	files, err := filepath.Glob("../testdata/golden/*-u*.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []*goldenCase
	for _, f := range files {
		c := new(goldenCase)
		readGolden(t, filepath.Base(f), c)
		cases = append(cases, c)
	}
	if len(cases) != 8*3+3 {
		t.Fatalf("%d golden models, want 8 models in 3 shapes and 3 more optimisers", len(cases))
	}
	return cases
}

func (c *goldenCase) holdAgainst(t *testing.T, p platform) {
	store, m := p.on(t), c.model(t)
	check := func(what string, got ...float64) {
		t.Helper()
		c.Outputs[what].check(t, what, got, p.float)
	}

	first := build(t, store, gradient(t, m))
	if err := store.Write64("embedding", c.embedding()); err != nil {
		t.Fatal(err)
	}
	run(t, first, 1)
	check("total", output(t, first, "total")...)
	g := output(t, first, "gradient")
	check("grad_user", g[:c.Users*c.Dim]...)
	check("grad_item", g[c.Users*c.Dim:]...)
	if _, ok := c.Outputs["final_user"]; ok {
		check("final_user", output(t, first, "final users")...)
		check("final_item", output(t, first, "final items")...)
	}

	training := build(t, store, func(b *engine.Builder) engine.Step { return engine.Optimise(b, m.Train(b), c.optimiser(t)) })
	steps := run(t, training, c.Steps)
	var totals []float64
	for _, s := range steps {
		totals = append(totals, s["loss"])
	}
	check("totals", totals...)
	parts := []string{"bpr", "l2"}
	if c.Hyper.Contrast != "none" {
		parts = append(parts, "ssl")
	}
	for _, part := range parts {
		check(part, steps[0][part])
	}
	e, _, err := store.Read64("embedding")
	if err != nil {
		t.Fatal(err)
	}
	check("user", e[:c.Users*c.Dim]...)
	check("item", e[c.Users*c.Dim:]...)
}
