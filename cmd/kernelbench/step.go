package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"nearfar/engine"
	"nearfar/engine/cpu"
	"nearfar/kernels"
	kernelset "nearfar/kernels/cpu"
	"nearfar/models"
	"nearfar/trainer/sample"
)

// simgcl is a whole training step: SimGCL with the options that SELFRec has for yelp2018.
type simgcl struct {
	*workload
	dimensions
	layers int
}

func (s *simgcl) size() string {
	return fmt.Sprintf("%s B=%d d=%d layers=%d", s.name, s.batch, s.dim, s.layers)
}

const (
	stepSeed   = 1
	stepRate   = 1e-3
	stepReg    = 1e-4
	stepLambda = .5
	stepTau    = .2
	stepEps    = .1
)

// A precision is of a step's numbers.
type precision struct {
	float kernels.DType
	half  bool // what propagates is binary16: -precision half
}

// program builds the step on a device, with noise of length eps.
func (s *simgcl) program(d engine.Device, of precision, eps float64) (*engine.Store, *engine.Program, error) {
	o := &models.SimGCLOptions{Eps: eps}
	o.EmbeddingOptions = models.EmbeddingOptions{Dim: s.dim, Batch: s.batch, Init: "xavier", Sampling: sample.Shuffle}
	o.BPROptions = models.BPROptions{Reduce: sample.Mean, Reg: stepReg, L2: models.Final,
		NegativeOptions: models.NegativeOptions{NumNegatives: 1, NegativeSampling: sample.UniformItems, HardNegatives: 1}}
	o.Layers, o.Readout = s.layers, models.MeanFrom1
	o.ContrastOptions = models.ContrastOptions{Lambda: stepLambda, Tau: stepTau, Negatives: models.InBatch, Unique: true, SSLReduce: sample.Mean}
	m, err := o.New(models.Data{Train: s.train, Seed: stepSeed})
	if err != nil {
		return nil, nil, err
	}
	rule, err := engine.NewOptimiser("adam", stepRate, 0, 0)
	if err != nil {
		return nil, nil, err
	}
	store := engine.NewStore(d, of.float, stepSeed)
	store.Half = of.half
	p, err := engine.Build(store, func(b *engine.Builder) engine.Step { return engine.Optimise(b, m.Train(b), rule) })
	if err != nil {
		return nil, nil, errors.Join(err, store.Close())
	}
	return store, p, nil
}

// losses of the first n steps, each with its parts.
func losses(ctx context.Context, p *engine.Program, n int) (all [][]float64, err error) {
	err = p.Run(ctx, 0, n, func(_ uint64, scalars []float64) { all = append(all, slices.Clone(scalars)) })
	return all, err
}

// reference is what the step gives in float64, in plain Go; with half, where that rounds what propagates to binary16.
func (s *simgcl) reference(ctx context.Context, half bool, eps float64, steps int) ([][]float64, error) {
	d := cpu.New(0, kernelset.Generic())
	defer d.Close()
	store, p, err := s.program(d, precision{kernels.Float64, half}, eps)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	defer p.Close()
	return losses(ctx, p, steps)
}

// agree compares losses. Adam's first steps have the length of the rate whatever the gradient, so that a gradient near 0 is as good as random: what is
// left of that after two steps is far below the tolerance.
func agree(have, want [][]float64) error {
	for t := range want {
		for i, v := range want[t] {
			if t >= len(have) || i >= len(have[t]) || !(math.Abs(have[t][i]-v) <= 1e-4*math.Abs(v)) {
				return fmt.Errorf("step %d: the losses are %v, in float64 %v", t, have[min(t, len(have)-1)], want[t])
			}
		}
	}
	return nil
}

