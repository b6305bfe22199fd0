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
	Alpha      float64    `flag:"alpha" default:"0.5" min:"0" max:"1" needs:"similarity=cosine" help:"of the cosine, exponent of the scored item's users, 1-alpha of the other's; 0.5: the symmetric one" source:"Dacrema et al. (asymmetric cosine, Aiolli, RecSys 2013)"`
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
	of := make([][]graph.Neighbour, items)
	for lo := 0; lo < items; lo += fitPart {
		hi := min(items, lo+fitPart)
		err := parallel.Each(ctx, how.Threads, hi-lo, func() func(int) error {
			users := newShared(m.graph)
			best := graph.Closest{K: min(m.options.Neighbours, items)}
			return func(at int) error {
				j := lo + at
				best.Reset()
				users.with(first+j, func(node int, common int32) {
					i := node - first
					if i == j {
						return
					}
					best.Add(graph.Neighbour{Item: int32(i), Similarity: m.similarity(float64(common), float64(m.graph.Degree(node)), float64(m.graph.Degree(first+j))), Tie: ties[i]})
				})
				of[j] = slices.Clone(best.Sorted())
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
func byHistory(of [][]graph.Neighbour) SparseWeights {
	w := SparseWeights{Ptr: make([]int32, len(of)+1)}
	for _, list := range of {
		for _, n := range list {
			w.Ptr[n.Item+1]++
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
			at := next[n.Item]
			next[n.Item]++
			w.Item[at], w.Weight[at] = int32(j), float32(n.Similarity)
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
