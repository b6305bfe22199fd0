package engine

import (
	"fmt"
	"slices"

	"nearfar/engine/op"
	"nearfar/kernels"
	"nearfar/kernels/philox"
)

// Builder makes one program's graph over a Store. Parameters, states and constants are idempotent by name: two programs that ask for
// the same parameter share it. A mistake in a model panics with *op.Error, which Build returns as an error.
type Builder struct {
	Store *Store
	Graph *op.Graph

	leaves  map[*op.Node]leaf
	byName  map[string]*op.Node
	feeds   []Feed
	params  []*op.Node
	streams map[string]bool
	guards  []*op.Node // each 1 where what its Minimise saw was finite
}

// leaf says where the value of one of the graph's inputs comes from.
type leaf struct {
	kind  BufKind // Input or Resident
	entry *Entry  // Resident
	feed  int     // Input: of Builder.feeds
	port  int
}

func newBuilder(s *Store) *Builder {
	return &Builder{Store: s, Graph: op.NewGraph(), leaves: map[*op.Node]leaf{}, byName: map[string]*op.Node{}, streams: map[string]bool{}}
}

func (b *Builder) fail(err error) { panic(&op.Error{Err: err}) }

// Float describes a real tensor in the program's precision.
func (b *Builder) Float(dims ...int) kernels.Desc { return kernels.Of(b.Store.Float, dims...) }

func (b *Builder) resident(name string, kind EntryKind, d kernels.Desc, fill func() []byte) *op.Node {
	e, err := b.Store.ensure(name, kind, d, fill)
	if err != nil {
		b.fail(err)
	}
	if n := b.byName[name]; n != nil {
		if b.leaves[n].kind != Resident {
			b.fail(fmt.Errorf("%q is the name of a feed's port already", name))
		}
		return n
	}
	n := op.Leaf(b.Graph, name, d)
	b.byName[name], b.leaves[n] = n, leaf{kind: Resident, entry: e}
	return n
}

func (b *Builder) real(name string, kind EntryKind, init Init, dims []int) *op.Node {
	d := b.Float(dims...)
	return b.resident(name, kind, d, func() []byte {
		v := make([]float64, d.Elems())
		init(philox.New(b.Store.Seed, "init/"+name), d, v)
		return narrow(v, d.Type)
	})
}

// Param is a trainable tensor.
func (b *Builder) Param(name string, init Init, dims ...int) *op.Node {
	return b.trained(b.real(name, State, init, dims))
}

// trained makes a state a parameter.
func (b *Builder) trained(n *op.Node) *op.Node {
	b.leaves[n].entry.Param = true
	if !slices.Contains(b.params, n) {
		b.params = append(b.params, n)
	}
	return n
}

// Params are the parameters that this program asked for, in order.
func (b *Builder) Params() []*op.Node { return b.params }

// State is a tensor that an Update changes: a queue, an average, an optimiser's moments.
func (b *Builder) State(name string, init Init, dims ...int) *op.Node {
	return b.real(name, State, init, dims)
}

// moment is a State of an optimiser beside a parameter, zeros at first.
func (b *Builder) moment(name string, d kernels.Desc) *op.Node {
	return b.resident(name, State, d, nil)
}

// Scratch is a State that is not saved: it can be computed again.
func (b *Builder) Scratch(name string, dims ...int) *op.Node {
	d := b.Float(dims...)
	return b.resident(name, Scratch, d, nil)
}

// Const is a real tensor of the data. Asked for again, it must hold the same data.
func (b *Builder) Const(name string, v []float64, dims ...int) *op.Node {
	if d := b.Float(dims...); len(v) != d.Elems() {
		b.fail(fmt.Errorf("the constant %s has %d numbers for %v", name, len(v), d))
	}
	return b.real(name, Const, Values(v), dims)
}

// Data is a Const in single precision: a table of features, which may be too large for a second copy in double.
func (b *Builder) Data(name string, v []float32, dims ...int) *op.Node {
	return b.single(name, Const, v, dims)
}

// ParamFrom is a trainable tensor that begins as given numbers.
func (b *Builder) ParamFrom(name string, v []float32, dims ...int) *op.Node {
	return b.trained(b.single(name, State, v, dims))
}

func (b *Builder) single(name string, kind EntryKind, v []float32, dims []int) *op.Node {
	d := b.Float(dims...)
	if len(v) != d.Elems() {
		b.fail(fmt.Errorf("%s has %d numbers for %v", name, len(v), d))
	}
	return b.resident(name, kind, d, func() []byte {
		if d.Type == kernels.Float64 {
			return bytesOf(convert[float32, float64](v))
		}
		return bytesOf(v)
	})
}

