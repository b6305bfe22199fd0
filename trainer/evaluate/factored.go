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
	// groupBytes bounds what a worker's group holds of best items.
	groupBytes = 64 << 20
)

// groups are contiguous parts of n users, each of whole tiles but the last, that threads take one after another.
type groups struct{ n, tiles, count int }

func newGroups(n, depth, threads int) groups {
	tiles := (n + tileUsers - 1) / tileUsers
	most := max(1, min(groupUsers, groupBytes/(entryBytes*depth))/tileUsers) // tiles of a group
	count := (tiles + most - 1) / most
	count = (count + threads - 1) / threads * threads // none of the threads waits for another's last group
	return groups{n, tiles, min(count, tiles)}
}

func (g groups) at(i int) (first, last int) {
	return i * g.tiles / g.count * tileUsers, min((i+1)*g.tiles/g.count*tileUsers, g.n)
}

// users are the most in a group.
func (g groups) users() int { return (g.tiles + g.count - 1) / g.count * tileUsers }

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

// find leaves the best items of users in best. Those in the lists that masks appends to a slice are left out.
func (f *finder) find(users []int32, masks func(to [][]int32, user int32) [][]int32) error {
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
			return diverged(u, f.nan[i])
		}
	}
	return nil
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
	var failed atomic.Bool // groups before the one that has are under way, or done
	var wg sync.WaitGroup
	for range min(threads, parts.count) {
		wg.Go(func() {
			f := s.newFinder(parts.users(), r.report.Depth, ties)
			for {
				g := int(next.Add(1) - 1)
				if g >= parts.count || failed.Load() || ctx.Err() != nil {
					return
				}
				first, last := parts.at(g)
				if errs[g] = f.find(users[first:last], r.masksOf); errs[g] != nil {
					failed.Store(true)
					return
				}
				for row := first; row < last; row++ {
					f.best[row-first].write(r.report.Top[row*r.report.Depth:][:r.report.Depth])
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
