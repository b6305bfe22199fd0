//go:build gpu && linux && amd64 && cgo

package models

import (
	"math"
	"strings"
	"testing"

	"nearfar/engine"
	"nearfar/engine/cpu"
	"nearfar/engine/cuda"
	"nearfar/kernels"
	kernelset "nearfar/kernels/cpu"
	"nearfar/kernels/cuda/emu/control"
)

// onGPU is a GPU, or the emulated one that NEARFAR_CUDA_DRIVER names; a test is skipped where there is neither.
func onGPU(t *testing.T) platform {
	t.Helper()
	control.NeedGPU(t)
	return platform{"cuda float32", kernels.Float32, func() engine.Device {
		device, err := cuda.Open(cuda.Any)
		if err != nil {
			t.Fatal(err)
		}
		return device
	}}
}

func TestModelsAreThoseOfPyTorchOnGPU(t *testing.T)    { modelsAreThoseOfPyTorch(t, onGPU(t)) }
func TestOperatorsAreThoseOfPyTorchOnGPU(t *testing.T) { operatorsAreThoseOfPyTorch(t, onGPU(t)) }
func TestInfoNCEIsThatOfPyTorchOnGPU(t *testing.T)     { infoNCEIsThatOfPyTorch(t, onGPU(t)) }

func TestMultimodalModelsAreThoseOfPyTorchOnGPU(t *testing.T) {
	multimodalModelsAreThoseOfPyTorch(t, onGPU(t))
}

// onBoth are the models that a GPU is held to the processor with, and the options of the small graph that a whole training has; none where it has none.
var onBoth = []struct{ model, args, training string }{
	{"bprmf", "", "-dim=16"},
	{"lightgcn", "", "-dim=16 -layers=2"},
	{"sgl", "-augment=ed", "-dim=16 -layers=2 -lambda=0.02"},
	{"sgl", "-augment=nd", "-dim=16 -layers=2 -lambda=0.02"},
	{"sgl", "-augment=rw", "-dim=16 -layers=2 -lambda=0.02"},
	{"simgcl", "", "-dim=16 -layers=2 -lambda=0.02"},
	{"xsimgcl", "", "-dim=16 -layers=2 -lambda=0.02"},
	{"vbpr", "-reg=1", ""}, // all that the bias of its projection follows, since it is the same for a positive and a negative
	{"freedom", "", ""},
	{"bm3", "", "-dim=16 -reg=0.01 -dropout=0.3"},
	{"bm3", "-freeze-features -align-to=users", ""},
}

const rate = .005

// trained is a model's training step over a store.
func trained(t *testing.T, store *engine.Store, data Data, model, args string) *engine.Program {
	t.Helper()
	m := newModel(t, model, data, append([]string{"-batch=256"}, strings.Fields(args)...)...)
	return build(t, store, func(b *engine.Builder) engine.Step { return engine.Optimise(b, m.Train(b), engine.Adam(rate)) })
}

