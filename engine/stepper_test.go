package engine_test

import (
	"context"
	"errors"
	"testing"

	"nearfar/engine"
	"nearfar/engine/paranoid"
	"nearfar/kernels"
)

// hopping is a device with a Stager and a Stepper: it counts steps, and spoils host memory that was given back.
type hopping struct {
	engine.Device
	t             *testing.T
	lent          map[*byte]bool
	steps, stages int
	full          int // the staging that fails, counted from 1
}

func (d *hopping) Staging(bytes int64, what string) ([]byte, func() error, error) {
	if d.stages++; d.stages == d.full {
		return nil, nil, errFull
	}
	b := make([]byte, bytes+8)[:bytes] // Go aligns it
	d.lent[&b[0]] = true
	return b, func() error {
		if !d.lent[&b[0]] {
			d.t.Errorf("%s: freed twice", what)
		}
		delete(d.lent, &b[0])
		for i := range b {
			b[i] = 0xff
		}
		return nil
	}, nil
}

func (d *hopping) Load(p *engine.Plan, b engine.Binding) (engine.Exec, error) {
	e, err := d.Device.Load(p, b)
	if err != nil {
		return nil, err
	}
	return &hop{e, b, d}, nil
}

type hop struct {
	engine.Exec
	binding engine.Binding
	device  *hopping
}

func (h *hop) Run(context.Context) error { return errors.New("a Stepper is run step by step") }

func (h *hop) Step(ctx context.Context, in []engine.Piece, report engine.Piece) error {
	h.device.steps++
	for _, p := range in {
		if err := h.binding.Inputs.Write(p.At, p.Bytes); err != nil {
			return err
		}
	}
	if err := h.Exec.Run(ctx); err != nil {
		return err
	}
	if len(report.Bytes) > 0 && !h.device.lent[&report.Bytes[0]] {
		h.device.t.Error("the report does not go to staging memory")
	}
	return h.binding.Outputs.Read(report.Bytes, report.At)
}

// A device that takes a step at once computes the same, in host memory of its own, which comes back.
func TestStepper(t *testing.T) {
	models := map[string]model{"feeds": feedModel(&clock{}, &epochs{name: "slow", period: 3})}
	for name, m := range gallery {
		models[name] = m
	}
	for name, m := range models {
		t.Run(name, func(t *testing.T) {
			d := &hopping{Device: paranoid.New(1), t: t, lent: map[*byte]bool{}}
			t.Cleanup(func() {
				if len(d.lent) > 0 {
					t.Errorf("%d blocks of staging memory are not given back", len(d.lent))
				}
			})
			got := start(t, d, kernels.Float32, m).steps(0, 3).steps(3, 2)
			agree(t, "at once", got, start(t, paranoid.New(1), kernels.Float32, m).steps(0, 5), 0)
			if d.steps != 5 {
				t.Errorf("%d calls of Step, want 5", d.steps)
			}
		})
	}
}

func TestStagingFails(t *testing.T) {
	for n := 1; n <= 3; n++ {
		d := &hopping{Device: paranoid.New(1), t: t, lent: map[*byte]bool{}, full: n}
		s := engine.NewStore(d, kernels.Float32, 1)
		if _, err := engine.Build(s, feedModel(&clock{})); !errors.Is(err, errFull) {
			t.Errorf("staging %d: the error is %v, want the device's", n, err)
		}
		if err := errors.Join(s.Close(), d.Close()); err != nil || len(d.lent) > 0 {
			t.Errorf("staging %d: %v, %d blocks are not given back", n, err, len(d.lent))
		}
	}
}

// Behind Close there is no memory to fill.
func TestRunOfAClosedProgram(t *testing.T) {
	s := engine.NewStore(paranoid.New(1), kernels.Float32, 1)
	p, err := engine.Build(s, feedModel(&clock{}))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	mustSay(t, p.Run(context.Background(), 0, 1, nil), "is closed")
	_, err = p.Profile(context.Background(), 0)
	mustSay(t, err, "is closed")
}
