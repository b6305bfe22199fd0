package graph

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"nearfar/kernels/philox"
	"nearfar/trainer/dataset"
)

// reached lists the nodes that a sub-graph's walks reached.
func reached(v *Views) []int32 {
	var nodes []int32
	for n, seen := range v.steps[0].(*walks).seen {
		if seen {
			nodes = append(nodes, int32(n))
		}
	}
	return nodes
}

func TestWalksKeepTheInducedSubgraph(t *testing.T) {
	g := random(t, 60, 80, 300)
	active := 0
	for n := range g.Nodes() {
		if g.Degree(n) > 0 {
			active++
		}
	}
	for _, rho := range []float64{0, .1, .25, .5, .9, .95} {
		v := newViews(t, g, "subgraph", rho, 3, 7, 1)
		out := fill(t, v, 5)
		nodes := reached(v) // of the view that was filled last
		if want := active - int(rho*float64(active)); len(nodes) != want {
			t.Errorf("rho %g: %d of %d nodes reached, want %d", rho, len(nodes), active, want)
		}
		var want []int32
		for u := range g.Users {
			for e := g.Ptr[u]; e < g.Ptr[u+1]; e++ {
				if slices.Contains(nodes, int32(u)) && slices.Contains(nodes, g.Col[e]) {
					want = append(want, e)
				}
			}
		}
		if got := edges(t, v, out, 2, 0); !slices.Equal(got, want) {
			t.Errorf("rho %g: %d edges, %d are among the nodes reached", rho, len(got), len(want))
		}
		if rho > 0 && slices.Equal(want, edges(t, v, out, 1, 0)) {
			t.Errorf("rho %g: both views are the same", rho)
		}
	}
}

// TestWalksReachEveryComponent: of 40 pairs that nothing connects, as many are reached as the ratio asks for, whole but for the last.
func TestWalksReachEveryComponent(t *testing.T) {
	var pairs []dataset.Pair
	for k := range int32(40) {
		pairs = append(pairs, dataset.Pair{User: k, Item: k})
	}
	g := graphOf(t, 50, 45, pairs) // and nodes without an edge, which are nobody's
	for _, c := range []struct {
		rho   float64
		edges int
	}{{0, 40}, {.25, 30}, {.5, 20}, {.975, 1}} {
		v := newViews(t, g, "subgraph", c.rho, 1, 3, 1)
		// A walk goes back without reaching the neighbour with probability .2^10, or is cut at the ratio.
		if got := len(edges(t, v, fill(t, v, 0), 1, 0)); got != c.edges {
			t.Errorf("rho %g: %d edges, want %d", c.rho, got, c.edges)
		}
	}
}

// TestWalksStayNear: on a long path, a walk's nodes are neighbours of one another, unlike those of node dropout.
func TestWalksStayNear(t *testing.T) {
	const n = 2000
	var pairs []dataset.Pair
	for k := range int32(n) {
		pairs = append(pairs, dataset.Pair{User: k, Item: k}, dataset.Pair{User: k, Item: (k + 1) % n})
	}
	g := graphOf(t, n, n, pairs)
	v := newViews(t, g, "subgraph", .9, 1, 3, 1)
	kept := len(edges(t, v, fill(t, v, 0), 1, 0))
	// A tenth of 4000 nodes. Independent nodes would keep a hundredth of the 4000 edges; walks are connected: m nodes keep m-1 edges.
	if kept < 250 || kept >= 400 {
		t.Errorf("%d edges among 400 nodes of a ring, want nearly as many as nodes", kept)
	}
}

// TestStepsCompose: each augmentation works on what those before it left, with exact counts.
func TestStepsCompose(t *testing.T) {
	g := random(t, 60, 80, 1500)
	count := func(augment string, layer int) (edges, added int) {
		v := newViews(t, g, augment, .2, 3, 7, 1)
		for _, e := range view(t, v, fill(t, v, 1), 1, layer) {
			edges++
			if !in(g, e) {
				added++
			}
		}
		return edges, added
	}
	nd, _ := count("nd", 0)
	share := func(n int) int { return int(float64(n) * .8) }
	for _, c := range []struct {
		augment      string
		edges, added int
	}{
		{"nd,ed", share(nd), 0},
		{"nd,edge-add", nd, int(.2 * float64(nd))},
		{"nd,rw", share(nd), 0},
		{"ed,edge-add", share(g.Edges()), int(.2 * float64(share(g.Edges())))},
		{"ed,attribute-mask", share(g.Edges()), 0},
		{"attribute-mask", g.Edges(), 0},
	} {
		if edges, added := count(c.augment, 2); edges != c.edges || added != c.added {
			t.Errorf("%s: %d edges, %d added; want %d, %d", c.augment, edges, added, c.edges, c.added)
		}
	}
	// Node dropout takes added edges too; edges that are added afterwards may be of dropped nodes.
	if edges, added := count("edge-add,nd", 0); edges >= g.Edges()*3/4 || added == 0 {
		t.Errorf("edge-add,nd: %d edges, %d added", edges, added)
	}
	// Only rw has layers.
	v := newViews(t, g, "nd,rw", .2, 2, 7, 1)
	out := fill(t, v, 0)
	if slices.Equal(edges(t, v, out, 1, 0), edges(t, v, out, 1, 1)) {
		t.Error("nd,rw: layers are the same")
	}
}

