package models

import (
	"context"
	"fmt"
	"math"
	"slices"

	"nearfar/kernels/philox"
	"nearfar/trainer/graph"
	"nearfar/trainer/parallel"
)

// Similarity is that of two items by the users they share.
type Similarity string

const (
	Cosine  Similarity = "cosine"
	Jaccard Similarity = "jaccard"
)

// ItemKNNOptions are those of item-based neighbours.
type ItemKNNOptions struct {
	_          struct{}   `title:"Item-kNN (Deshpande and Karypis, TOIS 2004)" defaults:"epochs=0"`
	Neighbours int        `flag:"neighbours" default:"100" min:"1" help:"most similar items that speak for an item" source:"RecBole ItemKNN; Dacrema et al., RecSys 2019, search 5 to 1000"`
	Shrink     float64    `flag:"shrink" default:"0" min:"0" help:"added to the denominator: similarities of rare items count less" source:"RecBole ItemKNN; Dacrema et al. search 0 to 1000"`
	Similarity Similarity `flag:"similarity" default:"cosine" choices:"cosine,jaccard" help:"of two items by the users they share" source:"RecBole ItemKNN; jaccard: Dacrema et al."`
	Alpha      float64    `flag:"alpha" default:"0.5" min:"0" max:"1" help:"of the cosine, exponent of the scored item's users, 1-alpha of the other's; 0.5: the symmetric one" source:"Dacrema et al. (asymmetric cosine, Aiolli, RecSys 2013)"`
}

// Untrained and Fitted implement Fitted.
func (*ItemKNNOptions) Untrained() {}
func (*ItemKNNOptions) Fitted()    {}

// New makes the model.
func (o *ItemKNNOptions) New(d Data) (Model, error) {
	g, err := newGraph(d)
	if err != nil {
		return nil, err
	}
	if most := int64(d.Train.Items) * int64(min(o.Neighbours, d.Train.Items)); most > math.MaxInt32 {
		return nil, fmt.Errorf("-neighbours %d for %d items are up to %d weights, more than 32-bit offsets can hold (%d)", o.Neighbours, d.Train.Items, most, math.MaxInt32)
	}
	return &itemKNN{options: *o, data: d, graph: g}, nil
}

// itemKNN scores an item by its similarities to what the user has:
//
//	s(u, j) = Σ_{i in train(u) ∩ N_k(j)} sim(i, j)
//	cosine  = |U_i ∩ U_j| / (|U_j|^alpha |U_i|^(1-alpha) + shrink)
//	jaccard = |U_i ∩ U_j| / (|U_i ∪ U_j| + shrink)
//
// U_i are the users of item i, N_k(j) the k items other than j most similar to j; equal ones by a seeded hash. The neighbours are those of
// the scored item, as in the code of Dacrema et al. and in RecBole: each item is spoken for by equally many. (Deshpande and Karypis keep those
// of the user's items.)
type itemKNN struct {
	stepless
	options ItemKNNOptions
	data    Data
	graph   *graph.Bipartite
}

func (m *itemKNN) similarity(common, users, scored float64) float64 {
	if m.options.Similarity == Jaccard {
		return common / (users + scored - common + m.options.Shrink)
	}
	if m.options.Alpha == .5 { // exact where powers are not
		return common / (math.Sqrt(users*scored) + m.options.Shrink)
	}
	return common / (math.Pow(scored, m.options.Alpha)*math.Pow(users, 1-m.options.Alpha) + m.options.Shrink)
}

// neighbour is an item in the running for another one's neighbours.
type neighbour struct {
	item       int32
	similarity float64
	tie        uint64
}

// closer orders by similarity. The hash keeps ids, which often encode popularity, from deciding between equals.
func closer(a, b neighbour) int {
	switch {
	case a.similarity > b.similarity || a.similarity == b.similarity && (a.tie < b.tie || a.tie == b.tie && a.item < b.item):
		return -1
	case a == b:
		return 0
	}
	return 1
}

// closest keeps the k first in the order of closer, by sorting whenever twice as many have come together.
type closest struct {
	k    int
	kept []neighbour
	full bool // kept[:k] is sorted, and kept[k-1] is to be beaten
}

