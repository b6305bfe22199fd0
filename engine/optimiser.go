package engine

import (
	"fmt"
	"math"
	"slices"

	"nearfar/engine/op"
	"nearfar/kernels"
)

// Schedule gives the learning rate's factor at step t (0-based).
type Schedule func(t uint64) float64

func constantRate(uint64) float64 { return 1 }

// StepDecay multiplies by gamma every `every` steps; 0 is never.
func StepDecay(gamma float64, every uint64) Schedule {
	if every == 0 {
		return constantRate
	}
	return func(t uint64) float64 { return math.Pow(gamma, float64(t/every)) }
}

// CosineDecay falls from 1 to floor over total steps, a linear warm-up among them, and stays there.
func CosineDecay(warmup, total uint64, floor float64) Schedule {
	total = max(total, warmup)
	return func(t uint64) float64 {
		if t < warmup {
			return float64(t+1) / float64(warmup)
		}
		x := min(1, float64(t-warmup)/math.Max(1, float64(total-warmup)))
		return floor + (1-floor)*(1+math.Cos(math.Pi*x))/2
	}
}

// Optimiser is a rule by which parameters follow their gradients.
type Optimiser struct {
	// Kernel is kernels.Adam, SGD or Adagrad. Adam's Moments16 keeps half of what Adam keeps beside a parameter; each parameter has a stream of its own, by
	// which its moments are rounded. In a Store in float64, which is for derivatives that are checked, moments stay in float64.
	Kernel kernels.Kernel
	LR     float64
	Rate   Schedule // nil: constant
	Clip   float64  // largest global norm of the gradient; 0: none
	Name   string   // prefix of its states, for a second optimiser over the same parameters
	// EpsBefore has Adam add its epsilon before the bias correction, p -= lr·c1/sqrt(c2) · m/(sqrt(v) + eps), as TensorFlow does. Early in
	// training, and for rows whose gradient is near epsilon (distant nodes of a graph), its steps are smaller than PyTorch's.
	EpsBefore bool
}

// The optimisers with the defaults of torch.optim.

func Adam(lr float64) Optimiser {
	return Optimiser{Kernel: kernels.Adam{B1: .9, B2: .999, Eps: 1e-8}, LR: lr}
}
func AdamW(lr, decay float64) Optimiser {
	return Optimiser{Kernel: kernels.Adam{B1: .9, B2: .999, Eps: 1e-8, Decay: decay, Decoupled: true}, LR: lr}
}
func SGD(lr, momentum float64) Optimiser {
	return Optimiser{Kernel: kernels.SGD{Momentum: momentum}, LR: lr}
}
func Adagrad(lr float64) Optimiser {
	return Optimiser{Kernel: kernels.Adagrad{Eps: 1e-10}, LR: lr}
}

func isOptimiser(k kernels.Kernel) bool {
	switch k.(type) {
	case kernels.Adam, kernels.SGD, kernels.Adagrad, kernels.RowAdam, kernels.RowAdagrad:
		return true
	}
	return false
}

// states names the tensors that a rule keeps beside a parameter.
func (o Optimiser) states() []string {
	switch k := o.Kernel.(type) {
	case kernels.Adam:
		return []string{"m", "v"}
	case kernels.Adagrad:
		return []string{"s"}
	case kernels.SGD:
		return []string{"b"}[:k.States()]
	}
	panic(&op.Error{Err: fmt.Errorf("%s is not an optimiser", o.Kernel.Name())})
}

// StateBytes is what the rule keeps beside each parameter, in a Store in float32.
func (o Optimiser) StateBytes() int {
	t := kernels.Float32
	if a, ok := o.Kernel.(kernels.Adam); ok && a.Moments16 {
		t = kernels.BFloat16
	}
	return t.Size() * len(o.states())
}

