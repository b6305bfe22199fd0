package graph

import (
	"fmt"
	"slices"
)

// Augmentation is the way in which a view is drawn from the graph (SGL, SIGIR 2021, section 3.1). Every view is normalised by its own
// degrees.
type Augmentation string

const (
	// EdgeDropout keeps exactly int(edges (1-rho)) interactions.
	EdgeDropout Augmentation = "ed"
	// NodeDropout drops int(rho Users) users and int(rho Items) items, without replacement, with all their interactions.
	NodeDropout Augmentation = "nd"
	// RandomWalk is EdgeDropout with an independent draw for each layer.
	RandomWalk Augmentation = "rw"
)

// UnmarshalText reads ed, nd or rw, for flags and configuration files.
func (a *Augmentation) UnmarshalText(text []byte) error {
	if !slices.Contains([]Augmentation{EdgeDropout, NodeDropout, RandomWalk}, Augmentation(text)) {
		return fmt.Errorf("augmentation %q is none of ed (edge dropout), nd (node dropout), rw (random walk)", text)
	}
	*a = Augmentation(text)
	return nil
}

// MarshalText is the inverse of UnmarshalText.
func (a Augmentation) MarshalText() ([]byte, error) { return []byte(a), nil }