// Twenty steps, each begun with the same states on both: losses and moments of the GPU are as near to those of float64 as the processor's in float32
// are. The measure is twice the largest error that the processor has made so far, in the maximum norm relative to a tensor's largest element; its
// floor is 16 ulp, since the processor adds in float64 where a GPU does not. Adam makes a step of any size of a gradient that is nearly zero, so the
// parameters are held to the step that it makes of the GPU's own moments.
func TestGPUInLockstepWithTheProcessor(t *testing.T) {
	gpu := onGPU(t)
	train, _ := blocks(t, 140, 160, 8) // a graph of 300 nodes
	data := Data{Train: train, Seed: 1}
	for _, c := range onBoth {
		t.Run(strings.TrimSpace(c.model+" "+c.args), func(t *testing.T) {
			exact := platform{"", kernels.Float64, func() engine.Device { return cpu.New(0, kernelset.Best()) }}.on(t)
			processor, device := platforms()[1].on(t), gpu.on(t)
			inExact, onProcessor, onDevice := trained(t, exact, data, c.model, c.args), trained(t, processor, data, c.model, c.args), trained(t, device, data, c.model, c.args)
			if want, got := len(onProcessor.Plan.Code), len(onDevice.Plan.Code); got > 2*want {
				t.Errorf("%d instructions, the processor has %d: what is expanded?", got, want)
			}
			// A plan is on the GPU as a whole: each of its instructions has a time there.
			if times, err := onDevice.Profile(t.Context(), 0); err != nil || len(times) != len(onDevice.Plan.Code) {
				t.Fatalf("%d of %d instructions have a time: %v", len(times), len(onDevice.Plan.Code), err)
			}
			worst := map[string]float64{}
			for step := range uint64(20) {
				before := map[string][]float64{}
				for _, e := range processor.Entries() {
					if e.Kind != engine.State {
						continue
					}
					v, _, err := processor.Read64(e.Name)
					before[e.Name] = v
					if err == nil {
						err = exact.Write64(e.Name, v)
					}
					if err == nil {
						err = device.Write64(e.Name, v)
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				want, near, got := after(t, exact, inExact, step), after(t, processor, onProcessor, step), after(t, device, onDevice, step)
				for name, w := range want {
					worst[name] = max(worst[name], distance(near[name], w), 8*0x1p-23)
					if m, v := got[name+"/Adam.m"], got[name+"/Adam.v"]; m != nil {
						w = adamStep(before[name], m, v, step)
					}
					if d := distance(got[name], w); !(d <= 2*worst[name]) { // NaN neither
						t.Errorf("step %d: %s is off by %.3g of its largest element, the processor's float32 by %.3g", step, name, d, worst[name])
					}
				}
				if t.Failed() {
					return
				}
			}
		})
	}
}

// adamStep is a parameter behind the step that begins with count t, by the moments behind it.
func adamStep(p, m, v []float64, t uint64) []float64 {
	c1, c2 := 1/(1-math.Pow(.9, float64(t+1))), 1/(1-math.Pow(.999, float64(t+1)))
	next := make([]float64, len(p))
	for i := range p {
		next[i] = p[i] - rate*c1*m[i]/(math.Sqrt(v[i]*c2)+1e-8)
	}
	return next
}

// after runs a step and gives its scalars and every state behind it.
func after(t *testing.T, s *engine.Store, p *engine.Program, step uint64) map[string][]float64 {
	t.Helper()
	v := map[string][]float64{}
	err := p.Run(t.Context(), step, 1, func(_ uint64, scalars []float64) {
		for i, name := range p.Scalars {
			v["scalar "+name] = []float64{scalars[i]}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range s.Entries() {
		if e.Kind == engine.State {
			if v[e.Name], _, err = s.Read64(e.Name); err != nil {
				t.Fatal(err)
			}
		}
	}
	return v
}

// distance is the largest difference relative to the largest element of want.
func distance(got, want []float64) (d float64) {
	largest := 0.0
	for i, w := range want {
		d, largest = max(d, math.Abs(got[i]-w)), max(largest, math.Abs(w))
	}
	if d == 0 {
		return 0
	}
	return d / largest
}

// Two hundred steps without any help end in the same metrics.
func TestGPUTrainsAsTheProcessor(t *testing.T) {
	gpu := onGPU(t)
	train, test := blocks(t, 140, 160, 8)
	data := Data{Train: train, Seed: 1}
	for _, c := range onBoth {
		if c.training == "" {
			continue
		}
		t.Run(strings.TrimSpace(c.model+" "+c.args), func(t *testing.T) {
			args := c.args + " -batch=64 " + c.training
			of := func(p platform) (loss, metric float64) {
				store := p.on(t)
				steps := run(t, trained(t, store, data, c.model, args), 200)
				m := newModel(t, c.model, data, strings.Fields(args)...)
				return steps[len(steps)-1]["loss"], recall(t, store, m, train, test)
			}
			wantLoss, want := of(platforms()[3])
			loss, got := of(gpu)
			t.Logf("Recall@10 %.4f, on the processor %.4f; loss %.6f and %.6f", got, want, loss, wantLoss)
			if !(math.Abs(got-want) <= .01) || !(math.Abs(loss-wantLoss) <= .005*math.Abs(wantLoss)) {
				t.Errorf("after 200 steps Recall@10 is %.4f and the loss %.6f; on the processor %.4f and %.6f", got, loss, want, wantLoss)
			}
		})
	}
}
