package dataset

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

// A Pair is one interaction: a user and an item by their indices.
type Pair struct{ User, Item int32 }

// Interactions is a set of (user, item) pairs by rows (CSR): user u has Item[Ptr[u]:Ptr[u+1]], ascending, none twice.
type Interactions struct {
	Ptr   []int64 // [users+1]
	Item  []int32 // [interactions]
	Items int     // the catalogue: every element of Item is below it
}

// FromPairs collects pairs, in any order, into a set over users x items, and returns how many of them were there already. A pair
// outside users x items is an error.
func FromPairs(users, items int, pairs []Pair) (x *Interactions, duplicates int, err error) {
	x = &Interactions{Ptr: make([]int64, users+1), Item: make([]int32, len(pairs)), Items: items}
	for _, p := range pairs {
		if uint(p.User) >= uint(users) || uint(p.Item) >= uint(items) {
			return nil, 0, fmt.Errorf("dataset: the pair (user %d, item %d) is outside %d users x %d items", p.User, p.Item, users, items)
		}
		x.Ptr[p.User+1]++
	}
	for u := range users {
		x.Ptr[u+1] += x.Ptr[u]
	}
	next := slices.Clone(x.Ptr)
	for _, p := range pairs {
		x.Item[next[p.User]] = p.Item
		next[p.User]++
	}
	// Rows are sorted, stripped of repetitions, and moved up to close the gaps.
	var end int64
	for u := range users {
		row := x.Item[x.Ptr[u]:x.Ptr[u+1]]
		slices.Sort(row)
		row = slices.Compact(row)
		x.Ptr[u] = end
		end += int64(copy(x.Item[end:], row))
	}
	x.Ptr[users] = end
	x.Item = slices.Clip(x.Item[:end])
	return x, len(pairs) - int(end), nil
}

// Users is the number of rows, users without an item included.
func (x *Interactions) Users() int { return len(x.Ptr) - 1 }

// Len is the number of interactions.
func (x *Interactions) Len() int { return len(x.Item) }

// Of returns the items of user u, ascending. The slice is the set's own memory: read it only.
func (x *Interactions) Of(u int) []int32 { return x.Item[x.Ptr[u]:x.Ptr[u+1]] }

// Degree is the number of items of user u.
func (x *Interactions) Degree(u int) int { return int(x.Ptr[u+1] - x.Ptr[u]) }

// Has tells whether user u has the item, by binary search.
func (x *Interactions) Has(u int, item int32) bool {
	_, found := slices.BinarySearch(x.Of(u), item)
	return found
}

// ItemDegrees counts the users of each item, [Items].
func (x *Interactions) ItemDegrees() []int32 {
	degree := make([]int32, x.Items)
	for _, i := range x.Item {
		degree[i]++
	}
	return degree
}

// ActiveUsers is the number of users with at least one item.
func (x *Interactions) ActiveUsers() int {
	n := 0
	for u := range x.Users() {
		if x.Degree(u) > 0 {
			n++
		}
	}
	return n
}

// where returns the interactions whose slot in Item passes keep, over the same users and items.
func (x *Interactions) where(keep func(user int, slot int64) bool) *Interactions {
	y := &Interactions{Ptr: make([]int64, len(x.Ptr)), Items: x.Items}
	for u := range x.Users() {
		for s := x.Ptr[u]; s < x.Ptr[u+1]; s++ {
			if keep(u, s) {
				y.Item = append(y.Item, x.Item[s])
			}
		}
		y.Ptr[u+1] = int64(len(y.Item))
	}
	return y
}

// minus returns the interactions of x that are not in y, over the same users and items.
func (x *Interactions) minus(y *Interactions) *Interactions {
	return x.where(func(u int, s int64) bool { return !y.Has(u, x.Item[s]) })
}

// overlap is the number of interactions that x and y share.
func (x *Interactions) overlap(y *Interactions) int { return x.Len() - x.minus(y).Len() }

// hash writes the set to a checksum. A write to a hash does not fail.
func (x *Interactions) hash(w io.Writer) {
	for _, numbers := range []any{int64(x.Users()), int64(x.Items), x.Ptr, x.Item} {
		_ = binary.Write(w, binary.LittleEndian, numbers)
	}
}
