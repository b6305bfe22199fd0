package models

import (
	"fmt"
	"slices"
	"strings"

	"nearfar/engine"
	"nearfar/engine/op"
	"nearfar/kernels"
	"nearfar/trainer/graph"
	"nearfar/trainer/memory"
)

// SGLOptions are SGL's, in the official form: all nodes as negatives, sums over the batch.
type SGLOptions struct {
	_                  struct{} `title:"SGL (Wu et al., SIGIR 2021)"`
	PropagationOptions `defaults:"layers=3" source:"wujcan/SGL, yelp2018"`
	BPROptions         `defaults:"reduce=sum" source:"wujcan/SGL, yelp2018"`
	ContrastOptions    `defaults:"lambda=0.1 tau=0.2 negatives=all ssl-reduce=sum" source:"wujcan/SGL, yelp2018"`
	Augment            graph.Augmentations `flag:"augment" default:"ed" help:"how a view differs: ed (edge dropout), nd (node dropout), rw (edge dropout anew for each layer), edge-add, subgraph, attribute-mask; several with commas are applied in their order" source:"SGL 3.1; ed is best on yelp2018"`
	Rho                float64             `flag:"rho" default:"0.1" min:"0" below:"1" help:"share of edges, nodes or embedding dimensions that an augmentation drops or replaces" source:"wujcan/SGL, yelp2018"`
}

// New makes the model.
func (o *SGLOptions) New(d Data) (Model, error) {
	r, err := newRanked(o.PropagationOptions, o.BPROptions, d, o.Unique, 3)
	if err != nil {
		return nil, err
	}
	views, err := graph.NewViews(r.graph, o.Augment, o.Rho, o.Layers, d.Seed, r.StepsPerEpoch())
	if err != nil {
		return nil, err
	}
	if len(o.Augment.Structural()) > 0 {
		if available, lacks := memory.Lacks(viewsBytes(views)); lacks {
			less := "simgcl and xsimgcl have none"
			if o.Augment.Has(graph.RandomWalk) {
				less = "-augment ed has one graph for all layers, " + less
			}
			return nil, fmt.Errorf("two views of %d edges with -augment %s take %.3g GiB, and the system has %.3g GiB available: %s", r.graph.Edges(), o.Augment,
				float64(viewsBytes(views))/memory.GiB, float64(available)/memory.GiB, less)
		}
	}
	m := &sgl{ranked: r, o: o, views: views}
	if r.attributes != nil && o.Augment.Has(graph.AttributeMask) {
		m.masked, err = graph.NewMaskedBags(r.attributes.bags, o.Rho, d.Seed, r.StepsPerEpoch())
	}
	return m, err
}

// sgl is LightGCN with a second task: two random sub-graphs' embeddings of a node attract each other and repel those of all others.
type sgl struct {
	ranked
	o     *SGLOptions
	views viewsFeed

	masked *graph.MaskedBags // AttributeMask with -attributes; else nil
}

// viewsFeed draws sub-graphs: graph.Views, or fixed ones in tests.
type viewsFeed interface {
	engine.Feed
	View(view, layer int) graph.View
}

// viewsBytes is what sub-graphs take of the system's memory at the least: the inputs of two steps are there at once.
func viewsBytes(f engine.Feed) (bytes int64) {
	const places = 2
	for _, p := range f.Ports() {
		bytes += places * p.Desc.Bytes()
	}
	return bytes
}

// view propagates over sub-graph v (1 or 2).
func (m *sgl) view(b *engine.Builder, v int) *op.Node {
	e := m.start(b, v)
	if len(m.o.Augment.Structural()) == 0 {
		a := m.clean(b)
		return m.read(m.layersOf(e, func(int) *op.Sparse { return a }, nil))
	}
	ports := b.Feed(m.views)
	return m.read(m.layersOf(e, func(layer int) *op.Sparse {
		p := m.views.View(v, layer)
		return (&op.Sparse{Beg: ports[p.Beg], End: ports[p.End], Col: ports[p.Col], RowScale: ports[p.Scale], ColScale: ports[p.Scale]}).Symmetric()
	}, nil))
}