// Indices is an int32 vector of the data. Kernels do not check ids: the caller answers for their range (kernels.SpMM, kernels.Gather).
func (b *Builder) Indices(name string, v []int32) *op.Node {
	return b.resident(name, Const, kernels.Of(kernels.Int32, len(v)), func() []byte { return bytesOf(v) })
}

// Feed gives the nodes of a feed's ports, in their order. Asking again gives the same nodes. Feeds are told apart by identity, so they are
// pointers.
func (b *Builder) Feed(f Feed) []*op.Node {
	at := -1
	for i, g := range b.feeds {
		if g == f {
			at = i
		}
	}
	if at < 0 {
		at = len(b.feeds)
		b.feeds = append(b.feeds, f)
	}
	var nodes []*op.Node
	for i, p := range f.Ports() {
		n := b.byName[p.Name]
		if n == nil {
			d := p.Desc
			if d.Type.IsFloat() {
				d.Type = b.Store.Float
			}
			n = op.Leaf(b.Graph, p.Name, d)
			b.byName[p.Name], b.leaves[n] = n, leaf{kind: Input, feed: at, port: i}
		}
		if l := b.leaves[n]; l.kind != Input || l.feed != at || l.port != i {
			b.fail(fmt.Errorf("the feed's port %q has the name of something else", p.Name))
		}
		nodes = append(nodes, n)
	}
	return nodes
}

// Port is the node of one port of a feed, by name.
func (b *Builder) Port(f Feed, name string) *op.Node {
	for i, p := range f.Ports() {
		if p.Name == name {
			return b.Feed(f)[i]
		}
	}
	b.fail(fmt.Errorf("the feed has no port %q", name))
	return nil
}

// Index is a feed's port and its inverse: name, name/rows, name/seg, name/perm.
func (b *Builder) Index(f Feed, name string) op.Index {
	return op.Index{ID: b.Port(f, name), Rows: b.Port(f, name+"/rows"), Seg: b.Port(f, name+"/seg"), Perm: b.Port(f, name+"/perm")}
}

// clockFeed carries seed and step to the device.
type clockFeed struct{ seed uint64 }

func (c clockFeed) Ports() []Port { return []Port{{"clock", kernels.Of(kernels.Int32, 4)}} }
func (c clockFeed) Fill(t uint64, out []Slot) error {
	copy(out[0].I32, []int32{int32(uint32(c.seed)), int32(uint32(c.seed >> 32)), int32(uint32(t)), int32(uint32(t >> 32))})
	return nil
}

// Random draws a fresh tensor every step from a stream that the model names. One name, one stream: to draw it twice is an error.
func (b *Builder) Random(stream string, dist kernels.Distribution, p float64, dims ...int) *op.Node {
	return op.Random(b.clock(), kernels.Random{Distribution: dist, P: p, Stream: b.stream(stream), Shape: b.Float(dims...)})
}

// clock is the run's seed and the step, by which random numbers are drawn.
func (b *Builder) clock() *op.Node { return b.Feed(clockFeed{b.Store.Seed})[0] }

// stream takes a random stream, which must be free.
func (b *Builder) stream(name string) uint64 {
	if b.streams[name] {
		b.fail(fmt.Errorf("the random stream %q is drawn twice: give each use a name of its own", name))
	}
	b.streams[name] = true
	return philox.Name(name)
}

// Dropout zeroes a random share p of x and scales the rest by 1/(1-p).
func (b *Builder) Dropout(stream string, x *op.Node, p float64) *op.Node {
	if p == 0 {
		return x
	}
	if !(p > 0 && p < 1) {
		b.fail(fmt.Errorf("dropout %q drops a share of %g: want 0 <= p < 1", stream, p))
	}
	return op.Mul(x, op.Scale(b.Random(stream, kernels.Bernoulli, 1-p, op.Desc(x).Shape()...), 1/(1-p)))
}

// scheduleFeed carries numbers that the host computes in float64 for each step.
type scheduleFeed struct {
	name string
	n    int
	fill func(t uint64, out []float64)
	buf  []float64
}

func (s *scheduleFeed) Ports() []Port { return []Port{{s.name, kernels.Of(kernels.Float32, s.n)}} }
func (s *scheduleFeed) Fill(t uint64, out []Slot) error {
	s.fill(t, s.buf)
	for i, v := range s.buf {
		out[0].Set(i, v)
	}
	return nil
}

// Schedule is a vector of n numbers that fill computes on the host for each step: learning rates, annealed weights.
func (b *Builder) Schedule(name string, n int, fill func(t uint64, out []float64)) *op.Node {
	return b.Feed(&scheduleFeed{name: name, n: n, fill: fill, buf: make([]float64, n)})[0]
}

// Scalar is a constant of the program.
func (b *Builder) Scalar(v float64) *op.Node { return op.Fill(b.Graph, v, b.Float()) }
