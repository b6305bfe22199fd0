package evaluate

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// A Request asks for the best items of some users.
type Request struct {
	Users []int32
	// Seen are a user's items to leave out, ascending lists, which stay as they are until Recommend returns. Several threads may call it at once. Nil: none
	// is left out.
	Seen    func(user int32) [][]int32
	N       int    // items for each user
	Seed    uint64 // decides between items of equal score, as in Rank
	Threads int    // of a search by tables (Factored); 0: as many as processors. The result does not depend on it
}

// Recommend calls yield for each user of the request in their order, with the best N items that are not among those seen, best first, and their
// scores; fewer where fewer are left. Both slices are valid during the call only. Users are ranked in groups that keep memory small; a NaN is an
// error that names the user and the item, and Recommend stops between two groups where the context ends, with its error.
func Recommend(ctx context.Context, s Scorer, r Request, yield func(user int32, items []int32, scores []float32) error) error {
	if r.N < 1 || r.Threads < 0 {
		return fmt.Errorf("evaluate: %d recommendations by %d threads: want at least one, and no negative number", r.N, r.Threads)
	}
	r.N = min(r.N, s.Items())
	ties := byKey(s.Items(), r.Seed)
	tables, err := searchOf(s)
	if err != nil {
		return err
	}
	if tables != nil {
		defer tables.items.Release()
		return tables.recommend(ctx, &r, ties, yield)
	}
	items, best := s.Items(), newSelector(r.N, ties)
	out := newBestItems(r.N)
	scores := make([]float32, min(defaultBlock(items), max(len(r.Users), 1))*items)
	for block := range slices.Chunk(r.Users, max(1, len(scores)/items)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.Score(ctx, block, scores[:len(block)*items]); err != nil {
			return err
		}
		for row, u := range block {
			if item := best.top(scores[row*items:(row+1)*items], r.seen(nil, u)); item >= 0 {
				return diverged(u, item)
			}
			best.sort()
			if err := out.yield(u, best, yield); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *Request) seen(to [][]int32, user int32) [][]int32 {
	if r.Seen == nil {
		return to
	}
	return append(to, r.Seen(user)...)
}

// recommend is Recommend by tables: each thread ranks a group of users, and what they have found is handed over in order.
func (s *search) recommend(ctx context.Context, r *Request, ties decider, yield func(int32, []int32, []float32) error) error {
	threads := usefulThreads(r.Threads)
	parts, out := newGroups(len(r.Users), r.N, threads), newBestItems(r.N)
	finders := make([]*finder, min(threads, parts.count))
	ranked, errs := make([]int, len(finders)), make([]error, len(finders))
	for done := 0; done < parts.count; done += len(finders) {
		if err := ctx.Err(); err != nil {
			return err
		}
		round := finders[:min(len(finders), parts.count-done)]
		var wg sync.WaitGroup
		for i := range round {
			wg.Go(func() {
				if round[i] == nil {
					round[i] = s.newFinder(parts.users(), r.N, ties)
				}
				first, last := parts.at(done + i)
				ranked[i], errs[i] = round[i].find(r.Users[first:last], r.seen)
			})
		}
		wg.Wait()
		for i, f := range round {
			first, _ := parts.at(done + i)
			for k := range ranked[i] {
				if err := out.yield(r.Users[first+k], f.best[k], yield); err != nil {
					return err
				}
			}
			if errs[i] != nil {
				return errs[i]
			}
		}
	}
	return nil
}

// bestItems are a user's recommendations.
type bestItems struct {
	items  []int32
	scores []float32
}

func newBestItems(n int) *bestItems { return &bestItems{make([]int32, 0, n), make([]float32, 0, n)} }

func (l *bestItems) yield(user int32, s *selector, yield func(int32, []int32, []float32) error) error {
	l.items, l.scores = l.items[:0], l.scores[:0]
	for _, e := range s.heap {
		l.items, l.scores = append(l.items, e.item), append(l.scores, e.score)
	}
	return yield(user, l.items, l.scores)
}
