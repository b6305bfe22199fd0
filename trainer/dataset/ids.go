package dataset

import (
	"cmp"
	"slices"
	"strings"
)

// identifiers numbers the ids of users or of items in the order in which they appear. Memory grows with the number of different ids,
// never with their value: they stay the strings that the user wrote.
type identifiers struct {
	index map[string]int32
	name  []string
}

func newIdentifiers() *identifiers { return &identifiers{index: map[string]int32{}} }

// of returns the number of an id; only an id never seen before allocates.
func (d *identifiers) of(id []byte) int32 {
	if i, ok := d.index[string(id)]; ok {
		return i
	}
	i, name := int32(len(d.name)), string(id)
	d.index[name] = i
	d.name = append(d.name, name)
	return i
}

// sorted returns the ids in their final order and, for each number given out by of, its place in it. Ids that are all integers stand in
// increasing order, so that the order of lines in a file does not change a run; others keep the order of their appearance.
func (d *identifiers) sorted() (names []string, place []int32) {
	order := make([]int32, len(d.name))
	integers := true
	for i, s := range d.name {
		order[i] = int32(i)
		integers = integers && isInteger(s)
	}
	if integers {
		slices.SortFunc(order, func(a, b int32) int { return compareIntegers(d.name[a], d.name[b]) })
	}
	names, place = make([]string, len(order)), make([]int32, len(order))
	for p, i := range order {
		names[p], place[i] = d.name[i], int32(p)
	}
	return names, place
}

// isInteger tells whether s is decimal digits after at most one minus sign, of any length.
func isInteger(s string) bool {
	s = strings.TrimPrefix(s, "-")
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// compareIntegers orders integers of any length by value, and spellings of one value ("7", "07") as strings.
func compareIntegers(a, b string) int {
	magnitude := func(s string) (digits string, negative bool) {
		digits = strings.TrimLeft(strings.TrimPrefix(s, "-"), "0")
		return digits, s[0] == '-' && digits != ""
	}
	x, xNegative := magnitude(a)
	y, yNegative := magnitude(b)
	if xNegative != yNegative {
		if xNegative {
			return -1
		}
		return 1
	}
	byValue := cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y))
	if xNegative {
		byValue = -byValue
	}
	return cmp.Or(byValue, cmp.Compare(a, b))
}
