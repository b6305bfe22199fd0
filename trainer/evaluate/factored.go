package evaluate

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"

	"nearfar/kernels/cpu"
)

// A Factored scorer's scores are inner products of two tables that may be in host memory. A full ranking then looks for the best items while it
// forms the scores, and stores none of them: a third of the time.
type Factored interface {
	Scorer
	// Factors are the tables of users and items, and the kernels to multiply them with; nil where they are not in host memory: Score is called.
	Factors() (users, items Table, kernels *cpu.Set, err error)
}

// searchOf packs the tables of a scorer for a search; nil where scores have to be asked for.
func searchOf(s Scorer) (*search, error) {
	f, ok := s.(Factored)
	if !ok {
		return nil, nil
	}
	users, items, kernels, err := f.Factors()
	if err != nil {
		return nil, fmt.Errorf("evaluate: reading the tables: %w", err)
	}
	if kernels == nil {
		return nil, nil
	}
	return &search{users, kernels.Pack(items.Data, items.N, items.D)}, nil
}

// A search finds the best items by tables.
type search struct {
	users Table
	items *cpu.Panels
}

const (
	// groupUsers are ranked together by a worker: what is read of the items' table into a cache then serves all of them.
	groupUsers = 96
	// tileUsers fill the tiles of products of every kernel set.
	tileUsers = 12
	// groupBytes bounds what the groups of all threads hold of best items, where it is not less than those of a user for each thread.
	groupBytes = 64 << 20
)

// groups are contiguous parts of n users that threads take one after another, each of whole units but the last.
type groups struct{ n, unit, units, count int }

func newGroups(n, depth, threads int) groups {
	most := min(groupUsers, max(1, groupBytes/threads/entryBytes/depth)) // users of a group
	g := groups{n: n, unit: min(most, tileUsers)}
	g.units = (n + g.unit - 1) / g.unit
	each := most / g.unit
	count := (g.units + each - 1) / each
	g.count = min(g.units, (count+threads-1)/threads*threads) // none of the threads waits for another's last group
	return g
}

func (g groups) at(i int) (first, last int) {
	return i * g.units / g.count * g.unit, min((i+1)*g.units/g.count*g.unit, g.n)
}

// users are the most in a group.
func (g groups) users() int {
	if g.count == 0 {
		return 0
	}
	return (g.units + g.count - 1) / g.count * g.unit
}

// A finder is a thread's memory for the users of a group.
type finder struct {
	*search
	vectors []float32
	best    []*selector // the result
	masks   [][][]int32
	nan     []int32 // the first item whose score is NaN; -1
}

func (s *search) newFinder(users, depth int, ties decider) *finder {
	f := &finder{search: s, vectors: make([]float32, users*s.users.D), masks: make([][][]int32, users), nan: make([]int32, users)}
	for range users {
		f.best = append(f.best, newSelector(depth, ties))
	}
	return f
}

// find leaves the best items of users in best, sorted. Those in the lists that masks appends to a slice are left out. Where the scores of a user have a NaN, it
// returns how many users before that have been ranked, and an error.
func (f *finder) find(users []int32, masks func(to [][]int32, user int32) [][]int32) (ranked int, err error) {
	for i, u := range users {
		copy(f.vectors[i*f.users.D:], f.users.Data[int(u)*f.users.D:][:f.users.D])
		f.masks[i] = masks(f.masks[i][:0], u)
		f.best[i].reset()
		f.nan[i] = -1
	}
	f.items.Search(f.vectors, len(users), func(i, item int, score float32) float32 {
		if f.nan[i] >= 0 {
			return float32(math.Inf(1)) // the rest is of no use
		}
		if score != score {
			f.nan[i] = int32(item)
		}
		return f.best[i].offer(int32(item), score, f.masks[i])
	})
	for i, u := range users {
		if f.nan[i] >= 0 {
			return i, diverged(u, f.nan[i])
		}
		f.best[i].sort()
	}
	return len(users), nil
}

func diverged(user, item int32) error {
	return fmt.Errorf("evaluate: the score of user %d and item %d is NaN: the model has diverged; lower the learning rate or the loss weights", user, item)
}

// factored ranks all users of the report by tables. A thread takes group after group; there may be more of them than share a block of scores.
func (r *ranking) factored(ctx context.Context, s *search, ties decider, threads int) error {
	users := r.report.Users
	parts := newGroups(len(users), r.report.Depth, threads)
	errs := make([]error, parts.count)
	var next atomic.Int64
	var failed atomic.Bool
	var wg sync.WaitGroup
	for range min(threads, parts.count) {
		wg.Go(func() {
			f := s.newFinder(parts.users(), r.report.Depth, ties)
			for !failed.Load() && ctx.Err() == nil { // a group that is taken is ranked: all those before one that failed have been
				g := int(next.Add(1) - 1)
				if g >= parts.count {
					return
				}
				first, last := parts.at(g)
				ranked, err := f.find(users[first:last], r.masksOf)
				if errs[g] = err; err != nil {
					failed.Store(true)
				}
				for i := range ranked {
					row := first + i
					f.best[i].write(r.report.Top[row*r.report.Depth:][:r.report.Depth])
					r.report.score(row, r.Targets.Of(int(users[row])), r.discount)
				}
			}
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, err := range errs { // the first user's
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *Protocol) masksOf(to [][]int32, user int32) [][]int32 {
	for _, m := range p.Mask {
		to = append(to, m.Of(int(user)))
	}
	return to
}
