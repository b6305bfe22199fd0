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

// groupUsers are ranked together by a worker: what is read of the items' table into a cache then serves all of them.
const groupUsers = 96

// factored ranks all users of the report by tables. A worker takes group after group; there may be more of them than share a block of scores.
func (r *ranking) factored(ctx context.Context, users, items Table, kernels cpu.Set, threads int) error {
	panels := kernels.Pack(items.Data, items.N, items.D)
	size := min(groupUsers, (len(r.report.Users)+threads-1)/threads)
	groups := (len(r.report.Users) + size - 1) / size
	for len(r.workers) < min(threads, groups) {
		r.workers = append(r.workers, &worker{ranking: r, sel: newSelector(r.report.Depth, r.workers[0].sel.ties), masks: make([][]int32, len(r.Mask))})
	}
	errs := make([]error, groups)
	var next atomic.Int64
	var failed atomic.Bool // groups before the one that has are under way, or done
	var wg sync.WaitGroup
	for _, w := range r.workers {
		wg.Go(func() {
			group := newGroup(w, users.D)
			for {
				g := int(next.Add(1) - 1)
				if g >= groups || failed.Load() || ctx.Err() != nil {
					return
				}
				first := g * size
				if errs[g] = group.rank(first, min(first+size, len(r.report.Users)), users, panels); errs[g] != nil {
					failed.Store(true)
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

// A group is a worker's memory for groupUsers users.
type group struct {
	*worker
	vectors []float32
	best    []*selector
	masks   [][][]int32
	nan     []int32 // the first item whose score is NaN; -1
}

func newGroup(w *worker, d int) *group {
	g := &group{worker: w, vectors: make([]float32, groupUsers*d), nan: make([]int32, groupUsers)}
	for range groupUsers {
		g.best = append(g.best, newSelector(w.report.Depth, w.sel.ties))
		g.masks = append(g.masks, make([][]int32, len(w.Mask)))
	}
	return g
}

// rank ranks the users first..last-1 of the report.
func (g *group) rank(first, last int, users Table, panels *cpu.Panels) error {
	n := last - first
	for i := range n {
		u := int(g.report.Users[first+i])
		copy(g.vectors[i*users.D:], users.Data[u*users.D:][:users.D])
		for k, m := range g.Mask {
			g.masks[i][k] = m.Of(u)
		}
		g.best[i].reset()
		g.nan[i] = -1
	}
	panels.Search(g.vectors, n, func(i, item int, score float32) float32 {
		if g.nan[i] >= 0 {
			return float32(math.Inf(1)) // the rest is of no use
		}
		if score != score {
			g.nan[i] = int32(item)
		}
		return g.best[i].offer(int32(item), score, g.masks[i])
	})
	for i := range n {
		row := first + i
		if g.nan[i] >= 0 {
			return diverged(g.report.Users[row], g.nan[i])
		}
		g.best[i].write(g.report.Top[row*g.report.Depth:][:g.report.Depth])
		g.report.score(row, g.Targets.Of(int(g.report.Users[row])), g.discount)
	}
	return nil
}

func diverged(user, item int32) error {
	return fmt.Errorf("evaluate: the score of user %d and item %d is NaN: the model has diverged; lower the learning rate or the loss weights", user, item)
}