// batches gives users, positives and negatives of the first n steps as nodes, [n B] each: those that the model draws.
func (s *simgcl) batches(n int) ([3]tensor, error) {
	var all [3]tensor
	batch := min(s.batch, s.train.Len())
	feed, err := sample.NewPairwise(s.train, batch, stepSeed, sample.Options{Nodes: true, Distinct: true, Candidates: 1})
	if err != nil {
		return all, err
	}
	ports := feed.Ports()
	slots := make([]engine.Slot, len(ports))
	for i, p := range ports {
		t := blank(p.Desc)
		slots[i] = engine.Slot{I32: t.I32, F32: t.F32}
	}
	for t := range n {
		if err := feed.Fill(uint64(t), slots); err != nil {
			return all, err
		}
		for k, name := range []string{"user", "pos", "neg"} {
			at := slices.IndexFunc(ports, func(p engine.Port) bool { return p.Name == name })
			all[k].I32 = append(all[k].I32, slots[at].I32...)
		}
	}
	for k := range all {
		all[k].Desc = kernels.Of(kernels.Int32, n, batch)
	}
	return all, nil
}

// stepsChecked are the first steps, whose losses are held to float64; the later ones see what the earlier ones made of the parameters.
const stepsChecked = 3

// step times the training step on all devices, and on the peers.
func (b *bencher) step(ctx context.Context, s *simgcl) (err error) {
	m := &match{kernel: stepName, size: s.size(), looked: fmt.Sprintf("losses of %d steps", stepsChecked)}
	defer func() { err = errors.Join(err, m.close()) }()
	var embedding tensor
	for _, half := range []bool{false, true} {
		devices := b.devices
		if half { // the processor's alone
			devices = slices.DeleteFunc(slices.Clone(devices), func(d device) bool { return !d.host })
		}
		if len(devices) == 0 {
			continue
		}
		want, err := s.reference(ctx, half, stepEps, stepsChecked)
		if err != nil {
			return err
		}
		for _, d := range devices {
			store, p, err := s.program(d.Device, precision{kernels.Float32, half}, stepEps)
			if err != nil {
				return err
			}
			m.closeLater(store.Close)
			m.closeLater(p.Close)
			if embedding.F32 == nil {
				if embedding.F32, embedding.Desc, err = store.Read32("embedding"); err != nil {
					return err
				}
			}
			have, err := losses(ctx, p, stepsChecked)
			if err != nil {
				return err
			}
			c := m.enter(d)
			c.half = half
			c.judge(agree(have, want))
			at := uint64(stepsChecked)
			c.run = func(ctx context.Context, times int) (timing, error) {
				from := at
				at += uint64(times)
				return clocked(func() error { return p.Run(ctx, from, times, nil) })
			}
		}
	}
	if b.dump != "" {
		if err := b.stepOfPeers(ctx, m, s, embedding); err != nil {
			return err
		}
	}
	return b.play(ctx, m)
}

// stepOfPeers compares without noise: random numbers are each program's own.
func (b *bencher) stepOfPeers(ctx context.Context, m *match, s *simgcl, embedding tensor) error {
	want, err := s.reference(ctx, false, 0, stepsChecked)
	if err != nil {
		return err
	}
	const batches = 20 // enough to go round
	drawn, err := s.batches(batches)
	if err != nil {
		return err
	}
	in := append(sparseOperands(s.workload, kernels.SpMM{Scaled: true}, embedding)[:5], drawn[:]...)
	about := spec{"op": "simgcl", "layers": s.layers, "lambda": stepLambda, "tau": stepTau, "eps": stepEps, "reg": stepReg, "lr": stepRate, "checked": stepsChecked}
	out := blank(kernels.Of(kernels.Float32, stepsChecked, len(want[0])))
	for i := range out.F32 {
		out.F32[i] = float32(want[i/len(want[0])][i%len(want[0])])
	}
	return b.meetPeers(m, about, in, []tensor{out}, func(got []tensor) error {
		var have [][]float64
		for t := range stepsChecked {
			var row []float64
			for i := range want[t] {
				row = append(row, float64(got[0].F32[t*len(want[t])+i]))
			}
			have = append(have, row)
		}
		return agree(have, want)
	})
}
