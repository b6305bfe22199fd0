//go:build gpu && linux && amd64 && cgo

package awkward

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"nearfar/engine"
	"nearfar/engine/cpu"
	"nearfar/engine/cuda"
	"nearfar/kernels"
	kernelset "nearfar/kernels/cpu"
	"nearfar/kernels/cuda/emu/control"
)

// onGPU is the CUDA device: float32 only, and one at a time, which is why these middles do not run beside those of devices. It skips the test
// where there is neither a GPU nor the emulated driver.
func onGPU(t *testing.T) device {
	t.Helper()
	control.NeedGPU(t)
	return device{"cuda", func() engine.Device {
		d, err := cuda.Open(cuda.Any)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}}
}

// missing are the families of a plan's kernels that a device does not offer.
func missing(p *engine.Plan, d engine.Device) []string {
	names := map[string]bool{}
	for _, i := range p.Code {
		if !d.Offers(i.K, p.Descs(i.Out), p.Descs(i.In)) {
			family, _, _ := strings.Cut(i.K.Name(), "(")
			names[family] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// The awkward middle of every model on the GPU: against the float64 references, in training, and in lockstep with the processor.
func TestMiddlesOnGPU(t *testing.T) {
	gpu := onGPU(t)
	for _, mid := range middles() {
		t.Run(mid.name, func(t *testing.T) {
			mustOffer(t, gpu, trainingPlan(t, mid, devices()[0]))
			plain := compile(t, mid, oracle(), kernels.Float64, nil, withoutRewrites...)
			defer plain.close(t)
			single := compile(t, mid, gpu.open(), kernels.Float32, nil)
			checkEqual(t, "cuda float32", single.run(t), plain.run(t), 2e-3)
			single.close(t)
			checkTraining(t, mid, gpu)
			// SGD, since Adam makes a step of any size of a gradient that is nearly zero.
			checkLockstep(t, gpu, func(b *engine.Builder) engine.Step {
				loss := mid.loss(&model{Builder: b})
				return engine.Optimise(b, engine.Objective{{Name: "cost", Weight: 1, Value: loss}}, engine.SGD(1e-2, 0))
			})
		})
	}
}

// Recursions over states, and the whole skeleton, in lockstep; and a step that is not finite.
func TestStatesOnGPU(t *testing.T) {
	gpu := onGPU(t)
	for _, r := range recursions() {
		t.Run(r.name, func(t *testing.T) {
			mustOffer(t, gpu, recursionPlan(t, r))
			checkLockstep(t, gpu, func(b *engine.Builder) engine.Step { return engine.Step{Updates: r.build(&model{Builder: b})} })
		})
	}
	for _, how := range []rounds{first, bilevel} {
		t.Run("skeleton, "+string(how), func(t *testing.T) {
			_, p := openSkeleton(t, oracle(), kernels.Float32, how)
			mustOffer(t, gpu, p.Plan)
			checkLockstep(t, gpu, skeleton(how, false))
			checkPoisonedStep(t, how, gpu)
		})
	}
}

// Training is n steps, a snapshot, another device, and m steps: bit for bit.
func TestResumeOnGPU(t *testing.T) {
	gpu := onGPU(t)
	mid := middles()[0]
	mustOffer(t, gpu, trainingPlan(t, mid, devices()[0]))
	train := func(from uint64, n int, states []engine.Saved) []engine.Saved {
		s, p, err := buildTraining(mid, gpu)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Device.Close()
		if states != nil {
			if err := s.Restore(states, nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Run(t.Context(), from, n, nil); err != nil {
			t.Fatal(err)
		}
		states, _, err = s.Snapshot()
		if err := errors.Join(err, p.Close(), s.Close()); err != nil {
			t.Fatal(err)
		}
		return states
	}
	whole, resumed := train(0, 7, nil), train(3, 4, train(0, 3, nil))
	for i, w := range whole {
		if !bytes.Equal(w.Data, resumed[i].Data) {
			t.Errorf("%s differs after a resume", w.Name)
		}
	}
}

func mustOffer(t *testing.T, gpu device, p *engine.Plan) {
	t.Helper()
	d := gpu.open()
	defer d.Close()
	if names := missing(p, d); len(names) > 0 {
		t.Fatalf("%s has no kernel for %s", d.Name(), strings.Join(names, ", "))
	}
}

// checkLockstep gives the GPU the processor's states before each step and compares what the step makes of them: a sign, a largest element or a
// threshold that flips on a last bit does not grow into another run.
func checkLockstep(t *testing.T, gpu device, step func(b *engine.Builder) engine.Step) {
	t.Helper()
	build := func(d engine.Device) (*engine.Store, *engine.Program) {
		s := engine.NewStore(d, kernels.Float32, 11)
		p, err := engine.Build(s, step)
		if err != nil {
			t.Fatalf("%s: %v", d.Name(), err)
		}
		t.Cleanup(func() {
			if err := p.Close(); err != nil {
				t.Error(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
		return s, p
	}
	processor, onProcessor := build(cpu.New(1, kernelset.Best()))
	graphics, onGraphics := build(gpu.open())
	for at := range uint64(4) {
		states, _, err := processor.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		if err := graphics.Restore(states, nil); err != nil {
			t.Fatal(err)
		}
		want, got := values{}, values{}
		for _, side := range []struct {
			p *engine.Program
			s *engine.Store
			v values
		}{{onProcessor, processor, want}, {onGraphics, graphics, got}} {
			err := side.p.Run(t.Context(), at, 1, func(_ uint64, scalars []float64) { side.v["scalars"] = slices.Clone(scalars) })
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range side.s.Entries() {
				if e.Kind != engine.State {
					continue
				}
				x, _, err := side.s.Read64(e.Name)
				if err != nil {
					t.Fatal(err)
				}
				side.v[e.Name] = slices.Clone(x)
			}
		}
		checkEqual(t, "in lockstep with the processor", got, want, 2e-3)
	}
}
