package main

import (
	"cmp"
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
	"nearfar/trainer/evaluate"
	"nearfar/trainer/sample"
)

// Beside the kernels, what they are for is timed as a whole: the full ranking of some users, as the trainer does it, and a training step.

// rankedUsers are ranked at once in PyTorch; here in blocks, as the trainer does.
const rankedUsers = 512

const depth = 20

// ranking is the best 20 items of 512 users, their training items left out.
type ranking struct {
	*workload
	users, items tensor // [512 d], [items d]
}

func newRanking(w *workload, d int) *ranking {
	r := newDraws("ranking|" + w.name)
	return &ranking{w, r.normal(min(rankedUsers, w.train.Users()), d), r.normal(w.train.Items, d)}
}

func (r *ranking) size() string {
	return fmt.Sprintf("%s B=%d d=%d", r.name, r.users.Desc.Dim[0], r.users.Desc.Dim[1])
}

func (r *ranking) work() work {
	flops := 2 * int64(r.users.Desc.Elems()) * int64(r.items.Desc.Dim[0])
	bytes := r.users.Desc.Bytes() + r.items.Desc.Bytes()
	return work{flops: flops, bytes: bytes, reach: bytes}
}

// scorer multiplies a block of users with all items on a device.
type scorer struct {
	*ranking
	block int
	o     *operands
	exec  engine.Exec
}

func (r *ranking) open(d engine.Device) (s *scorer, err error) {
	const most = 8 << 20 // bytes of scores at once, as the trainer has it
	dim, items := r.items.Desc.Dim[1], r.items.Desc.Dim[0]
	s = &scorer{ranking: r, block: max(1, min(scoreRows, r.users.Desc.Dim[0], most/4/items))}
	turned := filled(func(i int) float32 { return r.items.F32[i%items*dim+i/items] }, dim, items)
	p := problem{name: "Ranking", k: kernels.MatMul{}}
	if s.o, err = place(d, p, []tensor{blank(kernels.Of(kernels.Float32, s.block, dim)), turned}); err != nil {
		return nil, err
	}
	if s.exec, err = s.o.load(d); err != nil {
		return nil, errors.Join(err, s.o.free())
	}
	return s, nil
}

func (s *scorer) Close() error { return errors.Join(s.exec.Close(), s.o.free()) }
func (s *scorer) Users() int   { return s.users.Desc.Dim[0] }
func (s *scorer) Items() int   { return s.items.Desc.Dim[0] }

// Score implements evaluate.Scorer. Users follow one another here.
func (s *scorer) Score(ctx context.Context, users []int32, out []float32) error {
	width := s.users.Desc.Dim[1]
	for len(users) > 0 {
		n := min(len(users), s.block)
		rows := tensor{Desc: kernels.Of(kernels.Float32, n, width), F32: s.users.F32[int(users[0])*width:][:n*width]}
		if err := s.o.memory["in0"].Write(0, bytesOf(rows)); err != nil {
			return err
		}
		if err := s.exec.Run(ctx); err != nil {
			return err
		}
		scores := tensor{Desc: kernels.Of(kernels.Float32, n, s.Items()), F32: out[:n*s.Items()]}
		if err := s.o.memory["out0"].Read(bytesOf(scores), 0); err != nil {
			return err
		}
		users, out = users[n:], out[n*s.Items():]
	}
	return nil
}

// rank gives the items [512 20], -1 behind where fewer are left.
func (s *scorer) rank(ctx context.Context) (tensor, error) {
	top := blank(kernels.Of(kernels.Int32, s.Users(), depth))
	for i := range top.I32 {
		top.I32[i] = -1
	}
	users := make([]int32, s.Users())
	for u := range users {
		users[u] = int32(u)
	}
	err := evaluate.Recommend(ctx, s, users, func(u int32) [][]int32 { return [][]int32{s.train.Of(int(u))} }, depth, 1,
		func(u int32, items []int32, _ []float32) error {
			copy(top.I32[int(u)*depth:], items)
			return nil
		})
	return top, err
}

// check holds lists to scores in float64: none of a user's own, none twice, each as good as the best that are left, but for rounding.
func (r *ranking) check(top tensor) error {
	if top.Desc.Dim != [kernels.MaxRank]int{r.users.Desc.Dim[0], depth} || top.I32 == nil {
		return fmt.Errorf("the lists are %v", top.Desc)
	}
	d := r.users.Desc.Dim[1]
	for _, u := range r.checked() {
		own, scores := r.train.Of(u), make([]float64, r.items.Desc.Dim[0])
		largest := 0.0
		for i := range scores {
			for k := range d {
				scores[i] += float64(r.users.F32[u*d+k]) * float64(r.items.F32[i*d+k])
			}
			largest = max(largest, math.Abs(scores[i]))
		}
		var left []float64
		for i, s := range scores {
			if _, mine := slices.BinarySearch(own, int32(i)); !mine {
				left = append(left, s)
			}
		}
		slices.SortFunc(left, func(a, b float64) int { return cmp.Compare(b, a) })
		seen := map[int32]bool{}
		for k, i := range top.I32[u*depth : u*depth+depth] {
			if k >= len(left) {
				break
			}
			if _, mine := slices.BinarySearch(own, i); i < 0 || int(i) >= len(scores) || mine || seen[i] {
				return fmt.Errorf("user %d has item %d in place %d: it is the user's own, there twice, or none", u, i, k+1)
			}
			seen[i] = true
			if off := math.Abs(scores[i] - left[k]); off > 1e-5*largest {
				return fmt.Errorf("user %d has item %d of score %g in place %d, where %g belongs", u, i, scores[i], k+1, left[k])
			}
		}
	}
	return nil
}

