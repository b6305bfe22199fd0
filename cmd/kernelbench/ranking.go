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
	"nearfar/trainer/evaluate"
)

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

func rankingSize(w *workload, d int) string {
	return fmt.Sprintf("%s B=%d d=%d", w.name, min(rankedUsers, w.train.Users()), d)
}

func (r *ranking) work() work {
	flops := 2 * int64(r.users.Desc.Elems()) * int64(r.items.Desc.Dim[0])
	bytes := r.users.Desc.Bytes() + r.items.Desc.Bytes()
	return work{flops: flops, bytes: bytes, reach: bytes}
}

// scorer multiplies users with all items on a device, as the trainer's does: on the processor while the best are looked for, elsewhere block by block.
type scorer struct {
	*ranking
	device
	block int
	o     *operands
	exec  engine.Exec
}

func (r *ranking) open(d device) (s *scorer, err error) {
	const most = 8 << 20 // bytes of scores at once, as the trainer has it
	dim, items := r.items.Desc.Dim[1], r.items.Desc.Dim[0]
	s = &scorer{ranking: r, device: d, block: max(1, min(scoreRows, r.users.Desc.Dim[0], most/4/items))}
	if d.host {
		return s, nil
	}
	turned := filled(func(i int) float32 { return r.items.F32[i%items*dim+i/items] }, dim, items)
	p := problem{name: "Ranking", k: kernels.MatMul{}}
	if s.o, err = place(d.Device, p, []tensor{blank(kernels.Of(kernels.Float32, s.block, dim)), turned}); err != nil {
		return nil, err
	}
	if s.exec, err = s.o.load(d.Device); err != nil {
		return nil, errors.Join(err, s.o.free())
	}
	return s, nil
}

func (s *scorer) Close() error {
	if s.host {
		return nil
	}
	return errors.Join(s.exec.Close(), s.o.free())
}

// Factors implements evaluate.Factored where the device is the processor.
func (s *scorer) Factors() (users, items evaluate.Table, kernels *kernelset.Set, err error) {
	if !s.host {
		return users, items, nil, nil
	}
	table := func(t tensor) evaluate.Table { return evaluate.Table{Data: t.F32, N: t.Desc.Dim[0], D: t.Desc.Dim[1]} }
	set := s.Device.(*cpu.Device).Kernels()
	return table(s.users), table(s.items), &set, nil
}

func (s *scorer) Users() int { return s.users.Desc.Dim[0] }
func (s *scorer) Items() int { return s.items.Desc.Dim[0] }

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
	seen := func(u int32) [][]int32 { return [][]int32{s.train.Of(int(u))} }
	r := evaluate.Request{Users: users, Seen: seen, N: depth, Seed: 1, Threads: s.threads}
	err := evaluate.Recommend(ctx, s, r, func(u int32, items []int32, _ []float32) error {
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

// rank times the ranking on all devices, and on the peers.
func (b *bencher) rank(ctx context.Context, r *ranking) (err error) {
	v := verification{rows: len(r.checked()), of: r.users.Desc.Dim[0]}
	m := &match{kernel: rankingName, size: rankingSize(r.workload, r.users.Desc.Dim[1]), work: r.work(), looked: v.String()}
	defer func() { err = errors.Join(err, m.close()) }()
	var verified []tensor
	for _, d := range b.devices {
		s, err := r.open(d)
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
