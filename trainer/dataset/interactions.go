package dataset

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
)

// A Pair is one interaction: a user and an item by their indices.
type Pair struct{ User, Item int32 }

// Interactions is a set of (user, item) pairs by rows (CSR): user u has Item[Ptr[u]:Ptr[u+1]], ascending, none twice.
type Interactions struct {
	Ptr   []int64   // [users+1]
	Item  []int32   // [interactions]
	Time  []float64 // [interactions], in the unit of the file, seconds for dates; nil where the data has no times
	Items int       // the catalogue: every element of Item is below it
}

// FromPairs collects pairs, in any order, into a set over users x items, and returns how many of them were there already. A pair
// outside users x items is an error.
func FromPairs(users, items int, pairs []Pair) (x *Interactions, duplicates int, err error) {
	return FromTimedPairs(users, items, pairs, nil)
}

// FromTimedPairs is FromPairs with a time for each pair, or nil. Of an interaction that is repeated the earliest time stays. A time that is
// NaN or infinite has no place in an order: an error.
func FromTimedPairs(users, items int, pairs []Pair, times []float64) (x *Interactions, duplicates int, err error) {
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
	if times != nil {
		if len(times) != len(pairs) {
			return nil, 0, fmt.Errorf("dataset: %d times for %d pairs", len(times), len(pairs))
		}
		for k, t := range times {
			if math.IsNaN(t) || math.IsInf(t, 0) {
				return nil, 0, fmt.Errorf("dataset: the pair (user %d, item %d) has the time %g, which is not a finite number", pairs[k].User, pairs[k].Item, t)
			}
		}
		x.Time = make([]float64, len(pairs))
	}
	next := slices.Clone(x.Ptr)
	for k, p := range pairs {
		x.Item[next[p.User]] = p.Item
		if times != nil {
			x.Time[next[p.User]] = times[k]
		}
		next[p.User]++
	}
	// Rows are sorted, stripped of repetitions, and moved up to close the gaps.
	var end int64
	var timed []timedItem
	for u := range users {
		row := x.Item[x.Ptr[u]:x.Ptr[u+1]]
		if times == nil {
			slices.Sort(row)
			row = slices.Compact(row)
		} else {
			at := x.Time[x.Ptr[u]:x.Ptr[u+1]]
			timed = sortTimed(row, at, timed)
			row = row[:len(timed)]
			copy(x.Time[end:], at[:len(timed)])
		}
		x.Ptr[u] = end
		end += int64(copy(x.Item[end:], row))
	}
	x.Ptr[users] = end
	x.Item = slices.Clip(x.Item[:end])
	if times != nil {
		x.Time = slices.Clip(x.Time[:end])
	}
	return x, len(pairs) - int(end), nil
}

// timedItem is an element of a row while the row is sorted.
type timedItem struct {
	item int32
	time float64
}

// sortTimed sorts a row by item, keeps the earliest time of each, and writes it back to the front of item and time. It returns the row,
// in memory to use again.
func sortTimed(item []int32, time []float64, row []timedItem) []timedItem {
	row = row[:0]
	for k := range item {
		row = append(row, timedItem{item[k], time[k]})
	}
	row = earliest(row)
	for k, e := range row {
		item[k], time[k] = e.item, e.time
	}
	return row
}

// earliest sorts a row by item, in place, and keeps the earliest time of each.
func earliest(row []timedItem) []timedItem {
	slices.SortFunc(row, func(a, b timedItem) int { return cmp.Or(cmp.Compare(a.item, b.item), cmp.Compare(a.time, b.time)) })
	return slices.CompactFunc(row, func(a, b timedItem) bool { return a.item == b.item })
}

