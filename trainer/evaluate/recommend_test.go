package evaluate

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
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
	for _, n := range []int{1, 7, items, items + 3} {
		want := rank(t, s, Protocol{Targets: lists(t, items, every...), Mask: []*dataset.Interactions{seen}, K: []int{n}, Seed: 5})
		check := func(name string, by Scorer, threads int) {
			next := 0
			request := Request{Users: ask, Seen: seenBy, N: n, Seed: 5, Threads: threads}
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

// Groups cover the users once, in order, however many there are, and are no larger than a worker has memory for.
func TestGroups(t *testing.T) {
	for _, n := range []int{0, 1, 11, 12, 13, 95, 96, 97, 512, 31668} {
		for _, depth := range []int{1, 20, 100_000, 1 << 30} {
			for _, threads := range []int{1, 2, 3, 64} {
				g, next := newGroups(n, depth, threads), 0
				for i := range g.count {
					first, last := g.at(i)
					if first != next || last <= first || last-first > g.users() {
						t.Fatalf("%d users, best %d, %d threads: group %d is %d to %d after %d, memory for %d", n, depth, threads, i, first, last, next, g.users())
					}
					next = last
				}
				if next != n {
					t.Fatalf("%d users, best %d, %d threads: %d are in groups", n, depth, threads, next)
				}
				if n > 0 && g.users() > tileUsers && g.users()*depth*entryBytes > groupBytes {
					t.Errorf("%d users, best %d: a group of %d", n, depth, g.users())
				}
			}
		}
	}
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
	if err := Recommend(context.Background(), s, Request{Users: []int32{0}}, none); err == nil {
		t.Error("0 recommendations: no error")
	}
}
