package models

import (
	"context"

	"nearfar/engine"
	"nearfar/kernels/cpu"
	"nearfar/trainer/graph"
)

// An ItemModel ranks by weights between items, which it computes at once from all interactions: user u scores item j by
//
//	s(u, j) = Σ_{i in train(u)} W[i, j]
//
// It has no parameters in the Store. What it fits is a pure function of Data, options and kernels, whatever the number of threads.
type ItemModel interface {
	Model
	Fit(ctx context.Context, how Fitting) (ItemScorer, error)
}

// Fitting is how a model is fitted, or prepared.
type Fitting struct {
	Threads int                   // 0: all processors
	Kernels cpu.Set               // of the processor
	Step    func(done, total int) // is told how far it is; may be nil
}

// An ItemScorer scores every item, by what users have.
type ItemScorer interface {
	// Score writes out [len(users), items] for users of the training data.
	Score(ctx context.Context, users []int32, out []float32) error
	// ScoreHistory writes out [items] for somebody who has these items, each once, in any order.
	ScoreHistory(ctx context.Context, items []int32, out []float32) error
}

// SparseWeights is W by rows: item i has the weights Weight[Ptr[i]:Ptr[i+1]] to the items Item[Ptr[i]:Ptr[i+1]], ascending.
type SparseWeights struct {
	Ptr, Item []int32
	Weight    []float32
}

// A SparseScorer is an ItemScorer that has its weights as a sparse matrix.
type SparseScorer interface {
	ItemScorer
	Weights() SparseWeights
}

// stepless is the half of a model that is not trained in steps.
type stepless struct{}

func (stepless) StepsPerEpoch() int { return 0 }

func (stepless) Train(*engine.Builder) engine.Objective { return nil }

// shared counts the neighbours that two nodes of one side of the graph have in common: the users of two items, or the items of two users.
type shared struct {
	graph *graph.Bipartite
	count []int32 // [nodes], zero between two calls
	nodes []int32
}

func newShared(g *graph.Bipartite) *shared { return &shared{graph: g, count: make([]int32, g.Nodes())} }

// with calls f for every node that shares a neighbour with a, a included, in an order that depends on the graph only.
func (s *shared) with(a int, f func(b int, count int32)) {
	s.nodes = s.nodes[:0]
	for _, m := range s.graph.Of(a) {
		for _, b := range s.graph.Of(int(m)) {
			if s.count[b] == 0 {
				s.nodes = append(s.nodes, b)
			}
			s.count[b]++
		}
	}
	for _, b := range s.nodes {
		f(int(b), s.count[b])
		s.count[b] = 0
	}
}
