// Package models has the recommenders: each a file that reads like its paper, with parameters, graph, losses, and the source of every
// default. A model knows no device: it writes a graph, and the engine runs it.
package models

import (
	"context"
	"fmt"
	"strings"

	"nearfar/engine"
	"nearfar/engine/op"
	"nearfar/trainer/dataset"
	"nearfar/trainer/graph"
)

// Data is what a model is made for.
type Data struct {
	Train *dataset.Interactions
	Seed  uint64

	UserFields, ItemFields *dataset.Attributes // nil where the data has none

	// StateBytes is what the optimiser keeps beside each parameter: with it a model knows what training takes.
	StateBytes int

	ItemFeatures []dataset.Features // of each modality, sorted by name; nil where the options are not Featured
}

// A Model writes a training step, and ranks as a TableModel or as an ItemModel.
type Model interface {
	// StepsPerEpoch is the number of training steps that pass over the data once; 0 for a model that does not train in steps.
	StepsPerEpoch() int
	// Train gives what a step minimises.
	Train(b *engine.Builder) engine.Objective
}

// A TableModel writes a second program over the same Store: the tables by which it ranks.
type TableModel interface {
	Model
	// Score gives users [U, k] and items [I, k] such that user u ranks items by the inner product of the rows.
	Score(b *engine.Builder) (users, items *op.Node)
}

// RowsOf tells whose rows a parameter has, by its name: the users', the items', those of both, users first, or nobody's.
func RowsOf(param string) (users, items bool) {
	switch {
	case param == "embedding":
		return true, true
	case param == "embedding/users":
		return true, false
	case param == "embedding/items", IsFeatures(param):
		return false, true
	}
	return false, false
}

// IsFeatures tells whether a parameter begins as the features of items.
func IsFeatures(param string) bool { return strings.HasPrefix(param, features) }

// ModalityOf is the modality whose features a table has. A state of the optimiser beside it is named features/MODALITY/Adam.m.
func ModalityOf(table string) (modality string, ok bool) {
	modality, ok = strings.CutPrefix(table, features)
	return modality, ok && !strings.Contains(modality, "/")
}

const features = "features/" // then the modality's name

// SpansModalities tells whether a parameter has rows for the features of all modalities, one after the other.
func SpansModalities(param string) bool { return param == spanning+"/weight" }

const spanning = "transform"

// IsAttributes tells whether a parameter has a row for each value of the users' attributes, and then for each of the items'.
func IsAttributes(param string) bool { return param == attributes }

const attributes = "attributes"

// A Preparer computes from the data what takes long, before its programs are built.
type Preparer interface {
	Prepare(ctx context.Context, how Fitting) error
}

// A Describer has something to say about what it made of the data: the sizes of sampled graphs, say.
type Describer interface{ Describe() (string, error) }

// Options are a model's options, bound to flags by package option.
type Options interface {
	New(d Data) (Model, error)
}

// Untrained are the options of a model that is not trained in steps: it counts, or is fitted at once, and no epoch of it can be selected.
type Untrained interface{ Untrained() }

// Fitted are the options of an ItemModel: Untrained, and nothing of it is on a device.
type Fitted interface {
	Untrained
	Fitted()
}

// Featured are the options of a model that takes Data.ItemFeatures, at least one modality. They are read for such a model alone: a table of them may have
// gigabytes.
type Featured interface{ Features() }

// A Checker has options whose bounds depend on one another. New checks them too; a command line asks before it reads data.
type Checker interface{ Check() error }

// Spec is a model that a user can ask for.
type Spec struct {
	Name    string
	Title   string // what it is, in a line
	Paper   string
	Options func() Options // fresh, unset options
}

// All lists the models, the simplest first.
func All() []Spec {
	return []Spec{
		{"popularity", "items by their number of training interactions, the same for everybody", "-", func() Options { return new(PopularityOptions) }},
		{"itemknn", "items similar to the user's by the users they share", "Deshpande and Karypis, TOIS 2004", func() Options { return new(ItemKNNOptions) }},
		{"ease", "linear regression of items on items in closed form", "Steck, WWW 2019", func() Options { return new(EASEOptions) }},
		{"bprmf", "matrix factorisation under BPR", "Rendle et al., UAI 2009", func() Options { return new(BPRMFOptions) }},
		{"lightgcn", "linear propagation over the user-item graph under BPR", "He et al., SIGIR 2020", func() Options { return new(LightGCNOptions) }},
		{"sgl", "LightGCN and a contrast of two random sub-graphs", "Wu et al., SIGIR 2021", func() Options { return new(SGLOptions) }},
		{"simgcl", "LightGCN and a contrast of two noisy passes", "Yu et al., SIGIR 2022", func() Options { return new(SimGCLOptions) }},
		{"xsimgcl", "one noisy pass, contrasted with its own layer", "Yu et al., TKDE 2023", func() Options { return new(XSimGCLOptions) }},
		{"vbpr", "matrix factorisation with items' features under BPR", "He and McAuley, AAAI 2016", func() Options { return new(VBPROptions) }},
		{"freedom", "LightGCN on a pruned graph, and a frozen graph of items by their features", "Zhou and Shen, MM 2023", func() Options { return new(FREEDOMOptions) }},
		{"bm3", "items with features: bootstrapped targets without negatives", "Zhou et al., WWW 2023", func() Options { return new(BM3Options) }},
	}
}

// Names lists the models' names.
func Names() []string {
	var n []string
	for _, s := range All() {
		n = append(n, s.Name)
	}
	return n
}

// Find looks a model up by name.
func Find(name string) (Spec, bool) {
	for _, s := range All() {
		if s.Name == name {
			return s, true
		}
	}
	return Spec{}, false
}

// newGraph is the normalised adjacency of the training interactions; a data set without any is an error.
func newGraph(d Data) (*graph.Bipartite, error) {
	if d.Train.Len() == 0 {
		return nil, fmt.Errorf("the data has no training interaction")
	}
	return graph.New(d.Train)
}
