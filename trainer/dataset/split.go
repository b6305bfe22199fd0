package dataset

import (
	"cmp"
	"math"
	"slices"

	"nearfar/kernels/philox"
)

// ticket is an interaction's place in a random order: its keyed hash, and its slot, which breaks ties.
type ticket struct {
	hash uint64
	slot int64
}

func byHash(a, b ticket) int { return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.slot, b.slot)) }

// draw hashes an interaction, by its user and item rather than by its position, so that it does not depend on the others.
func draw(s philox.Stream, user int, x *Interactions, slot int64) ticket {
	w := s.At(0, uint32(user), uint32(x.Item[slot]))
	return ticket{uint64(w[0])<<32 | uint64(w[1]), slot}
}

// share is floor(ratio n), forgiving the last bit of a ratio that is not a binary fraction (.29 of 100 is 29).
func share(ratio float64, n int) int { return int(math.Floor(ratio*float64(n) + 1e-9)) }

// splitAll deals every interaction, whoever its user is, to one of three sets: exactly share(testRatio) of them to test,
// share(validRatio) to valid, and the rest to train.
func splitAll(x *Interactions, testRatio, validRatio float64, seed uint64) (train, valid, test *Interactions) {
	stream := philox.New(seed, "dataset/split")
	order := make([]ticket, 0, x.Len())
	for u := range x.Users() {
		for s := x.Ptr[u]; s < x.Ptr[u+1]; s++ {
			order = append(order, draw(stream, u, x, s))
		}
	}
	slices.SortFunc(order, byHash)

	const toTrain, toValid, toTest = 0, 1, 2
	role := make([]uint8, x.Len())
	tests := share(testRatio, x.Len())
	valids := min(share(validRatio, x.Len()), x.Len()-tests)
	for _, t := range order[:tests] {
		role[t.slot] = toTest
	}
	for _, t := range order[tests : tests+valids] {
		role[t.slot] = toValid
	}
	only := func(r uint8) *Interactions { return x.where(func(_ int, s int64) bool { return role[s] == r }) }
	return only(toTrain), only(toValid), only(toTest)
}

// splitUsers takes a ratio of each user's interactions out for validation, but never a user's last one. A fraction of an interaction is taken
// with its probability, so that users with few of them are in the validation split too, as often as their share asks.
func splitUsers(x *Interactions, ratio float64, seed uint64) (train, valid *Interactions) {
	stream := philox.New(seed, "dataset/valid")
	taken := make([]bool, x.Len())
	var order []ticket
	for u := range x.Users() {
		luck := philox.Uniform(stream.At(1, uint32(u), 0)[0])
		n := min(int(ratio*float64(x.Degree(u))+luck), x.Degree(u)-1)
		if n <= 0 {
			continue
		}
		order = order[:0]
		for s := x.Ptr[u]; s < x.Ptr[u+1]; s++ {
			order = append(order, draw(stream, u, x, s))
		}
		slices.SortFunc(order, byHash)
		for _, t := range order[:n] {
			taken[t.slot] = true
		}
	}
	train = x.where(func(_ int, s int64) bool { return !taken[s] })
	valid = x.where(func(_ int, s int64) bool { return taken[s] })
	return train, valid
}

// catalogue renumbers the users and items that a set knows and forgets the others. A place of -1 means forgotten.
type catalogue struct {
	user, item   []int32
	users, items int
}

// catalogueOf keeps the users and items with at least one interaction in x, in their order.
func catalogueOf(x *Interactions) catalogue {
	number := func(n int, keep func(int) bool) (place []int32, kept int) {
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
	var c catalogue
	degree := x.ItemDegrees()
	c.user, c.users = number(x.Users(), func(u int) bool { return x.Degree(u) > 0 })
	c.item, c.items = number(x.Items, func(i int) bool { return degree[i] > 0 })
	return c
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
