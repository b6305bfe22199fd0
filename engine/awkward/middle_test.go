package awkward

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"nearfar/engine"
	"nearfar/engine/cpu"
	"nearfar/engine/op"
	"nearfar/kernels"
	kernelset "nearfar/kernels/cpu"
	"nearfar/kernels/philox"
)

// A middle is one model's awkward part: a scalar loss over parameters, feeds and random streams.
type middle struct {
	name string
	loss func(m *model) *op.Node
	// want computes the loss again in plain Go from what the model showed; nil where that is not short.
	want func(v values) float64
}

// model builds a middle. It is a Builder that can freeze what the loss stops, and show what an independent computation needs.
type model struct {
	*engine.Builder
	shown  []engine.Named
	frozen values // nil: stop detaches and shows; else stop gives these values
	lists  map[string]op.Index
	epoch  engine.Feed
	poison bool
}

// values are the shown tensors of one step and the parameters before it.
type values map[string][]float64

// show makes a node readable by the name.
func (m *model) show(name string, x *op.Node) *op.Node {
	for _, n := range m.shown {
		if n.Name == name { // a second round over the same rows: the same values
			return x
		}
	}
	m.shown = append(m.shown, engine.Named{Name: name, Value: x})
	return x
}

// stop is the paper's stop-gradient. For differences it is the constant that x was at the point where they are taken.
func (m *model) stop(name string, x *op.Node) *op.Node {
	if m.frozen != nil {
		return m.Const("frozen/"+name, m.frozen[name], op.Desc(x).Shape()...)
	}
	m.show(name, x)
	return op.Detach(x)
}

// drawn are fixed normal numbers of a name, and data a constant of them.
func drawn(name string, n int) []float64 {
	s := philox.New(7, name)
	v := make([]float64, n)
	for i := range v {
		b := s.At(0, uint32(i), 0)
		v[i] = philox.Normal(b[0], b[1])
	}
	return v
}

func (m *model) data(name string, dims ...int) *op.Node {
	return m.Const(name, drawn(name, kernels.Of(kernels.Float64, dims...).Elems()), dims...)
}

// matrix is a parameter of normal numbers; vector starts at zero in models, here at something that has a slope.
func (m *model) matrix(name string, dims ...int) *op.Node {
	return m.Param(name, engine.Gaussian(.5), dims...)
}

// at is the step at which middles are looked at: not the first, so that feeds and clocks are not at zero.
const at = 3

// compiled is a middle as a program on one device.
type compiled struct {
	store   *engine.Store
	program *engine.Program
	params  []string
	outputs []string
}

func (c *compiled) close(t *testing.T) {
	t.Helper()
	if err := c.program.Close(); err != nil {
		t.Error(err)
	}
	if err := c.store.Close(); err != nil {
		t.Error(err)
	}
	if err := c.store.Device.Close(); err != nil {
		t.Error(err)
	}
}

// compile builds the loss, with its gradients unless it is frozen.
func compile(t *testing.T, mid middle, dev engine.Device, float kernels.DType, frozen values, options ...engine.PlanOption) *compiled {
	t.Helper()
	c := &compiled{store: engine.NewStore(dev, float, 11)}
	var err error
	c.program, err = engine.Build(c.store, func(b *engine.Builder) engine.Step {
		m := &model{Builder: b, frozen: frozen}
		loss := mid.loss(m)
		step := engine.Step{Outputs: append([]engine.Named{{Name: "loss", Value: loss}}, m.shown...)}
		for _, p := range b.Params() {
			c.params = append(c.params, p.Name())
		}
		if frozen == nil {
			grads, err := op.Grad(loss, b.Params()...)
			if err != nil {
				panic(&op.Error{Err: err})
			}
			for i, g := range grads {
				step.Outputs = append(step.Outputs, engine.Named{Name: "grad/" + c.params[i], Value: g})
			}
		}
		for _, o := range step.Outputs {
			c.outputs = append(c.outputs, o.Name)
		}
		return step
	}, options...)
	if err != nil {
		t.Fatalf("%s on %s: %v", mid.name, dev.Name(), err)
	}
	return c
}

// run is one step; it gives every output and every parameter.
func (c *compiled) run(t *testing.T) values {
	t.Helper()
	if err := c.program.Run(t.Context(), at, 1, nil); err != nil {
		t.Fatal(err)
	}
	v := values{}
	for _, name := range c.outputs {
		x, err := c.program.Output64(name)
		if err != nil {
			t.Fatal(err)
		}
		v[name] = x
	}
	for _, name := range c.params {
		x, _, err := c.store.Read64(name)
		if err != nil {
			t.Fatal(err)
		}
		v[name] = append([]float64(nil), x...)
	}
	return v
}

// loss is the loss alone with a parameter set to x.
func (c *compiled) lossAt(t *testing.T, name string, x []float64) float64 {
	t.Helper()
	if err := c.store.Write64(name, x); err != nil {
		t.Fatal(err)
	}
	if err := c.program.Run(t.Context(), at, 1, nil); err != nil {
		t.Fatal(err)
	}
	v, err := c.program.Output64("loss")
	if err != nil {
		t.Fatal(err)
	}
	return v[0]
}

