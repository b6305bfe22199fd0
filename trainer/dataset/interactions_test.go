package dataset

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestTimedPairs: an interaction keeps its earliest time, wherever it stands and whatever the other columns are.
func TestTimedPairs(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	const users, items = 7, 11
	var pairs []Pair
	var times []float64
	earliest := map[Pair]float64{}
	for range 200 {
		p, at := Pair{random.Int32N(users), random.Int32N(items)}, random.Float64()
		pairs, times = append(pairs, p), append(times, at)
		if was, ok := earliest[p]; !ok || at < was {
			earliest[p] = at
		}
	}
	x, duplicates, err := FromTimedPairs(users, items, pairs, times)
	if err != nil {
		t.Fatal(err)
	}
	plain, plainDuplicates, err := FromPairs(users, items, pairs)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(x.Ptr, plain.Ptr) || !slices.Equal(x.Item, plain.Item) || duplicates != plainDuplicates || plain.Time != nil {
		t.Error("times change the set")
	}
	if x.Len() != len(earliest) || len(x.Time) != x.Len() {
		t.Fatalf("%d interactions and %d times of %d", x.Len(), len(x.Time), len(earliest))
	}
	check := func(x *Interactions) {
		for u := range x.Users() {
			for s := x.Ptr[u]; s < x.Ptr[u+1]; s++ {
				if want := earliest[Pair{int32(u), x.Item[s]}]; x.Time[s] != want {
					t.Errorf("user %d, item %d: time %g, want %g", u, x.Item[s], x.Time[s], want)
				}
			}
		}
	}
	check(x)
	even := x.where(func(u int, s int64) bool { return x.Item[s]%2 == 0 })
	check(even)
	if even.Len() == 0 || len(even.Time) != even.Len() {
		t.Errorf("%d times of %d interactions", len(even.Time), even.Len())
	}
	if _, _, err := FromTimedPairs(users, items, pairs, times[1:]); err == nil {
		t.Error("fewer times than pairs: no error")
	}
}
