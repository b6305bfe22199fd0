package dataset

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// naiveCore takes users and items with too few interactions out of a list until there are none, pass by pass.
func naiveCore(all []event, users, items int, k KCore) (left []event, rounds int) {
	goneUser, goneItem := make([]bool, users), make([]bool, items)
	for {
		degreeUser, degreeItem := make([]int, users), make([]int, items)
		left = nil
		for _, e := range all {
			if !goneUser[e.User] && !goneItem[e.Item] {
				left = append(left, e)
				degreeUser[e.User]++
				degreeItem[e.Item]++
			}
		}
		more := false
		for u := range users {
			if !goneUser[u] && degreeUser[u] < max(1, k.Users) {
				goneUser[u], more = true, true
			}
		}
		for i := range items {
			if !goneItem[i] && degreeItem[i] < max(1, k.Items) {
				goneItem[i], more = true, true
			}
		}
		if !more {
			return left, rounds
		}
		rounds++
	}
}

// TestCore holds the filter against passes over a list, on random data in one part and in three, and its error against a search.
func TestCore(t *testing.T) {
	random := rand.New(rand.NewPCG(21, 22))
	empty, deepest := 0, 0
	for range 300 {
		users, items := 1+random.IntN(30), 1+random.IntN(30)
		all := events(random, users, items, 1+random.IntN(200), 10)
		k := KCore{random.IntN(7), random.IntN(7)}
		if random.IntN(2) == 0 {
			k.Items = k.Users
		}
		if k == (KCore{}) {
			continue
		}
		want, rounds := naiveCore(all, users, items, k)
		d := held(t, users, items, all, true)
		if random.IntN(2) == 0 { // in parts, two of which share something
			d.Test = d.Train.where(func(u int, s int64) bool { return d.Train.Item[s]%3 == 0 })
			d.Valid = d.Train.where(func(u int, s int64) bool { return d.Train.Item[s]%5 == 0 })
			d.Train = d.Train.minus(d.Test)
		}
		err := d.filter(k)
		if len(want) == 0 {
			empty++
			message := ""
			largest := func(at func(n int) KCore) int {
				n := 0
				for left := all; len(left) > 0; n++ {
					left, _ = naiveCore(all, users, items, at(n+1))
				}
				return n - 1
			}
			if k.Users == k.Items {
				message = fmt.Sprintf("-k-core %d leaves no interactions: the largest core of this data is %d", k.Users, largest(func(n int) KCore { return KCore{n, n} }))
			} else {
				ofUsers, ofItems := largest(func(n int) KCore { return KCore{n, k.Items} }), largest(func(n int) KCore { return KCore{k.Users, n} })
				message = fmt.Sprintf("items that ask for %d leave at most %d for users, users that ask for %d leave at most %d for items", k.Items, ofUsers, k.Users, ofItems)
			}
			if err == nil || !strings.Contains(err.Error(), message) {
				t.Errorf("%v of %d x %d: error %v, want %q", k, users, items, err, message)
			}
			continue
		}
		if err != nil {
			t.Errorf("%v: %v", k, err)
			continue
		}
		union := union(d.Train, d.Valid, d.Test)
		f := d.Parts.Filtered
		if union.Len() != len(want) || f.Rounds != rounds || f.Dropped != len(all)-len(want) || f.DroppedUsers != users-d.Users() || f.DroppedItems != items-d.Items() {
			t.Errorf("%v: %d interactions are left, want %d in %d rounds: %+v", k, union.Len(), len(want), rounds, f)
		}
		for _, e := range want { // by their ids: the numbers have changed
			u, i := slices.Index(d.UserID, fmt.Sprint("u", e.User)), slices.Index(d.ItemID, fmt.Sprint("i", e.Item))
			if u < 0 || i < 0 || !union.Has(u, int32(i)) {
				t.Errorf("%v: the core lacks %v", k, e.Pair)
			}
		}
		for u := range d.Users() {
			if union.Degree(u) < max(1, k.Users) {
				t.Errorf("%v: a user has %d", k, union.Degree(u))
			}
		}
		deepest = max(deepest, rounds)
	}
	if empty < 20 || deepest < 4 {
		t.Errorf("the cases are tame: %d empty cores, %d rounds at most", empty, deepest)
	}
}

// TestCoreOfAPath peels a path from its ends: as many rounds as half its length, in a time that is linear in it.
func TestCoreOfAPath(t *testing.T) {
	const n = 200_000
	pairs := make([]Pair, 0, 2*n+4)
	for u := range int32(n) {
		pairs = append(pairs, Pair{u, u}, Pair{u, u + 1})
	}
	square := []Pair{{n, n + 1}, {n, n + 2}, {n + 1, n + 1}, {n + 1, n + 2}}
	x, _, err := FromPairs(n+2, n+3, append(pairs, square...))
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	core, rounds := KCore{2, 2}.peel(x, x.Transposed())
	if took := time.Since(began); took > 10*time.Second { // passes over all interactions would be 4e10 steps
		t.Errorf("it took %v", took)
	}
	if core.users != 2 || core.items != 2 || core.unknown(x) != 2*n || rounds != n+1 {
		t.Errorf("%d users and %d items are left in %d rounds", core.users, core.items, rounds)
	}
}

// The filter comes before the split, and what goes with the users and items it leaves out is reported.
func TestCoreBeforeSplit(t *testing.T) {
	var lines []string
	for u := range 6 {
		for i := range 6 {
			lines = append(lines, fmt.Sprint(u, i))
		}
	}
	lines = append(lines, "7 1", "8 9", "0 9")
	dir := folder(t, map[string]string{"train.txt": strings.Join(lines, "\n"), "test.txt": "7 2\n1 3\n2 10\n"})
	d := load(t, Options{Path: dir, KCore: KCore{3, 2}})
	if d.Users() != 6 || d.Items() != 6 || d.Train.Len() != 36 || d.Test.Len() != 1 {
		t.Errorf("%s", d)
	}
	if line := "the 3,2-core of users and items, in 2 rounds, leaves out 2 users, 2 items, 5 interactions"; !strings.Contains(d.String(), line) {
		t.Errorf("the report lacks %q:\n%s", line, d)
	}
	d = load(t, Options{Path: dir, KCore: KCore{3, 2}, Split: SplitRandom, Ratio: Ratios{.5, .25, .25}})
	if d.Train.Len() != 18 || d.Valid.Len() != 9 || d.Test.Len() != 9 {
		t.Errorf("%s", d)
	}
}

// Titles and attributes are read for the users and items that are left.
func TestKeep(t *testing.T) {
	dir := folder(t, map[string]string{
		"x.inter": "user_id:token\titem_id:token\nu0\ti1\nu0\ti3\nu1\ti0\nu2\ti1\nu2\ti3\n",
		"x.user":  "user_id:token\tage:token\nu0\t7\nu1\t8\nu2\t9\n",
		"x.item":  "item_id:token\ttitle:token_seq\nwrong\tw\ni0\ta\ni1\tb\ni3\td\n",
	})
	d := load(t, Options{Path: dir, KCore: KCore{2, 2}, Split: SplitRandom, Ratio: Ratios{1, 0, 0}})
	if got := fmt.Sprint(d.UserID, d.ItemID, d.ItemTitle, d.UserFields.Ptr, d.UserFields.Name, d.Train.Item); got != "[u0 u2] [i1 i3] [b d] [0 1 2] [7 9] [0 1 0 1]" {
		t.Error(got)
	}
}
