package evaluate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"nearfar/kernels/philox"
	"nearfar/trainer/dataset"
	"nearfar/trainer/memory"
)

// table is a Scorer that has its scores: [users, items].
type table struct {
	users, items int
	scores       []float32
	blocks       int             // calls so far
	stop         func(int) error // asked before each call
}

func (m *table) Users() int { return m.users }
func (m *table) Items() int { return m.items }
func (m *table) Score(_ context.Context, users []int32, out []float32) error {
	if m.stop != nil {
		if err := m.stop(m.blocks); err != nil {
			return err
		}
	}
	m.blocks++
	for r, u := range users {
		copy(out[r*m.items:(r+1)*m.items], m.scores[int(u)*m.items:])
	}
	return nil
}

// lists builds a set of interactions from each user's items.
func lists(t testing.TB, items int, users ...[]int32) *dataset.Interactions {
	t.Helper()
	var pairs []dataset.Pair
	for u, list := range users {
		for _, i := range list {
			pairs = append(pairs, dataset.Pair{User: int32(u), Item: i})
		}
	}
	x, _, err := dataset.FromPairs(len(users), items, pairs)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// random draws a set in which user u has each item with probability share(u).
func random(t testing.TB, users, items int, name string, share func(u int) float64) *dataset.Interactions {
	t.Helper()
	all := make([][]int32, users)
	stream := philox.New(9, name)
	for u := range all {
		words := stream.Sequence(0, uint32(u))
		for i := range int32(items) {
			if philox.Uniform(words.Word()) < share(u) {
				all[u] = append(all[u], i)
			}
		}
	}
	return lists(t, items, all...)
}

func rank(t testing.TB, s Scorer, p Protocol) *Report {
	t.Helper()
	r, err := Rank(context.Background(), s, p)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func expect(t *testing.T, r *Report, want map[string]float64) {
	t.Helper()
	for name, v := range want {
		if got, ok := r.Value(name); !ok || math.Abs(got-v) > 1e-12 {
			t.Errorf("%s = %.12f, want %.12f", name, got, v)
		}
	}
}

func TestMetricsByHand(t *testing.T) {
	s := &table{users: 4, items: 5, scores: []float32{
		.9, .8, .7, .6, .5, // ranking 1 2 3 4 without the masked 0; targets 2 and 4
		.1, .2, .3, .4, .5, // ranking 4 3 2 1 0; target 0
		.5, .4, .3, .2, .1, // no targets
		.5, .9, .8, .7, .6, // ranking 1 2 3 4 0; targets are all but 2
	}}
	r := rank(t, s, Protocol{
		Targets: lists(t, 5, []int32{2, 4}, []int32{0}, nil, []int32{0, 1, 3, 4}),
		Mask:    []*dataset.Interactions{lists(t, 5, []int32{0}, nil, []int32{1}, nil)},
		K:       []int{2, 4},
	})
	d := func(r float64) float64 { return 1 / math.Log2(r+2) }
	expect(t, r, map[string]float64{
		"Recall@2":    (0.5 + 0 + 0.25) / 3,
		"Recall@4":    (1 + 0 + 0.75) / 3,
		"Precision@2": (0.5 + 0 + 0.5) / 3,
		"Precision@4": (0.5 + 0 + 0.75) / 3,
		"HitRate@2":   2.0 / 3,
		"HitRate@4":   2.0 / 3,
		"MRR@2":       (1.0/2 + 0 + 1) / 3,
		"MRR@4":       (1.0/2 + 0 + 1) / 3,
		"MAP@2":       (1.0/2/2 + 0 + 1.0/2) / 3,
		"MAP@4":       ((1.0/2+2.0/4)/2 + 0 + (1+2.0/3+3.0/4)/4) / 3,
		"NDCG@2":      (d(1)/(d(0)+d(1)) + 0 + d(0)/(d(0)+d(1))) / 3,
		"NDCG@4":      ((d(1)+d(3))/(d(0)+d(1)) + 0 + (d(0)+d(2)+d(3))/(d(0)+d(1)+d(2)+d(3))) / 3,
	})
	if want := []int32{0, 1, 3}; !slices.Equal(r.Users, want) {
		t.Errorf("users %v, want %v", r.Users, want)
	}
	if want := []int32{1, 2, 3, 4, 4, 3, 2, 1, 1, 2, 3, 4}; !slices.Equal(r.Top, want) {
		t.Errorf("top %v, want %v", r.Top, want)
	}
	var names []string
	for _, m := range r.Metrics {
		names = append(names, m.Name)
	}
	if got, want := strings.Join(names, " "), "Recall@2 NDCG@2 Precision@2 HitRate@2 MRR@2 MAP@2 Recall@4 NDCG@4 Precision@4 HitRate@4 MRR@4 MAP@4"; got != want {
		t.Errorf("metrics %s, want %s", got, want)
	}
	if _, ok := r.Value("Recall@3"); ok {
		t.Error("a metric that was not asked for has a value")
	}
}

func TestFewerItemsThanK(t *testing.T) {
	s := &table{users: 2, items: 3, scores: []float32{3, 2, 1, 3, 2, 1}}
	r := rank(t, s, Protocol{
		Targets: lists(t, 3, []int32{1, 2}, []int32{0}),
		Mask:    []*dataset.Interactions{lists(t, 3, []int32{1}, []int32{0, 1, 2})}, // user 1: nothing is left
		K:       []int{10},
	})
	if want := []int32{0, 2, -1, -1, -1, -1}; !slices.Equal(r.Top, want) || r.Depth != 3 {
		t.Errorf("top %v of depth %d, want %v", r.Top, r.Depth, want)
	}
	expect(t, r, map[string]float64{"Recall@10": 0.25, "Precision@10": 0.05, "HitRate@10": 0.5})
}

// naive ranks one user by sorting everything.
func naive(s *table, p Protocol, ties []uint64, u int) []int32 {
	var items []int32
	for i := range int32(s.items) {
		if !slices.ContainsFunc(p.Mask, func(m *dataset.Interactions) bool { return m.Has(u, i) }) {
			items = append(items, i)
		}
	}
	slices.SortFunc(items, func(a, b int32) int {
		x, y := s.scores[u*s.items+int(a)], s.scores[u*s.items+int(b)]
		return cmp.Or(cmp.Compare(y, x), cmp.Compare(ties[a], ties[b]))
	})
	return items
}

func naiveMetrics(top []int32, targets []int32, k int) (recall, ndcg, precision, hit float64) {
	var hits, dcg, ideal float64
	for r := 0; r < k; r++ {
		if r < len(top) && slices.Contains(targets, top[r]) {
			hits++
			dcg += math.Ln2 / math.Log(float64(r+2))
		}
		if r < len(targets) {
			ideal += math.Ln2 / math.Log(float64(r+2))
		}
	}
	return hits / float64(len(targets)), dcg / ideal, hits / float64(k), math.Min(hits, 1)
}

func TestAgainstNaive(t *testing.T) {
	const users, items = 60, 150
	// By user: none, about one, about three, about forty targets; a fourth of the users have half of the catalogue masked, one all.
	targets := random(t, users, items, "targets", func(u int) float64 { return [...]float64{0, .007, .02, .27}[u%4] })
	train := random(t, users, items, "train", func(u int) float64 {
		if u == 3 {
			return 1
		}
		return [...]float64{0, .5, .05}[u%3]
	})
	valid := random(t, users, items, "valid", func(int) float64 { return .02 })
	for name, score := range map[string]func(x float64, i int) float64{
		"distinct":   func(x float64, i int) float64 { return x - .5 },
		"few levels": func(x float64, i int) float64 { return math.Floor(x * 4) },
		"collapsed":  func(x float64, i int) float64 { return 1 },
		"ascending":  func(x float64, i int) float64 { return float64(i) },
		"infinite":   func(x float64, i int) float64 { return math.Inf(int(math.Floor(x*3)) - 1) },
	} {
		s := &table{users: users, items: items}
		words := philox.New(3, name).Sequence(0, 0)
		for range users {
			for i := range items {
				s.scores = append(s.scores, float32(score(philox.Uniform(words.Word()), i)))
			}
		}
		for _, cutoffs := range [][]int{{1}, {5, 20}, {20, 5, 150, 1}} {
			for _, masks := range [][]*dataset.Interactions{nil, {train}, {train, valid}} {
				p := Protocol{Targets: targets, Mask: masks, K: cutoffs, Seed: 8, Block: 7, Threads: 2}
				r := rank(t, s, p)
				ties := tieKeys(items, p.Seed)
				if len(r.Users) != targets.ActiveUsers() {
					t.Fatalf("%d users, want %d", len(r.Users), targets.ActiveUsers())
				}
				for row, u := range r.Users {
					want := naive(s, p, ties, int(u))
					want = want[:min(len(want), r.Depth)]
					got := r.Top[row*r.Depth : (row+1)*r.Depth]
					if !slices.Equal(got[:len(want)], want) || slices.ContainsFunc(got[len(want):], func(i int32) bool { return i != -1 }) {
						t.Fatalf("%s, K %v, %d masks, user %d:\n got %v\nwant %v", name, cutoffs, len(masks), u, got, want)
					}
					for c, k := range cutoffs {
						a, b, d, h := naiveMetrics(want, targets.Of(int(u)), k)
						for m, v := range []float64{a, b, d, h} {
							if x := r.Metrics[accuracies*c+m]; math.Abs(x.PerUser[row]-v) > 1e-12 {
								t.Fatalf("%s, user %d: %s = %g, want %g", name, u, x.Name, x.PerUser[row], v)
							}
						}
					}
				}
				for _, m := range r.Metrics {
					sum := 0.0
					for _, v := range m.PerUser {
						sum += v
					}
					if m.Value != sum/float64(len(r.Users)) {
						t.Errorf("%s is not the mean of its users", m.Name)
					}
				}
				for _, threads := range []int{1, 3, 100} {
					for _, block := range []int{1, 60, 0} {
						p.Threads, p.Block = threads, block
						if !reflect.DeepEqual(rank(t, s, p), r) {
							t.Fatalf("%s: %d threads and blocks of %d differ", name, threads, block)
						}
					}
				}
			}
		}
	}
}

// A collapsed model must not be given the first items: over many seeds each item comes first about equally often.
func TestTiesFavourNoItem(t *testing.T) {
	const items, seeds = 10, 2000
	s := &table{users: 1, items: items, scores: make([]float32, items)}
	first := make([]int, items)
	for seed := range uint64(seeds) {
		first[rank(t, s, Protocol{Targets: lists(t, items, []int32{0}), K: []int{1}, Seed: seed}).Top[0]]++
	}
	chi := 0.0
	for _, n := range first {
		d := float64(n) - seeds/items
		chi += d * d / (seeds / items)
	}
	if chi > 27.9 { // 9 degrees of freedom, p = .001
		t.Errorf("chi-square %.1f: %v", chi, first)
	}
}

func TestNaNNamesUserAndItem(t *testing.T) {
	const users, items = 8, 40
	targets := random(t, users, items, "targets", func(u int) float64 { return .3 })
	for _, threads := range []int{1, 2, 5} {
		for _, item := range []int{0, 17, 39} {
			s := &table{users: users, items: items, scores: make([]float32, users*items)}
			for i := range s.scores {
				s.scores[i] = float32(-i % items)
			}
			nan := float32(math.NaN())
			s.scores[3*items+item], s.scores[7*items+2] = nan, nan
			mask := lists(t, items, nil, nil, nil, []int32{int32(item)}, nil, nil, nil, nil) // masked, and still an error
			_, err := Rank(context.Background(), s, Protocol{Targets: targets, Mask: []*dataset.Interactions{mask}, K: []int{5}, Threads: threads})
			if want := fmt.Sprintf("user 3 and item %d is NaN", item); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%d threads: error %v, want %q", threads, err, want)
			}
		}
	}
}

func TestCancelAndScorerError(t *testing.T) {
	targets := lists(t, 2, []int32{0}, []int32{0}, []int32{0})
	s := &table{users: 3, items: 2, scores: make([]float32, 6)}
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = func(block int) error {
		if block == 1 {
			cancel()
		}
		return nil
	}
	if _, err := Rank(ctx, s, Protocol{Targets: targets, K: []int{1}, Block: 1}); !errors.Is(err, context.Canceled) || s.blocks != 2 {
		t.Errorf("error %v after %d blocks, want a cancellation after 2", err, s.blocks)
	}
	broken := errors.New("device lost")
	s.stop = func(int) error { return broken }
	if _, err := Rank(context.Background(), s, Protocol{Targets: targets, K: []int{1}}); !errors.Is(err, broken) {
		t.Errorf("error %v, want %v", err, broken)
	}
}

func TestRankRefuses(t *testing.T) {
	s := &table{users: 2, items: 3, scores: make([]float32, 6)}
	ok := lists(t, 3, []int32{0}, nil)
	for name, p := range map[string]Protocol{
		"no targets":       {K: []int{1}},
		"empty targets":    {Targets: lists(t, 3, nil, nil), K: []int{1}},
		"other users":      {Targets: lists(t, 3, []int32{0}), K: []int{1}},
		"other items":      {Targets: lists(t, 4, []int32{0}, nil), K: []int{1}},
		"mask of others":   {Targets: ok, Mask: []*dataset.Interactions{lists(t, 3, nil)}, K: []int{1}},
		"no cutoff":        {Targets: ok},
		"cutoff 0":         {Targets: ok, K: []int{5, 0}},
		"cutoff twice":     {Targets: ok, K: []int{5, 5}},
		"negative block":   {Targets: ok, K: []int{1}, Block: -1},
		"negative threads": {Targets: ok, K: []int{1}, Threads: -1},
		"train of others":  {Targets: ok, K: []int{1}, Train: lists(t, 3, nil)},
		"no candidates":    {Targets: ok, K: []int{1}, Candidates: -1},
	} {
		if _, err := Rank(context.Background(), s, p); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	rank(t, s, Protocol{Targets: ok, K: []int{1}})
}

// BenchmarkTop selects 20 of 38,048 items for one user, 40 of them masked; ns/score is the number to watch.
func BenchmarkTop(b *testing.B) {
	const items, rows = 38_048, 64
	scores := make([]float32, rows*items)
	words := philox.New(1, "scores").Sequence(0, 0)
	for i := range scores {
		scores[i] = float32(philox.Uniform(words.Word()) + philox.Uniform(words.Word()))
	}
	var mask []int32
	for i := range int32(40) {
		mask = append(mask, i*900)
	}
	for _, c := range []struct {
		name  string
		score func(i int) float32
	}{
		{"random", func(i int) float32 { return scores[i] }},
		{"collapsed", func(int) float32 { return 1 }},
		{"ascending", func(i int) float32 { return float32(i % items) }},
	} {
		for i := range scores {
			scores[i] = c.score(i)
		}
		b.Run(c.name, func(b *testing.B) {
			s := newSelector(20, byKey(items, 1))
			row := 0
			for b.Loop() {
				if s.top(scores[row*items:(row+1)*items], [][]int32{mask}) >= 0 {
					b.Fatal("NaN")
				}
				row = (row + 1) % rows
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/items, "ns/score")
		})
	}
}

// TestThreadsTakeNoMemoryOfTheirOwn: a number of threads beyond all use costs no more than one for each processor, and gives the same.
func TestThreadsTakeNoMemoryOfTheirOwn(t *testing.T) {
	const users, items = 3000, 20
	targets := random(t, users, items, "targets", func(int) float64 { return .2 })
	s := &table{users: users, items: items, scores: make([]float32, users*items)}
	for k := range s.scores {
		s.scores[k] = float32(k * 7919 % 1000)
	}
	p := Protocol{Targets: targets, Train: random(t, users, items, "train", func(int) float64 { return .2 }), Diversity: true, K: []int{5}, Block: users}
	allocated := func(threads int) (bytes uint64, r *Report) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		p.Threads = threads
		r = rank(t, s, p)
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc, r
	}
	one, want := allocated(1)
	many, got := allocated(100_000)
	if !reflect.DeepEqual(got, want) {
		t.Error("the report depends on the number of threads")
	}
	each := uint64(8*users + 1<<13) // a diversifier's number for each user; what a selector takes
	if limit := one + maxThreads*uint64(runtime.GOMAXPROCS(0))*each; many > limit {
		t.Errorf("100,000 threads take %d bytes, one %d: want at most %d", many, one, limit)
	}
}

// TestRankRefusesCutoffsThatDoNotFit: a ranking of everything is users x items, and Rank says how to avoid it before it allocates.
func TestRankRefusesCutoffsThatDoNotFit(t *testing.T) {
	if memory.Available() == 0 {
		t.Skip("the system does not say how much memory it has")
	}
	const users, items = 1 << 20, 1 << 30
	own := make([]int32, users)
	ptr := make([]int64, users+1)
	for u := range ptr {
		ptr[u] = int64(u)
	}
	_, err := rankBy(t.Context(), &table{users: users, items: items}, Protocol{Targets: &dataset.Interactions{Ptr: ptr, Item: own, Items: items}, K: []int{items}}, nil)
	if err == nil || !strings.Contains(err.Error(), "the best 1073741824 items of 1048576 users take 4.19e+06 GiB") || !strings.Contains(err.Error(), "-k") {
		t.Errorf("error %v", err)
	}
}