// checkSlopes compares the gradients of a step with central differences of the frozen loss, at a few elements of each parameter.
func checkSlopes(t *testing.T, mid middle, got values) {
	t.Helper()
	const (
		h         = 1e-5
		tolerance = 2e-7
	)
	f := compile(t, mid, oracle(), kernels.Float64, got)
	defer f.close(t)
	elements := 16
	if len(f.program.Plan.Code) > 300 { // CML has fifteen parameters, and a step takes milliseconds
		elements = 5
	}
	for _, p := range f.params {
		grad, x := got["grad/"+p], append([]float64(nil), got[p]...)
		largest := 0.0
		for _, g := range grad {
			largest = max(largest, math.Abs(g))
		}
		if largest == 0 {
			t.Errorf("%s: the gradient of %s is zero everywhere", mid.name, p)
		}
		stride := max(1, len(x)/elements)
		for i := len(x) % stride; i < len(x); i += stride {
			was := x[i]
			x[i] = was + h
			up := f.lossAt(t, p, x)
			x[i] = was - h
			down := f.lossAt(t, p, x)
			x[i] = was
			if slope := (up - down) / (2 * h); !(math.Abs(slope-grad[i]) <= tolerance*(1+largest)) {
				t.Errorf("%s: d loss / d %s[%d] is %.12g, differences give %.12g", mid.name, p, i, grad[i], slope)
			}
		}
		f.lossAt(t, p, x)
	}
}

// checkEqual compares two runs of one middle.
func checkEqual(t *testing.T, what string, got, want values, tolerance float64) {
	t.Helper()
	for name, w := range want {
		g := got[name]
		largest := 0.0
		for _, x := range w {
			if !math.IsInf(x, 0) {
				largest = max(largest, math.Abs(x))
			}
		}
		for i := range w {
			if g[i] != w[i] && !(math.Abs(g[i]-w[i]) <= tolerance*(1e-3+largest)) {
				t.Errorf("%s: %s[%d] is %.12g, want %.12g", what, name, i, g[i], w[i])
				break
			}
		}
	}
}

var withoutRewrites = []engine.PlanOption{engine.WithoutFactoring, engine.WithoutFolding, engine.WithoutRowPruning, engine.WithoutZeroRows, engine.WithoutNoise, engine.WithoutMapFusion, engine.WithoutOnePass, engine.WithoutReuse, engine.WithoutInPlace}

func TestMiddles(t *testing.T) {
	for _, mid := range middles() {
		t.Run(mid.name, func(t *testing.T) {
			t.Parallel()
			plain := compile(t, mid, oracle(), kernels.Float64, nil, withoutRewrites...)
			defer plain.close(t)
			want := plain.run(t)
			if mid.want != nil {
				if w, g := mid.want(want), want["loss"][0]; !(math.Abs(w-g) <= 1e-11*(1+math.Abs(w))) {
					t.Errorf("the loss is %.15g, plain Go computes %.15g", g, w)
				}
			}
			checkSlopes(t, mid, want)
			for _, d := range devices() {
				double := compile(t, mid, d.open(), kernels.Float64, nil)
				checkEqual(t, d.name+" float64", double.run(t), want, 1e-9)
				double.close(t)
				single := compile(t, mid, d.open(), kernels.Float32, nil)
				checkEqual(t, d.name+" float32", single.run(t), want, 2e-3)
				single.close(t)
				checkTraining(t, mid, d)
			}
		})
	}
}

// The number of threads changes no bit, in either precision.
func TestThreadsChangeNoBit(t *testing.T) {
	for _, mid := range middles() {
		for _, float := range []kernels.DType{kernels.Float32, kernels.Float64} {
			var want values
			for _, threads := range []int{1, 2, 3, 7} {
				c := compile(t, mid, cpu.New(threads, kernelset.Best()), float, nil)
				got := c.run(t)
				c.close(t)
				if want == nil {
					want = got
				}
				for name, w := range want {
					if !slices.EqualFunc(got[name], w, func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }) {
						t.Errorf("%s %v: %s differs on %d threads", mid.name, float, name, threads)
					}
				}
			}
		}
	}
}

// buildTraining is the middle as a training program in float32.
func buildTraining(mid middle, d device, options ...engine.PlanOption) (*engine.Store, *engine.Program, error) {
	s := engine.NewStore(d.open(), kernels.Float32, 11)
	p, err := engine.Build(s, func(b *engine.Builder) engine.Step {
		loss := mid.loss(&model{Builder: b})
		o := engine.Adam(1e-3)
		o.Name = "training" // a middle may have an Adam of its own
		return engine.Optimise(b, engine.Objective{{Name: "cost", Weight: 1, Value: loss}}, o)
	}, options...)
	return s, p, err
}

// checkTraining takes a few steps of Adam.
func checkTraining(t *testing.T, mid middle, d device) {
	t.Helper()
	s, p, err := buildTraining(mid, d)
	if err != nil {
		t.Fatalf("%s: %v", d.name, err)
	}
	defer s.Device.Close()
	defer p.Close()
	steps := 0
	var trace []string
	err = p.Run(t.Context(), 0, 8, func(_ uint64, scalars []float64) {
		steps++
		trace = append(trace, fmt.Sprintf("%.6g", scalars[0]))
	})
	if err != nil || steps != 8 {
		t.Errorf("%s: %d steps, losses %s: %v", d.name, steps, strings.Join(trace, " "), err)
	}
	for _, e := range s.Entries() {
		if e.Kind != engine.State {
			continue
		}
		v, _, err := s.Read64(e.Name)
		if err != nil {
			t.Fatal(err)
		}
		for i, x := range v {
			if math.IsNaN(x) || math.IsInf(x, 0) {
				t.Errorf("%s: %s[%d] is %v after training", d.name, e.Name, i, x)
				break
			}
		}
	}
}

// asReal reads indices as real numbers, which is what an output can show.
func (m *model) asReal(ids *op.Node) *op.Node {
	return op.Add(ids, m.Const("zero", []float64{0}, 1))
}
