package evaluate

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"nearfar/kernels/cpu"
	"nearfar/trainer/dataset"
)

// What is recommended is what Rank finds at the top, ties and masks included, by scores or by tables, with any kernels and threads.
func TestRecommendAgreesWithRank(t *testing.T) {
	const users, items, d = 300, 50, 3
	f := &factors{users: smallIntegers(users, d), items: smallIntegers(items, d)}
	s := &table{users: users, items: items, scores: make([]float32, users*items)}
	var ask []int32
	for u := range int32(users) {
		ask = append(ask, u)
	}
	if err := f.Score(context.Background(), ask, s.scores); err != nil {
		t.Fatal(err)
	}
	every := make([][]int32, users)
	for u := range every {
		every[u] = []int32{int32(u % items)}
	}
	seen := random(t, users, items, "seen", func(u int) float64 { return float64(u%10) / 9 }) // some have all items
	seenBy := func(u int32) [][]int32 { return [][]int32{seen.Of(int(u))} }
	for i, n := range []int{1, 7, items, items + 3} {
		seed := uint64(i % 2)
		want := rank(t, s, Protocol{Targets: lists(t, items, every...), Mask: []*dataset.Interactions{seen}, K: []int{n}, Seed: seed})
		check := func(name string, by Scorer, threads int) {
			next := 0
			request := Request{Users: ask, Seen: seenBy, N: n, Seed: seed, Threads: threads}
			err := Recommend(context.Background(), by, request, func(u int32, got []int32, scores []float32) error {
				if int(u) != next {
					t.Fatalf("%s: user %d comes after %d", name, u, next-1)
				}
				top := want.Top[next*want.Depth : (next+1)*want.Depth]
				if i := slices.Index(top, -1); i >= 0 {
					top = top[:i]
				}
				if !slices.Equal(got, top) {
					t.Errorf("%s: user %d is recommended %v, Rank has %v", name, u, got, top)
				}
				for i, item := range got {
					if scores[i] != s.scores[next*items+int(item)] {
						t.Errorf("%s: item %d of user %d has the score %g", name, item, u, scores[i])
					}
				}
				next++
				return nil
			})
			if err != nil || next != users {
				t.Errorf("%s: %d users of %d (%v)", name, next, users, err)
			}
		}
		check("scores", s, 1)
		for _, set := range cpu.Sets() {
			f.kernels = &set
			scored := f.scored
			for _, threads := range []int{0, 1, 3} {
				check(fmt.Sprintf("%s, %d threads, best %d", set.Name(), threads, n), f, threads)
			}
			if f.scored != scored {
				t.Error("recommendations by tables called Score")
			}
		}
	}
}

// Groups cover the users once, in order, as many for each thread, and are no larger than there is memory for.
func TestGroups(t *testing.T) {
	for _, n := range []int{0, 1, 11, 12, 13, 95, 96, 97, 512, 31668} {
		for _, depth := range []int{1, 20, 10_000, 100_000, 1 << 30} {
			for _, threads := range []int{1, 2, 3, 64} {
				g, next := newGroups(n, depth, threads), 0
				name := fmt.Sprintf("%d users, best %d, %d threads", n, depth, threads)
				for i := range g.count {
					first, last := g.at(i)
					if first != next || last <= first || last-first > g.users() {
						t.Fatalf("%s: group %d is %d to %d after %d, memory for %d", name, i, first, last, next, g.users())
					}
					next = last
				}
				if next != n {
					t.Fatalf("%s: %d are in groups", name, next)
				}
				if g.count%threads != 0 && g.count != g.units {
					t.Errorf("%s: %d groups", name, g.count)
				}
				if g.users() > groupUsers || g.users() > 1 && threads*g.users()*depth*entryBytes > groupBytes {
					t.Errorf("%s: groups of %d", name, g.users())
				}
			}
		}
	}
}

// manyUsers is a scorer by tables of 600 users, of whom some have scores that are NaN.
func manyUsers(diverged ...int) (f *factors, all []int32) {
	set := cpu.Best()
	f = &factors{users: smallIntegers(600, 3), items: smallIntegers(50, 3), kernels: &set}
	for _, u := range diverged {
		f.users.Data[3*u] = float32(math.NaN())
	}
	for u := range int32(600) {
		all = append(all, u)
	}
	return f, all
}