// start is what view v propagates: E0, of which AttributeMask hides fields, or dimensions where the model has no attributes.
func (m *sgl) start(b *engine.Builder, v int) *op.Node {
	switch {
	case m.masked != nil:
		return m.with(b, m.attributes.masked(b, m.masked, v))
	case m.o.Augment.Has(graph.AttributeMask):
		return op.Mul(m.embedding(b), b.Random(fmt.Sprintf("mask/view%d", v), kernels.Bernoulli, 1-m.o.Rho, m.count(), m.Dim))
	}
	return m.embedding(b)
}

// Train is eq. 12: L = L_bpr + lambda (L_users + L_items) + reg ½|rows|².
func (m *sgl) Train(b *engine.Builder) engine.Objective {
	o := m.bpr(b, m.final(b), m.embedding(b))
	return append(o, engine.Term{Name: "ssl", Weight: m.o.Lambda, Value: m.contrast(b, m.view(b, 1), m.view(b, 2), m.o.ContrastOptions)})
}

// Describe counts the edges of the first epoch's sub-graphs, by view and layer, and those that all layers of a view share: only with random walks do
// layers differ.
func (m *sgl) Describe() (string, error) {
	masked := fmt.Sprintf("both views hide a share %g of each node's dimensions, drawn anew each step", m.o.Rho)
	if m.masked != nil {
		masked = fmt.Sprintf("both views hide a share %g of the nodes' attribute fields, drawn anew each epoch", m.o.Rho)
	}
	if len(m.o.Augment.Structural()) == 0 {
		return fmt.Sprintf("views of the whole graph of %d edges: %s", m.graph.Edges(), masked), nil
	}
	var out []engine.Slot
	for _, p := range m.views.Ports() {
		if p.Desc.Type == kernels.Int32 {
			out = append(out, engine.Slot{I32: make([]int32, p.Desc.Elems())})
		} else {
			out = append(out, engine.Slot{F32: make([]float32, p.Desc.Elems())})
		}
	}
	if err := m.views.Fill(0, out); err != nil {
		return "", err
	}
	var s strings.Builder
	fmt.Fprintf(&s, "sub-graphs (%s, rho %g) of %d edges, epoch 1:", m.o.Augment, m.o.Rho, m.graph.Edges())
	for v := 1; v <= 2; v++ {
		fmt.Fprintf(&s, " view %d has", v)
		row := func(layer, u int) []int32 {
			p := m.views.View(v, layer)
			return out[p.Col].I32[out[p.Beg].I32[u]:out[p.End].I32[u]]
		}
		for l := range m.layers {
			edges := 0
			for u := range m.users {
				edges += len(row(l, u))
			}
			fmt.Fprintf(&s, " %d", edges)
		}
		shared := 0
		for u := range m.users {
			for _, item := range row(0, u) {
				inAll := true
				for l := 1; l < m.layers && inAll; l++ {
					_, inAll = slices.BinarySearch(row(l, u), item)
				}
				if inAll {
					shared++
				}
			}
		}
		fmt.Fprintf(&s, " by layer, %d in all layers", shared)
		m.describeFirstLayer(&s, func(u int) []int32 { return row(0, u) })
		s.WriteByte(';')
	}
	text := strings.TrimSuffix(s.String(), ";")
	if m.o.Augment.Has(graph.AttributeMask) {
		text += "; " + masked
	}
	return text, nil
}

// describeFirstLayer says what the number of edges does not: how many are added, and how many nodes a sub-graph reaches.
func (m *sgl) describeFirstLayer(s *strings.Builder, row func(u int) []int32) {
	added, nodes, items := 0, 0, make([]bool, m.items)
	for u := range m.users {
		if len(row(u)) > 0 {
			nodes++
		}
		for _, item := range row(u) {
			if _, base := slices.BinarySearch(m.graph.Of(u), item); !base {
				added++
			}
			if i := int(item) - m.users; !items[i] {
				items[i] = true
				nodes++
			}
		}
	}
	if m.o.Augment.Has(graph.EdgeAdd) {
		fmt.Fprintf(s, ", %d added", added)
	}
	if m.o.Augment.Has(graph.Subgraph) {
		fmt.Fprintf(s, ", among %d nodes", nodes)
	}
}
