package graph

import (
	"fmt"

	"nearfar/kernels/philox"
)

// edgeDropout keeps exactly int(edges (1-rho)) edges: those of the smallest hashes.
type edgeDropout struct {
	*ranking
	users  int32
	rho    float64
	stream []philox.Stream // by layer
}

func newEdgeDropout(g *Bipartite, rho float64, layers int, seed uint64, r *ranking) *edgeDropout {
	s := &edgeDropout{ranking: r, users: int32(g.Users), rho: rho}
	for layer := range layers {
		s.stream = append(s.stream, philox.New(seed, fmt.Sprintf("graph/views/edge/%d", layer)))
	}
	return s
}

func (s *edgeDropout) apply(d drawn, edges []edge) []edge {
	stream := s.stream[min(d.layer, len(s.stream)-1)] // another step may have asked for layers
	return s.keep(int(float64(len(edges))*(1-s.rho)), stream, d, edges, s.users)
}

// keep leaves the edges of the k smallest hashes.
func (r *ranking) keep(k int, stream philox.Stream, d drawn, edges []edge, users int32) []edge {
	hash := r.hash[:len(edges)]
	for n, e := range edges {
		hash[n] = hashOf(stream, d, uint32(e.user), uint32(e.item-users))
	}
	bound, kept := r.smallest(k, hash), edges[:0]
	for n, e := range edges {
		if bound.includes(hash[n], int32(n)) {
			kept = append(kept, e)
		}
	}
	return kept
}

// nodeDropout drops int(rho Users) users and int(rho Items) items: an edge stays where both its user and its item do.
type nodeDropout struct {
	*ranking
	users, items int
	rho          float64
	user, item   philox.Stream
	gone         [views][]bool // [N]
}

func newNodeDropout(g *Bipartite, rho float64, seed uint64, r *ranking) *nodeDropout {
	s := &nodeDropout{ranking: r, users: g.Users, items: g.Items, rho: rho,
		user: philox.New(seed, "graph/views/user"), item: philox.New(seed, "graph/views/item")}
	for view := range s.gone {
		s.gone[view] = make([]bool, g.Nodes())
	}
	return s
}

func (s *nodeDropout) apply(d drawn, edges []edge) []edge {
	gone := s.gone[d.view]
	s.mark(gone[:s.users], s.user, d)
	s.mark(gone[s.users:], s.item, d)
	kept := edges[:0]
	for _, e := range edges {
		if !gone[e.user] && !gone[e.item] {
			kept = append(kept, e)
		}
	}
	return kept
}

// mark draws int(rho n) of n nodes.
func (s *nodeDropout) mark(gone []bool, stream philox.Stream, d drawn) {
	hash := s.hash[:len(gone)]
	for n := range hash {
		hash[n] = hashOf(stream, d, uint32(n), 0)
	}
	bound := s.smallest(int(s.rho*float64(len(gone))), hash)
	for n, h := range hash {
		gone[n] = bound.includes(h, int32(n))
	}
}