// union is the set of what is in any of the parts, which have the same users and items. An interaction's time is the earliest one; where a
// part that has interactions has no times, neither has the union.
func union(parts ...*Interactions) *Interactions {
	x := &Interactions{Ptr: make([]int64, len(parts[0].Ptr)), Items: parts[0].Items}
	total, untimed := 0, false
	for _, p := range parts {
		total += p.Len()
		untimed = untimed || p.Len() > 0 && p.Time == nil
	}
	x.Item = make([]int32, 0, total)
	if !untimed {
		x.Time = make([]float64, 0, total)
	}
	var row []timedItem
	for u := range x.Users() {
		row = row[:0]
		for _, p := range parts {
			for s := p.Ptr[u]; s < p.Ptr[u+1]; s++ {
				e := timedItem{item: p.Item[s]}
				if !untimed {
					e.time = p.Time[s]
				}
				row = append(row, e)
			}
		}
		for _, e := range earliest(row) {
			x.Item = append(x.Item, e.item)
			if !untimed {
				x.Time = append(x.Time, e.time)
			}
		}
		x.Ptr[u+1] = int64(len(x.Item))
	}
	return x
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

// where returns the interactions whose slot in Item passes keep, over the same users and items. It asks twice, so that what it allocates is
// what it returns.
func (x *Interactions) where(keep func(user int, slot int64) bool) *Interactions {
	y := &Interactions{Ptr: make([]int64, len(x.Ptr)), Items: x.Items}
	for u := range x.Users() {
		y.Ptr[u+1] = y.Ptr[u]
		for s := x.Ptr[u]; s < x.Ptr[u+1]; s++ {
			if keep(u, s) {
				y.Ptr[u+1]++
			}
		}
	}
	y.Item = make([]int32, 0, y.Ptr[x.Users()])
	if x.Time != nil {
		y.Time = make([]float64, 0, y.Ptr[x.Users()])
	}
	for u := range x.Users() {
		for s := x.Ptr[u]; s < x.Ptr[u+1]; s++ {
			if !keep(u, s) {
				continue
			}
			y.Item = append(y.Item, x.Item[s])
			if x.Time != nil {
				y.Time = append(y.Time, x.Time[s])
			}
		}
	}
	return y
}

// Transposed has the users of each item, [Items] rows, ascending; it has no times.
func (x *Interactions) Transposed() *Interactions {
	y := &Interactions{Ptr: make([]int64, x.Items+1), Item: make([]int32, x.Len()), Items: x.Users()}
	for _, i := range x.Item {
		y.Ptr[i+1]++
	}
	for i := range x.Items {
		y.Ptr[i+1] += y.Ptr[i]
	}
	next := slices.Clone(y.Ptr)
	for u := range x.Users() {
		for _, i := range x.Of(u) {
			y.Item[next[i]] = int32(u)
			next[i]++
		}
	}
	return y
}

// deal parts the interactions by their role, [interactions], each below n.
func (x *Interactions) deal(role []uint8, n int) []*Interactions {
	size := make([]int, n)
	for _, r := range role {
		size[r]++
	}
	parts := make([]*Interactions, n)
	for r := range parts {
		parts[r] = &Interactions{Ptr: make([]int64, len(x.Ptr)), Item: make([]int32, 0, size[r]), Items: x.Items}
		if x.Time != nil {
			parts[r].Time = make([]float64, 0, size[r])
		}
	}
	for u := range x.Users() {
		for s := x.Ptr[u]; s < x.Ptr[u+1]; s++ {
			p := parts[role[s]]
			p.Item = append(p.Item, x.Item[s])
			if x.Time != nil {
				p.Time = append(p.Time, x.Time[s])
			}
		}
		for _, p := range parts {
			p.Ptr[u+1] = int64(len(p.Item))
		}
	}
	return parts
}

// minus returns the interactions of x that are not in y, over the same users and items.
func (x *Interactions) minus(y *Interactions) *Interactions {
	return x.where(func(u int, s int64) bool { return !y.Has(u, x.Item[s]) })
}

// Overlap is the number of interactions that x and y share.
func (x *Interactions) Overlap(y *Interactions) int { return x.Len() - x.minus(y).Len() }

// hash writes the set to a checksum, its times only where there are any. A write to a hash does not fail.
func (x *Interactions) hash(w io.Writer) {
	for _, numbers := range []any{int64(x.Users()), int64(x.Items)} {
		_ = binary.Write(w, binary.LittleEndian, numbers)
	}
	hashAll(w, x.Ptr)
	hashAll(w, x.Item)
	hashAll(w, x.Time)
}

// hashAll writes numbers piece by piece: binary.Write makes a copy of what it is given.
func hashAll[T any](w io.Writer, numbers []T) {
	for piece := range slices.Chunk(numbers, 1<<16) {
		_ = binary.Write(w, binary.LittleEndian, piece)
	}
}
