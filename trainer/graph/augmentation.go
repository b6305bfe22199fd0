package graph

import (
	"fmt"
	"slices"
	"strings"
)

// Augmentation is a way in which a view is drawn (SGL, SIGIR 2021, section 3.1, for the first three). Every view is normalised by its own
// degrees.
type Augmentation string

const (
	// EdgeDropout keeps exactly int(edges (1-rho)) interactions.
	EdgeDropout Augmentation = "ed"
	// NodeDropout drops int(rho Users) users and int(rho Items) items, without replacement, with all their interactions.
	NodeDropout Augmentation = "nd"
	// RandomWalk is EdgeDropout with an independent draw for each layer.
	RandomWalk Augmentation = "rw"
	// EdgeAdd replaces int(rho edges) interactions by as many pairs that are no training interaction (GraphCL, NeurIPS 2020, table 1: edge
	// perturbation).
	EdgeAdd Augmentation = "edge-add"
	// Subgraph keeps the interactions among the nodes that random walks with restart reach (GCC, KDD 2020, section 3.2; GraphCL: subgraph).
	Subgraph Augmentation = "subgraph"
	// AttributeMask leaves the graph as it is and hides a part of what propagation begins with; it is the model's business (GraphCL: attribute
	// masking).
	AttributeMask Augmentation = "attribute-mask"
)

var all = []Augmentation{EdgeDropout, NodeDropout, RandomWalk, EdgeAdd, Subgraph, AttributeMask}

// Augmentations are applied to a view one after another: each works on the edges that those before it left. What stands before RandomWalk
// is one draw for all layers; what stands behind it works on each layer's own edges.
type Augmentations []Augmentation

// Check tells whether they can be combined: each is known and stands there once, and rw, being ed for each layer, not beside ed.
func (a Augmentations) Check() error {
	if len(a) == 0 {
		return fmt.Errorf("no augmentation: want some of %s", Augmentations(all))
	}
	for k, x := range a {
		switch {
		case !slices.Contains(all, x):
			return fmt.Errorf("augmentation %q is none of ed (edge dropout), nd (node dropout), rw (edge dropout by layer), edge-add, subgraph, attribute-mask", string(x))
		case slices.Contains(a[:k], x):
			return fmt.Errorf("augmentations %s have %s twice", a, x)
		}
	}
	if a.Has(EdgeDropout) && a.Has(RandomWalk) {
		return fmt.Errorf("augmentations %s have both ed and rw: rw is edge dropout anew for each layer, so name one", a)
	}
	return nil
}

// Has tells whether x is one of them.
func (a Augmentations) Has(x Augmentation) bool { return slices.Contains(a, x) }

// Structural are those that change the graph, in their order.
func (a Augmentations) Structural() Augmentations {
	return slices.DeleteFunc(slices.Clone(a), func(x Augmentation) bool { return x == AttributeMask })
}

// String is the list with commas, as UnmarshalText reads it.
func (a Augmentations) String() string {
	names := make([]string, len(a))
	for k, x := range a {
		names[k] = string(x)
	}
	return strings.Join(names, ",")
}

// UnmarshalText reads a list such as ed or nd,edge-add, for flags and configuration files.
func (a *Augmentations) UnmarshalText(text []byte) error {
	var list Augmentations
	for name := range strings.SplitSeq(string(text), ",") {
		list = append(list, Augmentation(strings.TrimSpace(name)))
	}
	if err := list.Check(); err != nil {
		return err
	}
	*a = list
	return nil
}

// MarshalText is the inverse of UnmarshalText.
func (a Augmentations) MarshalText() ([]byte, error) { return []byte(a.String()), nil }
