package dataset

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
)

// identifiers numbers the ids of users or of items, while they are read in the order in which they appear. Memory grows with the number of different ids,
// never with their value: they stay the strings that the user wrote.
type identifiers struct {
	name    []string
	number  integers         // of ids that are integers as strconv writes them, nearly all of the large data sets
	other   map[string]int32 // of the others
	integer []int64          // the value of each id, as long as all are such integers
}

func newIdentifiers() *identifiers { return &identifiers{other: map[string]int32{}} }

// of returns the number of an id; only an id never seen before allocates.
func (d *identifiers) of(id []byte) int32 {
	if x, ok := canonical(id); ok {
		at, known := d.number.at(x)
		if known {
			return *at
		}
		*at = int32(len(d.name))
		if len(d.integer) == len(d.name) {
			d.integer = append(d.integer, x)
		}
		d.name = append(d.name, string(id))
		return int32(len(d.name)) - 1
	}
	if i, ok := d.other[string(id)]; ok {
		return i
	}
	i, name := int32(len(d.name)), string(id)
	d.other[name] = i
	d.name = append(d.name, name)
	return i
}

// sorted returns the ids in their final order and, for each number given out by of, its place in it. Ids that are all integers stand in
// increasing order, others in that of their bytes, so that the order of lines in a file changes neither a split, which hashes the numbers, nor a run.
func (d *identifiers) sorted() (names []string, place []int32) {
	var order []int32
	switch {
	case len(d.integer) == len(d.name):
		order = inAppearance(len(d.name))
		slices.SortFunc(order, func(a, b int32) int { return cmp.Compare(d.integer[a], d.integer[b]) })
	case !slices.ContainsFunc(d.name, func(s string) bool { return !isInteger(s) }):
		order = inAppearance(len(d.name))
		slices.SortFunc(order, func(a, b int32) int { return compareIntegers(d.name[a], d.name[b]) })
	default:
		order = byBytes(d.name)
	}
	names, place = make([]string, len(order)), make([]int32, len(order))
	for p, i := range order {
		names[p], place[i] = d.name[i], int32(p)
	}
	return names, place
}

func inAppearance(n int) []int32 {
	order := make([]int32, n)
	for i := range order {
		order[i] = int32(i)
	}
	return order
}

// byBytes orders different names. Eight bytes after what all begin with ("user_") stand beside each name's number, so that the order of most is
// found without a look at the names, which lie all over the memory.
func byBytes(names []string) []int32 {
	type key struct {
		bytes  uint64 // big-endian, zeros where the name is shorter
		number int32
	}
	common := names[0]
	for _, s := range names {
		n := 0
		for n < min(len(common), len(s)) && common[n] == s[n] {
			n++
		}
		common = common[:n]
	}
	keys := make([]key, len(names))
	for i, s := range names {
		var b [8]byte
		copy(b[:], s[len(common):])
		keys[i] = key{binary.BigEndian.Uint64(b[:]), int32(i)}
	}
	slices.SortFunc(keys, func(a, b key) int {
		if a.bytes != b.bytes {
			return cmp.Compare(a.bytes, b.bytes)
		}
		return strings.Compare(names[a.number], names[b.number])
	})
	order := make([]int32, len(keys))
	for p, k := range keys {
		order[p] = k.number
	}
	return order
}

// onlyWord tells whether an id is the only one that is no integer.
func (d *identifiers) onlyWord(id int32) bool {
	if isInteger(d.name[id]) {
		return false
	}
	for i, s := range d.name {
		if int32(i) != id && !isInteger(s) {
			return false
		}
	}
	return len(d.name) > 1
}

// canonical reads an integer of at most 18 digits that is written as strconv writes it: no two such ids have one value.
func canonical(id []byte) (x int64, ok bool) {
	digits := id
	if len(id) > 1 && id[0] == '-' {
		digits = id[1:]
	}
	if len(digits) == 0 || len(digits) > 18 || digits[0] == '0' && len(id) > 1 {
		return 0, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		x = x*10 + int64(c-'0')
	}
	if len(digits) < len(id) {
		x = -x
	}
	return x, true
}

// integers is a map from integers to numbers, by open addressing with linear probing: half as many cache misses as a map of strings, which
// are most of the time of reading a large file.
type integers struct {
	slot []integerSlot // a power of two of them, at most half of them taken
	n    int
}

type integerSlot struct {
	key   int64
	value int32
	taken bool
}

// at returns the place of a key's value, and whether it was there before.
func (m *integers) at(key int64) (value *int32, known bool) {
	if 2*(m.n+1) > len(m.slot) {
		m.grow()
	}
	slot, known := m.find(key)
	if !known {
		*slot = integerSlot{key: key, taken: true}
		m.n++
	}
	return &slot.value, known
}

// find returns the slot of a key, or the one that it would take.
func (m *integers) find(key int64) (slot *integerSlot, known bool) {
	const golden = 0x9e3779b97f4a7c15 // Fibonacci hashing (Knuth, TAOCP 3, 6.4); the high bits are the good ones
	mask := uint64(len(m.slot) - 1)
	h := uint64(key) * golden
	for i := (h ^ h>>32) & mask; ; i = (i + 1) & mask {
		if s := &m.slot[i]; !s.taken || s.key == key {
			return s, s.taken
		}
	}
}

func (m *integers) grow() {
	old := m.slot
	m.slot = make([]integerSlot, max(64, 2*len(old)))
	for _, s := range old {
		if s.taken {
			to, _ := m.find(s.key)
			*to = s
		}
	}
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