func TestAugmentationsText(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"ed", "ed"}, {"nd, edge-add", "nd,edge-add"}, {"subgraph,attribute-mask,rw", "subgraph,attribute-mask,rw"},
		{"", ""}, {"ed,", ""}, {"ed,ed", ""}, {"ed,rw", ""}, {"edges", ""},
	} {
		a := Augmentations{NodeDropout}
		err := a.UnmarshalText([]byte(c.text))
		if c.want == "" {
			if err == nil || a.String() != "nd" {
				t.Errorf("%q: %v, %v", c.text, a, err)
			}
		} else if err != nil || a.String() != c.want {
			t.Errorf("%q: %v, %v", c.text, a, err)
		}
	}
}

// TestWalksByTheirDefinition: a walk has ten steps; each, whatever came before, goes back to the first node with probability .2, and else to a
// neighbour, each alike (GCC 3.2). The numbers are written down here a second time.
func TestWalksByTheirDefinition(t *testing.T) {
	const length, back, degree = 10, .2, 5
	// Every user has every item. A user's neighbours are items, so that a step from a user to the first node, a user, is a return; of a step from an
	// item to it that cannot be told, and only those from users are counted.
	var pairs []dataset.Pair
	for n := range int32(degree * degree) {
		pairs = append(pairs, dataset.Pair{User: n / degree, Item: n % degree})
	}
	g := graphOf(t, degree, degree, pairs)
	s := newWalks(g, 0, 1)
	s.rows.set(g.edges(make([]edge, 0, g.Edges())), nil)
	const first = int32(2) // a user
	var steps, returns int
	to := make([]int, degree)
	for walker := range uint32(20_000) {
		words := philox.New(4, "walkers").Sequence(0, walker)
		var path []int32
		s.walk(first, &words, func(n int32) bool { path = append(path, n); return true })
		if len(path) != 1+length || path[0] != first {
			t.Fatalf("a walk visits %v, want the first node and %d steps", path, length)
		}
		for k, n := range path[1:] {
			user := int(path[k]) < g.Users
			switch item := int(n) >= g.Users; {
			case !user && item, user && !item && n != first:
				t.Fatalf("%v has a step to what is neither a neighbour nor the first node", path)
			case user && item:
				to[int(n)-g.Users]++
			case user:
				returns++
			}
			if user {
				steps++
			}
		}
	}
	share := func(what string, got int, p float64) {
		t.Helper()
		if n := float64(steps); math.Abs(float64(got)-n*p) > 4*math.Sqrt(n*p*(1-p)) {
			t.Errorf("%s: %d of %d steps, want a share of %g", what, got, steps, p)
		}
	}
	share("returns", returns, back)
	for i, n := range to {
		share(fmt.Sprintf("to item %d", i), n, (1-back)/degree)
	}
}

// TestWalksEndWhenTheRatioIsReached: the last walk takes no step beyond, be its first node the last that is wanted.
func TestWalksEndWhenTheRatioIsReached(t *testing.T) {
	g := random(t, 60, 80, 300)
	for seed := range uint64(50) {
		v := newViews(t, g, "subgraph", .25, 1, seed, 1)
		fill(t, v, 0)
		active := len(v.steps[0].(*walks).active)
		if got, want := len(reached(v)), active-active/4; got != want {
			t.Fatalf("seed %d: %d nodes, want %d", seed, got, want)
		}
	}
}

// TestAugmentationsAroundRandomWalk: what stands before rw is the same for all layers, what stands behind it works on each layer's own edges;
// dropped nodes do not depend on edges.
func TestAugmentationsAroundRandomWalk(t *testing.T) {
	g := random(t, 60, 80, 300)
	marked := func(augment string, layer int) (nodes []bool) {
		v := newViews(t, g, augment, .2, 2, 7, 1)
		edges := g.edges(v.edges)
		for _, s := range v.steps {
			edges = s.apply(drawn{epoch: 0, view: 0, layer: layer}, edges)
			switch s := s.(type) {
			case *walks:
				nodes = slices.Clone(s.seen)
			case *nodeDropout:
				nodes = slices.Clone(s.gone[0])
			}
		}
		return nodes
	}
	for augment, same := range map[string]bool{"subgraph,rw": true, "rw,subgraph": false, "nd,rw": true, "rw,nd": true} {
		if slices.Equal(marked(augment, 0), marked(augment, 1)) != same {
			t.Errorf("%s: layers have the same nodes: %v, want %v", augment, !same, same)
		}
	}
}
