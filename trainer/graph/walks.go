package graph

import (
	"fmt"

	"nearfar/kernels/philox"
)

const (
	walkLength = 10
	restart    = .2
)

// walks keeps the edges between the nodes that random walks with restart reach. Of the n nodes with an edge, exactly int(rho n) are
// left out: walks of 10 steps begin at nodes drawn without replacement, those that are reached already left out, and each step goes back to
// the walk's first node with probability .2, else to a uniform neighbour. Every walk reaches at least its first node, so that graphs of many
// components end too.
type walks struct {
	rho    float64
	stream [views]philox.Stream
	rows   rows
	active []int32 // nodes with an edge; those before the next walk have begun one
	seen   []bool  // [N]
}

func newWalks(g *Bipartite, rho float64, seed uint64) *walks {
	n := g.Nodes()
	s := &walks{rho: rho, rows: rows{make([]int32, n), make([]int32, n), make([]int32, len(g.Col))}, active: make([]int32, 0, n), seen: make([]bool, n)}
	for view := range s.stream {
		s.stream[view] = philox.New(seed, fmt.Sprintf("graph/views/subgraph/%d", view))
	}
	return s
}

func (s *walks) apply(d drawn, edges []edge) []edge {
	s.rows.set(edges, nil)
	s.active = s.active[:0]
	for n := range s.seen {
		if s.rows.end[n] > s.rows.beg[n] {
			s.active = append(s.active, int32(n))
		}
	}
	clear(s.seen)
	left := len(s.active) - int(s.rho*float64(len(s.active)))
	reach := func(n int32) (more bool) {
		if !s.seen[n] {
			s.seen[n] = true
			left--
		}
		return left > 0
	}
	for begun := 0; left > 0; begun++ {
		word := s.stream[d.view].Sequence(d.epoch, uint32(begun))
		from := begun + word.Below(len(s.active)-begun)
		s.active[begun], s.active[from] = s.active[from], s.active[begun]
		first := s.active[begun]
		if s.seen[first] {
			continue
		}
		s.walk(first, &word, reach)
	}
	kept := edges[:0]
	for _, e := range edges {
		if s.seen[e.user] && s.seen[e.item] {
			kept = append(kept, e)
		}
	}
	return kept
}

// walk visits the first node, and then that of each step, a return to the first included, until visit wants no more.
func (s *walks) walk(first int32, word *philox.Sequence, visit func(n int32) (more bool)) {
	n := first
	for step := 0; visit(n) && step < walkLength; step++ {
		if philox.Uniform(word.Word()) < restart {
			n = first
			continue
		}
		next := s.rows.of(n)
		n = next[word.Below(len(next))]
	}
}
