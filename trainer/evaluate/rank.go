package evaluate

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"nearfar/trainer/dataset"
	"nearfar/trainer/memory"
)

// A Scorer scores every item for a block of users: a higher score is a better item.
type Scorer interface {
	Users() int
	Items() int
	// Score writes out [len(users), Items]. It is not called concurrently; users and out are valid during the call only.
	Score(ctx context.Context, users []int32, out []float32) error
}

// A Protocol says what is measured, and how.
type Protocol struct {
	Targets *dataset.Interactions   // what should rank high: the test or validation split
	Mask    []*dataset.Interactions // what is left out of a user's ranking: usually train
	K       []int                   // cutoffs, such as 10, 20
	Seed    uint64                  // decides between items of equal score
	Block   int                     // users scored at once, Block x Items x 4 bytes; 0: at most 256 users and 8 MiB
	Threads int                     // that select; 0: as many as processors. The result does not depend on it, nor on Block

	// Train is the interactions that Popularity, Novelty and Diversity are counted in. Nil: accuracy alone is measured.
	Train *dataset.Interactions
	// Diversity says whether to measure it, which costs a pass over the training users of every recommended item.
	Diversity bool
	// Candidates is how many negatives, drawn uniformly by (Seed, user) from the items that are neither masked nor targets, a user's
	// targets are ranked among. 0 is the full ranking. Sampled metrics may order models differently from those that they estimate
	// (Krichene and Rendle, KDD 2020): they are for comparison with numbers that were measured in this way, and their names say so.
	Candidates int
}

// defaultBlock is large enough for a matrix product to run at speed.
func defaultBlock(items int) int { return max(1, min(256, 8<<20/4/items)) }

// maxThreads is how many of a processor's threads can be of use. Each has memory of its own, a number for every user or item.
const maxThreads = 4

// usefulThreads are those asked for, 0 as many as processors, as far as they are of use.
func usefulThreads(asked int) int {
	processors := runtime.GOMAXPROCS(0)
	if asked == 0 {
		return processors
	}
	return min(asked, maxThreads*processors)
}

// checkDepth refuses cutoffs whose rankings the system cannot hold.
func checkDepth(users, depth int) error {
	need := int64(users) * int64(depth) * 4 // Report.Top
	if available, lacks := memory.Lacks(need); lacks {
		return fmt.Errorf("evaluate: the best %d items of %d users take %.3g GiB, and the system has %.3g GiB available: lower the largest cutoff (-k)",
			depth, users, float64(need)/memory.GiB, float64(available)/memory.GiB)
	}
	return nil
}

// Rank ranks all items for every user with targets and reports the metrics of Names (see Metric), averaged over those users: the protocol
// of LightGCN and SELFRec. Ties are broken by a seeded hash of the item. Infinite scores rank first and last; a NaN is an error that
// names the user and the item. Rank stops between two blocks where the context ends, with its error.
func Rank(ctx context.Context, scorer Scorer, p Protocol) (*Report, error) {
	if err := p.check(scorer); err != nil {
		return nil, err
	}
	return rankBy(ctx, scorer, p, byKey(scorer.Items(), p.Seed))
}

// rankBy is Rank with what decides ties.
func rankBy(ctx context.Context, scorer Scorer, p Protocol, ties decider) (*Report, error) {
	var users []int32
	for u := range p.Targets.Users() {
		if len(p.Targets.Of(u)) > 0 {
			users = append(users, int32(u))
		}
	}
	if len(users) == 0 {
		return nil, fmt.Errorf("evaluate: no user has a target item: is the test split empty?")
	}
	block, threads := p.Block, usefulThreads(p.Threads)
	if block == 0 {
		block = defaultBlock(scorer.Items())
	}
	block = min(block, len(users))
	depth := min(slices.Max(p.K), scorer.Items())
	if err := checkDepth(len(users), depth); err != nil {
		return nil, err
	}
	r := &ranking{
		Protocol: p,
		report:   newReport(users, &p, depth),
		discount: discounts(depth),
		items:    scorer.Items(),
	}
	if err := r.all(ctx, scorer, ties, block, threads); err != nil {
		return nil, err
	}
	if p.Train != nil && p.Candidates == 0 {
		if err := r.report.beyond(ctx, p.Train, p.Diversity, threads); err != nil {
			return nil, err
		}
	}
	r.report.average()
	return r.report, nil
}