func (r *ranking) checked() []int { return some(r.users.Desc.Dim[0], .1) }

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

// program builds the step on a device, with noise of length eps.
func (s *simgcl) program(d engine.Device, float kernels.DType, eps float64) (*engine.Store, *engine.Program, error) {
	o := &models.SimGCLOptions{Eps: eps}
	o.EmbeddingOptions = models.EmbeddingOptions{Dim: s.dim, Batch: s.batch, Init: "xavier", Sampling: sample.Shuffle, Reduce: sample.Mean, Reg: stepReg, L2: models.Final,
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
	store := engine.NewStore(d, float, stepSeed)
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

// reference is what the step gives in float64, in plain Go.
func (s *simgcl) reference(ctx context.Context, eps float64, steps int) ([][]float64, error) {
	d := cpu.New(0, kernelset.Generic())
	defer d.Close()
	store, p, err := s.program(d, kernels.Float64, eps)
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

const (
	rankingName = "Ranking top 20"
	stepName    = "SimGCL step"
)

// whole times what is more than a kernel: on every device of the match, and on the peers.
func (b *bencher) whole(ctx context.Context, w *workload, n dimensions, seen map[string]bool) error {
	wanted := func(name, size string) bool {
		key := name + "|" + size
		if seen[key] || !b.run.MatchString(name) {
			return false
		}
		seen[key] = true
		return true
	}
	if r := newRanking(w, n.dim); wanted(rankingName, r.size()) {
		if err := b.rank(ctx, r); err != nil {
			return fmt.Errorf("%s, %s: %w", rankingName, r.size(), err)
		}
	}
	if s := (&simgcl{w, n, 3}); wanted(stepName, s.size()) {
		if err := b.step(ctx, s); err != nil {
			return fmt.Errorf("%s, %s: %w", stepName, s.size(), err)
		}
	}
	return nil
}

func (b *bencher) rank(ctx context.Context, r *ranking) (err error) {
	v := verification{rows: len(r.checked()), of: r.users.Desc.Dim[0]}
	m := &match{kernel: rankingName, size: r.size(), work: r.work(), looked: v.String()}
	defer func() { err = errors.Join(err, m.close()) }()
	var verified []tensor
	for _, d := range b.devices {
		s, err := r.open(d.Device)
		if err != nil {
			return err
		}
		m.closeLater(s.Close)
		top, err := s.rank(ctx)
		if err != nil {
			return err
		}
		c := m.enter(d)
		if c.judge(r.check(top)); c.verified {
			verified = []tensor{top}
		}
		c.run = hostClocked(func(ctx context.Context) error { _, err := s.rank(ctx); return err })
	}
	users := r.users.Desc.Dim[0]
	ptr := make([]int32, users+1)
	for u := range ptr {
		ptr[u] = int32(r.train.Ptr[u])
	}
	in := []tensor{r.users, r.items, indices(ptr), indices(r.train.Item[:ptr[users]])}
	check := func(out []tensor) error { return r.check(out[0]) }
	if err := b.meetPeers(m, spec{"op": "ranking", "k": depth}, in, verified, check); err != nil {
		return err
	}
	return b.play(ctx, m)
}

// hostClocked runs f by the host's clocks.
func hostClocked(f func(context.Context) error) func(context.Context, int) (timing, error) {
	return func(ctx context.Context, times int) (timing, error) {
		return clocked(func() error {
			for range times {
				if err := f(ctx); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// stepsChecked are the first steps, whose losses are held to float64; the later ones see what the earlier ones made of the parameters.
const stepsChecked = 3

func (b *bencher) step(ctx context.Context, s *simgcl) (err error) {
	m := &match{kernel: stepName, size: s.size(), looked: fmt.Sprintf("losses of %d steps", stepsChecked)}
	defer func() { err = errors.Join(err, m.close()) }()
	want, err := s.reference(ctx, stepEps, stepsChecked)
	if err != nil {
		return err
	}
	var embedding tensor
	for _, d := range b.devices {
		store, p, err := s.program(d.Device, kernels.Float32, stepEps)
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
		c.judge(agree(have, want))
		at := uint64(stepsChecked)
		c.run = func(ctx context.Context, times int) (timing, error) {
			from := at
			at += uint64(times)
			return clocked(func() error { return p.Run(ctx, from, times, nil) })
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
	want, err := s.reference(ctx, 0, stepsChecked)
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
