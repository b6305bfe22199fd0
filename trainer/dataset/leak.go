package dataset

import "math"

// Leaks counts what a split lets a model know of the future: interactions of test and validation that are older than one it is trained on.
type Leaks struct {
	Unknown     bool // there are times in one part and not in another
	Test, Valid Leak
}

// A Leak is about one part.
type Leak struct {
	User int // interactions that are older than a training interaction of the same user
	All  int // that are older than the newest training interaction of anybody
}

// leaksOf compares every interaction with the newest of its user's training interactions and with the newest of all. Without times it finds
// nothing.
func leaksOf(train, valid, test *Interactions) (l Leaks) {
	timed, untimed := false, false
	for _, x := range []*Interactions{train, valid, test} {
		if x.Len() > 0 {
			timed, untimed = timed || x.Time != nil, untimed || x.Time == nil
		}
	}
	if !timed || untimed {
		l.Unknown = timed
		return l
	}
	newest, newestOfAll := make([]float64, train.Users()), math.Inf(-1)
	for u := range newest {
		newest[u] = math.Inf(-1)
		for _, t := range train.Time[train.Ptr[u]:train.Ptr[u+1]] {
			newest[u] = max(newest[u], t)
		}
		newestOfAll = max(newestOfAll, newest[u])
	}
	count := func(x *Interactions) (l Leak) {
		for u := range x.Users() {
			for s := x.Ptr[u]; s < x.Ptr[u+1]; s++ {
				if x.Time[s] < newest[u] {
					l.User++
				}
				if x.Time[s] < newestOfAll {
					l.All++
				}
			}
		}
		return l
	}
	return Leaks{Test: count(test), Valid: count(valid)}
}
