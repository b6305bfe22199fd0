package graph

import (
	"cmp"
	"math"
	"slices"
)

// A Neighbour is an item in the running for another one's neighbours. The tie, a hash, keeps ids, which often encode popularity, from deciding
// between equals.
type Neighbour struct {
	Item       int32
	Similarity float64
	Tie        uint64
}

// closer orders by similarity, the largest first.
func closer(a, b Neighbour) int {
	return cmp.Or(cmp.Compare(b.Similarity, a.Similarity), cmp.Compare(a.Tie, b.Tie), cmp.Compare(a.Item, b.Item))
}

// Closest keeps the K most similar of the neighbours that it is offered, by sorting whenever twice as many have come together.
type Closest struct {
	K    int // at least 1
	kept []Neighbour
	full bool // kept[:K] is sorted, and kept[K-1] is to be beaten
}

// Reset forgets all, and keeps the memory.
func (c *Closest) Reset() { c.kept, c.full = c.kept[:0], false }

// Add offers a neighbour.
func (c *Closest) Add(n Neighbour) {
	if c.full && closer(n, c.kept[c.K-1]) > 0 {
		return
	}
	if c.kept = append(c.kept, n); len(c.kept)-c.K >= c.K { // K may be any number
		c.cut()
	}
}

// Least is the similarity that a neighbour has to reach.
func (c *Closest) Least() float64 {
	if !c.full {
		return math.Inf(-1)
	}
	return c.kept[c.K-1].Similarity
}

// Sorted are the K most similar so far, in their order, until the next Add or Reset.
func (c *Closest) Sorted() []Neighbour {
	c.cut()
	return c.kept
}

func (c *Closest) cut() {
	slices.SortFunc(c.kept, closer)
	if len(c.kept) >= c.K {
		c.kept, c.full = c.kept[:c.K], true
	}
}