// Users before the first whose scores are NaN get their items, whatever the number of threads.
func TestRecommendUpToNaN(t *testing.T) {
	f, all := manyUsers(300, 301, 590)
	for threads := range 5 {
		given := 0
		err := Recommend(t.Context(), f, Request{Users: all, N: 3, Threads: threads}, func(int32, []int32, []float32) error { given++; return nil })
		if err == nil || !strings.Contains(err.Error(), "user 300 ") || given != 300 {
			t.Errorf("%d threads: %d users before %v", threads, given, err)
		}
	}
}

// The error of a ranking is the first user's, whatever the number of threads.
func TestRankNamesTheFirstNaN(t *testing.T) {
	for range 20 {
		f, all := manyUsers(13, 100, 300, 590)
		one := make([][]int32, len(all))
		for u := range one {
			one[u] = []int32{0}
		}
		_, err := Rank(t.Context(), f, Protocol{Targets: lists(t, 50, one...), K: []int{3}, Threads: 4})
		if err == nil || !strings.Contains(err.Error(), "user 13 ") {
			t.Fatalf("the error is %v", err)
		}
	}
}

// A ranking ends between two groups where its context does.
func TestRankingsEndOnTheWay(t *testing.T) {
	f, all := manyUsers()
	for threads := range 4 {
		ctx, cancel := context.WithCancel(t.Context())
		given := 0
		err := Recommend(ctx, f, Request{Users: all, N: 3, Threads: threads}, func(int32, []int32, []float32) error { cancel(); given++; return nil })
		if !errors.Is(err, context.Canceled) || given == len(all) {
			t.Errorf("%d threads: %d users are given after the first, %v", threads, given, err)
		}
	}
	one := make([][]int32, len(all))
	for u := range one {
		one[u] = []int32{0}
	}
	ctx := &endsLater{Context: t.Context(), calls: 3}
	if _, err := Rank(ctx, f, Protocol{Targets: lists(t, 50, one...), K: []int{3}, Threads: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
	if asked := ctx.asked.Load(); asked > 6 { // of seven groups
		t.Errorf("the context is asked %d times", asked)
	}
}

// endsLater is a context that ends when it has been asked so many times.
type endsLater struct {
	context.Context
	calls int64
	asked atomic.Int64
}

func (c *endsLater) Err() error {
	if c.asked.Add(1) > c.calls {
		return context.Canceled
	}
	return nil
}

func TestRecommendEnds(t *testing.T) {
	nan := float32(math.NaN())
	set := cpu.Best()
	for name, s := range map[string]Scorer{
		"scores": &table{users: 2, items: 2, scores: []float32{1, 2, nan, 0}},
		"tables": &factors{
			users:   Table{Data: []float32{1, 0, nan, 1}, N: 2, D: 2},
			items:   Table{Data: []float32{1, 0, 2, 0}, N: 2, D: 2},
			kernels: &set,
		},
	} {
		t.Run(name, func(t *testing.T) { recommendEnds(t, s) })
	}
}

func recommendEnds(t *testing.T, s Scorer) {
	none := func(int32, []int32, []float32) error { return nil }
	if err := Recommend(context.Background(), s, Request{Users: []int32{0, 1}, N: 1}, none); err == nil || !strings.Contains(err.Error(), "user 1 and item 0 is NaN") {
		t.Errorf("a NaN gives %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Recommend(ctx, s, Request{Users: []int32{0}, N: 1}, none); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled context gives %v", err)
	}
	full := fmt.Errorf("disk full")
	if err := Recommend(context.Background(), s, Request{Users: []int32{0}, N: 9}, func(_ int32, items []int32, _ []float32) error {
		if !slices.Equal(items, []int32{1, 0}) {
			t.Errorf("9 of 2 items are %v", items)
		}
		return full
	}); !errors.Is(err, full) {
		t.Errorf("the error is %v, want the caller's", err)
	}
	if err := Recommend(context.Background(), s, Request{N: 1}, none); err != nil {
		t.Errorf("nobody to recommend to: %v", err)
	}
	for _, r := range []Request{{Users: []int32{0}}, {Users: []int32{0}, N: 1, Threads: -1}} {
		if err := Recommend(context.Background(), s, r, none); err == nil {
			t.Errorf("%+v: no error", r)
		}
	}
}