// all ranks every user of the report: by the tables of a Factored scorer, or block by block of scores.
func (r *ranking) all(ctx context.Context, scorer Scorer, ties decider, block, threads int) error {
	if r.Candidates == 0 {
		s, err := searchOf(scorer)
		if err != nil {
			return err
		}
		if s != nil {
			defer s.items.Release()
			return r.factored(ctx, s, ties, threads)
		}
	}
	for range min(threads, block) {
		w := &worker{ranking: r, best: newSelector(r.report.Depth, ties)}
		if r.Candidates > 0 {
			w.sample = newSampler(r.items, r.Candidates, r.Seed)
		}
		r.workers = append(r.workers, w)
	}
	users := r.report.Users
	scores := make([]float32, block*r.items)
	for first := 0; first < len(users); first += block {
		if err := ctx.Err(); err != nil {
			return err
		}
		last := min(first+block, len(users))
		s := scores[:(last-first)*r.items]
		if err := scorer.Score(ctx, users[first:last], s); err != nil {
			return fmt.Errorf("evaluate: scoring users %d to %d: %w", users[first], users[last-1], err)
		}
		if err := r.rows(first, last, s); err != nil {
			return err
		}
	}
	return nil
}

func (p *Protocol) check(s Scorer) error {
	switch {
	case p.Targets == nil:
		return fmt.Errorf("evaluate: no targets")
	case p.Targets.Users() != s.Users() || p.Targets.Items != s.Items():
		return fmt.Errorf("evaluate: targets are %d users x %d items, the model scores %d x %d", p.Targets.Users(), p.Targets.Items, s.Users(), s.Items())
	case len(p.K) == 0:
		return fmt.Errorf("evaluate: no cutoff K")
	case p.Block < 0 || p.Threads < 0 || p.Candidates < 0:
		return fmt.Errorf("evaluate: block %d, threads %d and candidates %d must not be negative", p.Block, p.Threads, p.Candidates)
	case p.Train != nil && (p.Train.Users() != s.Users() || p.Train.Items != s.Items()):
		return fmt.Errorf("evaluate: train is %d users x %d items, the model scores %d x %d", p.Train.Users(), p.Train.Items, s.Users(), s.Items())
	}
	for i, k := range p.K {
		if k < 1 || slices.Contains(p.K[:i], k) {
			return fmt.Errorf("evaluate: cutoffs %v: want positive numbers, none twice", p.K)
		}
	}
	for _, m := range p.Mask {
		if m.Users() != s.Users() || m.Items != s.Items() {
			return fmt.Errorf("evaluate: a mask is %d users x %d items, the model scores %d x %d", m.Users(), m.Items, s.Users(), s.Items())
		}
	}
	return nil
}

// A ranking is one run of Rank: what the workers read, and the report, in which each writes its own rows.
type ranking struct {
	Protocol
	report   *Report
	discount []float64
	items    int
	workers  []*worker
}

type worker struct {
	*ranking
	best   *selector
	masks  [][]int32 // of the user at hand
	sample *sampler  // nil: the full ranking
}

// rows ranks the users first..last-1 of the report, whose scores are s [last-first, items]. Each worker has a contiguous part, so
// that the first failing worker has the first failing user.
func (r *ranking) rows(first, last int, s []float32) error {
	errs := make([]error, len(r.workers))
	var wg sync.WaitGroup
	for i, w := range r.workers {
		lo, hi := i*(last-first)/len(r.workers), (i+1)*(last-first)/len(r.workers)
		wg.Go(func() {
			for row := lo; row < hi && errs[i] == nil; row++ {
				errs[i] = w.row(first+row, s[row*r.items:(row+1)*r.items])
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *worker) row(row int, scores []float32) error {
	u := w.report.Users[row]
	w.masks = w.masksOf(w.masks[:0], u)
	targets, nan := w.Targets.Of(int(u)), int32(-1)
	if w.sample == nil {
		nan = w.best.top(scores, w.masks)
	} else {
		nan = w.best.topAmong(w.sample.candidates(u, targets, w.masks), scores)
	}
	if nan >= 0 {
		return diverged(u, nan)
	}
	w.best.sort()
	w.best.write(w.report.Top[row*w.report.Depth:][:w.report.Depth])
	w.report.score(row, targets, w.discount)
	return nil
}