// rates is the host's part of step t: the learning rate and Adam's bias corrections.
func (o Optimiser) rates(b *Builder) *op.Node {
	rate := o.Rate
	if rate == nil {
		rate = constantRate
	}
	name := "rates/" + o.prefix()
	if b.byName[name] != nil {
		b.fail(fmt.Errorf("two steps of %s in one program: give one of them another Optimiser.Name, which tells their rates and states apart", o.prefix()))
	}
	return b.Schedule(name, 3, func(t uint64, out []float64) {
		out[0], out[1], out[2] = o.LR*rate(t), 1, 1
		if a, ok := o.Kernel.(kernels.Adam); ok {
			out[1] = 1 / (1 - math.Pow(a.B1, float64(t+1)))
			out[2] = 1 / (1 - math.Pow(a.B2, float64(t+1)))
			if o.EpsBefore {
				out[0], out[2] = out[0]/math.Sqrt(out[2]), 1
			}
		}
	})
}

func (o Optimiser) prefix() string {
	if o.Name != "" {
		return o.Name
	}
	if a, ok := o.Kernel.(kernels.Adam); ok {
		a.Moments16 = false // what they are kept in is no other rule
		return a.Name()
	}
	return o.Kernel.Name()
}

// Minimise gives the updates that take one step of o down the gradient of cost: an ordinary function over Grad, clipping included. A step
// in which cost or gradient is not finite changes nothing.
func Minimise(b *Builder, cost *op.Node, params []*op.Node, o Optimiser) []Update {
	grads, err := op.Grad(cost, params...)
	if err != nil {
		b.fail(err)
	}
	return Apply(b, cost, params, grads, o)
}

// Apply is Minimise for gradients that the model computed.
func Apply(b *Builder, cost *op.Node, params, grads []*op.Node, o Optimiser) []Update {
	if len(params) == 0 || len(params) != len(grads) {
		b.fail(fmt.Errorf("a step of %s has %d parameters and %d gradients", o.prefix(), len(params), len(grads)))
	}
	squares := op.SumSquares(grads[0])
	for _, g := range grads[1:] {
		squares = op.Add(squares, op.SumSquares(g))
	}
	ok := op.Mul(op.AllFinite(cost), op.AllFinite(squares))
	b.guards = append(b.guards, ok)
	scale := b.Scalar(1)
	if o.Clip > 0 {
		scale = op.Min(scale, op.Div(b.Scalar(o.Clip), op.AddConst(op.Sqrt(squares), 1e-6)))
	}
	rates := o.rates(b)
	var updates []Update
	for i, p := range params {
		states := []*op.Node{p}
		name := p.Name() + "/" + o.prefix() + "."
		kernel, moments, in := o.Kernel, op.Desc(p), []*op.Node{grads[i]}
		if a, adam := o.Kernel.(kernels.Adam); adam && a.Moments16 {
			if a.Moments16 = b.Store.Float == kernels.Float32; a.Moments16 {
				a.Stream = b.stream(name + "rounding")
				moments, in = moments.As(kernels.BFloat16), append(in, b.clock())
			}
			kernel = a
		}
		for _, s := range o.states() {
			states = append(states, b.moment(name+s, moments))
		}
		in = slices.Concat(states, in, []*op.Node{rates, scale, ok})
		for k, next := range op.OptimiserStep(kernel, in...) {
			updates = append(updates, Update{states[k], next})
		}
	}
	return updates
}

// NewOptimiser is the rule called name: adam, adamw, adam-tf (Adam with EpsBefore), sgd or adagrad.
func NewOptimiser(name string, lr, decay, momentum float64) (Optimiser, error) {
	o := Optimiser{LR: lr}
	switch name {
	case "adam", "adamw", "adam-tf":
		o.EpsBefore = name == "adam-tf"
		o.Kernel = kernels.Adam{B1: .9, B2: .999, Eps: 1e-8, Decay: decay, Decoupled: name == "adamw"}
	case "sgd":
		o.Kernel = kernels.SGD{Momentum: momentum, Decay: decay}
	case "adagrad":
		o.Kernel = kernels.Adagrad{Eps: 1e-10, Decay: decay}
	default:
		return o, fmt.Errorf("optimiser %q is none of adam, adamw, adam-tf, sgd, adagrad", name)
	}
	return o, nil
}
