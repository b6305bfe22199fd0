package evaluate

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"nearfar/trainer/dataset"
)

// What is recommended is what Rank finds at the top, ties and masks included, in blocks of any number of users.
func TestRecommendAgreesWithRank(t *testing.T) {
	const users, items, n = 300, 50, 7
	s := &table{users: users, items: items, scores: make([]float32, users*items)}
	for i := range s.scores {
		s.scores[i] = float32(i * 7919 % 5) // a few values: ties everywhere
	}
	every := make([][]int32, users)
	for u := range every {
		every[u] = []int32{int32(u % items)}
	}
	seen := random(t, users, items, "seen", func(u int) float64 { return float64(u%10) / 9 }) // some have all items
	want := rank(t, s, Protocol{Targets: lists(t, items, every...), Mask: []*dataset.Interactions{seen}, K: []int{n}, Seed: 5})
	var ask []int32
	for u := range int32(users) {
		ask = append(ask, u)
	}
	next := 0
	err := Recommend(context.Background(), s, ask, func(u int32) [][]int32 { return [][]int32{seen.Of(int(u))} }, n, 5,
		func(u int32, got []int32, scores []float32) error {
			if int(u) != next {
				t.Errorf("user %d comes after %d", u, next-1)
			}
			top := want.Top[next*want.Depth : (next+1)*want.Depth]
			if i := slices.Index(top, -1); i >= 0 {
				top = top[:i]
			}
			if !slices.Equal(got, top) {
				t.Errorf("user %d is recommended %v, Rank has %v", u, got, top)
			}
			for i, item := range got {
				if scores[i] != s.scores[next*items+int(item)] {
					t.Errorf("item %d of user %d has the score %g", item, u, scores[i])
				}
			}
			next++
			return nil
		})
	if err != nil || next != users {
		t.Errorf("%d users of %d (%v)", next, users, err)
	}
}

func TestRecommendEnds(t *testing.T) {
	s := &table{users: 2, items: 2, scores: []float32{1, 2, float32(math.NaN()), 0}}
	none := func(int32, []int32, []float32) error { return nil }
	if err := Recommend(context.Background(), s, []int32{0, 1}, nil, 1, 1, none); err == nil || !strings.Contains(err.Error(), "user 1 and item 0 is NaN") {
		t.Errorf("a NaN gives %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Recommend(ctx, s, []int32{0}, nil, 1, 1, none); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled context gives %v", err)
	}
	full := fmt.Errorf("disk full")
	if err := Recommend(context.Background(), s, []int32{0}, nil, 9, 1, func(_ int32, items []int32, _ []float32) error {
		if !slices.Equal(items, []int32{1, 0}) {
			t.Errorf("9 of 2 items are %v", items)
		}
		return full
	}); !errors.Is(err, full) {
		t.Errorf("the error is %v, want the caller's", err)
	}
	if err := Recommend(context.Background(), s, nil, nil, 1, 1, none); err != nil {
		t.Errorf("nobody to recommend to: %v", err)
	}
	if err := Recommend(context.Background(), s, []int32{0}, nil, 0, 1, none); err == nil {
		t.Error("0 recommendations: no error")
	}
}
