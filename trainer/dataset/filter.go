package dataset

import (
	"fmt"
	"sort"
)

// KCore bounds how few interactions a user and an item may have: what is left is the (Users, Items)-core of the bipartite graph, the
// largest set in which every user has at least Users interactions and every item at least Items. A bound of 0 beside a positive one is 1:
// nothing stays that has lost all its interactions. Two zeros filter nothing.
type KCore struct{ Users, Items int }

func (k KCore) String() string {
	if k.Users == k.Items {
		return fmt.Sprintf("%d-core", k.Users)
	}
	return fmt.Sprintf("%d,%d-core", k.Users, k.Items)
}

// Filtered is what a k-core filter took away.
type Filtered struct {
	KCore
	Rounds                     int // in each of which all users and items that are below their bound go at once
	DroppedUsers, DroppedItems int
	Dropped                    int // interactions
}

// peel finds the core of x. Every interaction is followed at most once from each side: the time is linear in users, items and interactions,
// however many rounds there are.
func (k KCore) peel(x, byItem *Interactions) (core catalogue, rounds int) {
	sides := [2]struct {
		of    *Interactions
		least int
		left  []int // interactions with what has not gone
		gone  []bool
		now   []int32 // those that go in this round
	}{{of: x, least: max(1, k.Users)}, {of: byItem, least: max(1, k.Items)}}
	for s := range sides {
		side := &sides[s]
		side.left, side.gone = make([]int, side.of.Users()), make([]bool, side.of.Users())
		for n := range side.left {
			side.left[n] = side.of.Degree(n)
			if side.gone[n] = side.left[n] < side.least; side.gone[n] {
				side.now = append(side.now, int32(n))
			}
		}
	}
	for ; len(sides[0].now)+len(sides[1].now) > 0; rounds++ {
		var then [2][]int32
		for s := range sides {
			side, other := &sides[s], &sides[1-s]
			for _, n := range side.now {
				for _, m := range side.of.Of(int(n)) {
					if other.left[m]--; other.left[m] < other.least && !other.gone[m] {
						other.gone[m] = true
						then[1-s] = append(then[1-s], m)
					}
				}
			}
		}
		sides[0].now, sides[1].now = then[0], then[1]
	}
	core.user, core.users = renumber(x.Users(), func(u int) bool { return !sides[0].gone[u] })
	core.item, core.items = renumber(x.Items, func(i int) bool { return !sides[1].gone[i] })
	return core, rounds
}

// filter restricts the data set to the core of all its interactions, whichever part they are in.
func (d *Dataset) filter(k KCore) error {
	if k == (KCore{}) {
		return nil
	}
	all := d.Train
	if d.Valid.Len()+d.Test.Len() > 0 {
		all = union(d.Train, d.Valid, d.Test)
	}
	byItem := all.Transposed()
	core, rounds := k.peel(all, byItem)
	if core.users == 0 {
		return k.tooLarge(all, byItem)
	}
	d.Parts.Filtered = Filtered{k, rounds, d.Users() - core.users, d.Items() - core.items, core.unknown(all)}
	if rounds > 0 {
		d.keep(core)
	}
	return nil
}

// tooLarge is the error of a core that is empty: it names the largest that is not.
func (k KCore) tooLarge(x, byItem *Interactions) error {
	// A core shrinks as a bound grows, so that the first bound that leaves nothing can be bisected for. One above the number of interactions does.
	largest := func(at func(int) KCore) int {
		return sort.Search(x.Len(), func(n int) bool {
			core, _ := at(n+1).peel(x, byItem)
			return core.users == 0
		})
	}
	if k.Users == k.Items {
		return fmt.Errorf("-k-core %d leaves no interactions: the largest core of this data is %d", k.Users, largest(func(n int) KCore { return KCore{n, n} }))
	}
	return fmt.Errorf("-k-core %d,%d leaves no interactions: items that ask for %d leave at most %d for users, users that ask for %d leave at most %d for items",
		k.Users, k.Items, k.Items, largest(func(n int) KCore { return KCore{n, k.Items} }), k.Users, largest(func(n int) KCore { return KCore{k.Users, n} }))
}

// catalogue renumbers the users and items that a set knows and forgets the others. A place of -1 means forgotten.
type catalogue struct {
	user, item   []int32
	users, items int
}

// catalogueOf keeps the users and items with at least one interaction in x, in their order.
func catalogueOf(x *Interactions) catalogue {
	var c catalogue
	degree := x.ItemDegrees()
	c.user, c.users = renumber(x.Users(), func(u int) bool { return x.Degree(u) > 0 })
	c.item, c.items = renumber(x.Items, func(i int) bool { return degree[i] > 0 })
	return c
}

// renumber gives those of 0..n-1 that are kept their places.
func renumber(n int, keep func(int) bool) (place []int32, kept int) {
	place = make([]int32, n)
	for i := range place {
		place[i] = -1
		if keep(i) {
			place[i] = int32(kept)
			kept++
		}
	}
	return place, kept
}

// knows tells whether both sides of an interaction are in the catalogue.
func (c catalogue) knows(user int, item int32) bool { return c.user[user] >= 0 && c.item[item] >= 0 }

// restrict is x in the numbers of the catalogue; interactions with a forgotten user or item go.
func (c catalogue) restrict(x *Interactions) *Interactions {
	known := x.where(func(u int, s int64) bool { return c.knows(u, x.Item[s]) })
	y := &Interactions{Ptr: make([]int64, 1, c.users+1), Item: known.Item, Time: known.Time, Items: c.items}
	for u := range known.Users() {
		if c.user[u] >= 0 {
			y.Ptr = append(y.Ptr, known.Ptr[u+1])
		}
	}
	for s, i := range y.Item {
		y.Item[s] = c.item[i]
	}
	return y
}

// unknown counts the interactions with a forgotten user or item.
func (c catalogue) unknown(x *Interactions) int {
	n := 0
	for u := range x.Users() {
		for _, i := range x.Of(u) {
			if !c.knows(u, i) {
				n++
			}
		}
	}
	return n
}

// keep restricts the data set to a catalogue, before titles, attributes and features are read: those are read for what is left.
func (d *Dataset) keep(c catalogue) {
	d.Train, d.Valid, d.Test = c.restrict(d.Train), c.restrict(d.Valid), c.restrict(d.Test)
	d.UserID, d.ItemID = c.names(d.UserID, c.user), c.names(d.ItemID, c.item)
}

// names keeps the names of one side that have a place.
func (c catalogue) names(names []string, place []int32) []string {
	var kept []string
	for i, s := range names {
		if place[i] >= 0 {
			kept = append(kept, s)
		}
	}
	return kept
}