func (c *closest) add(n neighbour) {
	if c.full && closer(n, c.kept[c.k-1]) > 0 {
		return
	}
	if c.kept = append(c.kept, n); len(c.kept) == 2*c.k {
		c.cut()
	}
}

func (c *closest) cut() {
	slices.SortFunc(c.kept, closer)
	if len(c.kept) >= c.k {
		c.kept, c.full = c.kept[:c.k], true
	}
}

// fitPart is the number of items between two reports of a fit.
const fitPart = 1024

// Fit counts shared users item by item.
func (m *itemKNN) Fit(ctx context.Context, how Fitting) (ItemScorer, error) {
	first, items := m.graph.Users, m.graph.Items
	stream, ties := philox.New(m.data.Seed, "itemknn/ties"), make([]uint64, items)
	for i := range ties {
		w := stream.At(0, uint32(i), 0)
		ties[i] = uint64(w[0])<<32 | uint64(w[1])
	}
	of := make([][]neighbour, items)
	for lo := 0; lo < items; lo += fitPart {
		hi := min(items, lo+fitPart)
		err := parallel.Each(ctx, how.Threads, hi-lo, func() func(int) error {
			users := newShared(m.graph)
			best := closest{k: min(m.options.Neighbours, items)}
			return func(at int) error {
				j := lo + at
				best.kept, best.full = best.kept[:0], false
				users.with(first+j, func(node int, common int32) {
					i := node - first
					if i == j {
						return
					}
					best.add(neighbour{int32(i), m.similarity(float64(common), float64(m.graph.Degree(node)), float64(m.graph.Degree(first+j))), ties[i]})
				})
				best.cut()
				of[j] = slices.Clone(best.kept)
				return nil
			}
		})
		if err != nil {
			return nil, err
		}
		if how.Step != nil {
			how.Step(hi, items)
		}
	}
	return &sparseScorer{m.graph, byHistory(of), how.Threads}, nil
}

// byHistory turns the neighbours of each scored item into rows of the items that speak for it.
func byHistory(of [][]neighbour) SparseWeights {
	w := SparseWeights{Ptr: make([]int32, len(of)+1)}
	for _, list := range of {
		for _, n := range list {
			w.Ptr[n.item+1]++
		}
	}
	for i := range of {
		w.Ptr[i+1] += w.Ptr[i]
	}
	total := w.Ptr[len(of)]
	w.Item, w.Weight = make([]int32, total), make([]float32, total)
	next := slices.Clone(w.Ptr)
	for j, list := range of {
		for _, n := range list {
			at := next[n.item]
			next[n.item]++
			w.Item[at], w.Weight[at] = int32(j), float32(n.similarity)
		}
	}
	return w
}

// sparseScorer ranks by sparse weights.
type sparseScorer struct {
	graph   *graph.Bipartite
	weights SparseWeights
	threads int
}

func (s *sparseScorer) Weights() SparseWeights { return s.weights }

// Score implements ItemScorer.
func (s *sparseScorer) Score(ctx context.Context, users []int32, out []float32) error {
	n := s.graph.Items
	return parallel.Each(ctx, s.threads, len(users), func() func(int) error {
		return func(at int) error {
			to := out[at*n:][:n]
			clear(to)
			for _, node := range s.graph.Of(int(users[at])) {
				s.add(int(node)-s.graph.Users, to)
			}
			return nil
		}
	})
}

// ScoreHistory implements ItemScorer. Items are added in ascending order, as Score has them, so that the same items give the same bits.
func (s *sparseScorer) ScoreHistory(ctx context.Context, items []int32, out []float32) error {
	clear(out)
	for _, i := range slices.Sorted(slices.Values(items)) {
		s.add(int(i), out)
	}
	return ctx.Err()
}

func (s *sparseScorer) add(item int, out []float32) {
	lo, hi := s.weights.Ptr[item], s.weights.Ptr[item+1]
	for k, j := range s.weights.Item[lo:hi] {
		out[j] += s.weights.Weight[int(lo)+k]
	}
}
