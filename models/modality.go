package models

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"nearfar/engine"
	"nearfar/engine/op"
	"nearfar/trainer/dataset"
	"nearfar/trainer/memory"
)

// FeatureOptions are those of models that learn from the items' features.
type FeatureOptions struct {
	_      struct{} `title:"Features"`
	Freeze bool     `flag:"freeze-features" default:"false" help:"keep the features as they are, instead of training them: the optimiser keeps nothing of them" source:"MMRec trains them"`
}

// Features implements Featured.
func (*FeatureOptions) Features() {}

// modalities are the items' feature matrices, and how they become embeddings.
type modalities struct {
	FeatureOptions
	items, dim int
	of         []dataset.Features
	state      int // bytes that the optimiser keeps beside a parameter
}

func newModalities(o FeatureOptions, d Data, dim int) (modalities, error) {
	m := modalities{o, d.Train.Items, dim, d.ItemFeatures, d.StateBytes}
	if len(m.of) == 0 {
		return m, fmt.Errorf("the data has no features of items: want files NAME_feat.npy beside the interactions")
	}
	for _, f := range m.of {
		if len(f.Value) != m.items*f.Dim {
			return m, fmt.Errorf("modality %s has %d numbers for %d items x %d", f.Name, len(f.Value), m.items, f.Dim)
		}
	}
	if available, lacks := memory.Lacks(m.bytes()); lacks {
		return m, m.tooLarge(available)
	}
	return m, nil
}

// tables is the size of the features.
func (m *modalities) tables() (bytes int64) {
	for _, f := range m.of {
		bytes += 4 * int64(len(f.Value))
	}
	return bytes
}

// bytes is what training takes for the features, beside those that were read: a constant, or a parameter and what the optimiser keeps of it.
func (m *modalities) bytes() int64 {
	if m.Freeze {
		return m.tables()
	}
	return m.tables() / 4 * int64(4+m.state)
}

// String names the features and what they take.
func (m *modalities) String() string {
	var what []string
	for _, f := range m.of {
		what = append(what, fmt.Sprintf("%s x %d", f.Name, f.Dim))
	}
	text := fmt.Sprintf("features of %d items, %s: %.3g GiB", m.items, strings.Join(what, ", "), float64(m.tables())/memory.GiB)
	if m.Freeze {
		return text + ", frozen"
	}
	return text + fmt.Sprintf(", trained, with what the optimiser keeps %.3g GiB", float64(m.bytes())/memory.GiB)
}

func (m *modalities) tooLarge(available int64) error {
	const adam = 2 * 4 // moments in float32
	lower := "-modalities names fewer"
	if !m.Freeze && m.state > 0 {
		lower = "-freeze-features needs none of it, " + lower
	}
	if !m.Freeze && m.state == adam {
		lower = "-moments bf16 halves what Adam keeps, " + lower
	}
	return fmt.Errorf("the system has %.3g GiB available, and training takes at least %.3g GiB for %s; %s", float64(available)/memory.GiB, float64(m.bytes())/memory.GiB,
		m, lower)
}

// raw is the table of modality k, [I, d_k].
func (m *modalities) raw(b *engine.Builder, k int) *op.Node {
	f := m.of[k]
	if m.Freeze {
		return b.Data(features+f.Name, f.Value, m.items, f.Dim)
	}
	return b.ParamFrom(features+f.Name, f.Value, m.items, f.Dim)
}

// project gives the embeddings of some rows x [B, d_k] of modality k, x·W + b. Rows are gathered before they are projected, which is the same and
// costs a batch's rows instead of all items.
func (m *modalities) project(b *engine.Builder, k int, init linearInit, x *op.Node) *op.Node {
	return linear(b, "transform/"+m.of[k].Name, init, x, m.dim)
}

// A linearInit gives the initial values of W and b of a projection of rows of a size.
type linearInit func(in int) (weight, bias engine.Init)

// fanIn draws from ±1/sqrt(in).
func fanIn(in int) engine.Init { return engine.UniformIn(1 / math.Sqrt(float64(in))) }

// linear is x·W + b [B, out] for x [B, in].
func linear(b *engine.Builder, name string, init linearInit, x *op.Node, out int) *op.Node {
	w, bias := linearParams(b, name, init, op.Desc(x).Cols(), out)
	return op.Linear(x, w, bias)
}

func linearParams(b *engine.Builder, name string, init linearInit, in, out int) (w, bias *op.Node) {
	weight, offset := init(in)
	return b.Param(name+"/weight", weight, in, out), b.Param(name+"/bias", offset, out)
}

// ModalityWeights are weights of modalities by name.
type ModalityWeights map[string]float64

// String is the list with commas, as UnmarshalText reads it.
func (w ModalityWeights) String() string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(w)) {
		list = append(list, fmt.Sprintf("%s=%g", name, w[name]))
	}
	return strings.Join(list, ",")
}

// UnmarshalText reads a list such as image=0.1,text=0.9, for flags and configuration files.
func (w *ModalityWeights) UnmarshalText(text []byte) error {
	weights := ModalityWeights{}
	for entry := range strings.SplitSeq(string(text), ",") {
		if len(text) == 0 {
			break
		}
		name, value, ok := strings.Cut(entry, "=")
		name = strings.TrimSpace(name)
		x, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if _, twice := weights[name]; !ok || err != nil || name == "" || twice || !(x >= 0) || math.IsInf(x, 1) {
			return fmt.Errorf("%q: want NAME=WEIGHT, each name once and weights from 0, such as image=0.1,text=0.9", entry)
		}
		weights[name] = x
	}
	*w = weights
	return nil
}

// MarshalText is the inverse of UnmarshalText.
func (w ModalityWeights) MarshalText() ([]byte, error) { return []byte(w.String()), nil }

// of gives the weights of modalities: those that are named, which must be all; without any, MMRec's of image and text, or 1/n for n others.
func (w ModalityWeights) of(features []dataset.Features) ([]float64, error) {
	var names []string
	for _, f := range features {
		names = append(names, f.Name)
	}
	if len(w) == 0 && slices.Equal(names, []string{"image", "text"}) {
		return []float64{.1, .9}, nil
	}
	weights := make([]float64, len(names))
	for k, name := range names {
		weights[k] = 1 / float64(len(names))
		if len(w) == 0 {
			continue
		}
		x, ok := w[name]
		if !ok {
			return nil, fmt.Errorf("-modality-weights %s: no weight of %s; the data has %s", w, name, strings.Join(names, ", "))
		}
		weights[k] = x
	}
	for name := range w {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("-modality-weights %s: there is no modality %s; the data has %s", w, name, strings.Join(names, ", "))
		}
	}
	return weights, nil
}
