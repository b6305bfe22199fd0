package dataset

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"nearfar/kernels/philox"
)

// The roles of interactions that are dealt.
const toTrain, toValid, toTest = 0, 1, 2

// deal makes the parts of Train, which has all interactions.
func (d *Dataset) deal(o Options) error {
	x, p := d.Train, &d.Parts
	p.Ratio = o.ratios()
	if p.Split == SplitTemporal && x.Time == nil {
		return fmt.Errorf("-split temporal: %s has no times; name a file that has a column of them, or split at random with -split random", d.Path)
	}
	var role []uint8
	switch {
	case p.Split == SplitLeaveOneOut:
		p.By, p.Ratio, p.ByChance = ByUser, Ratios{}, x.Time == nil
		role = dealUsers(x, o.Seed, true, func(n int, _ float64) (valid, test int) {
			if n < 3 {
				if n > 0 {
					p.ShortUsers++
				}
				return 0, 0
			}
			return 1, 1
		})
	case p.By == ByUser:
		role = dealUsers(x, o.Seed, p.Split == SplitTemporal, p.Ratio.held)
	case p.Split == SplitTemporal:
		role, p.ValidFrom, p.TestFrom = dealByTime(x.Time, p.Ratio)
	default:
		role = dealAll(x, p.Ratio.Test, p.Ratio.Valid, o.Seed)
	}
	parts := x.deal(role, 3)
	d.Train, d.Valid, d.Test = parts[toTrain], parts[toValid], parts[toTest]
	if p.Split == SplitTemporal && p.By != ByUser {
		valids, tests := heldOut(p.Ratio, x.Len())
		if valids > 0 && d.Valid.Len() == 0 {
			p.ValidTied = tiedAt(x.Time, p.ValidFrom, x.Len()-tests-valids)
		}
		if tests > 0 && d.Test.Len() == 0 {
			p.TestTied = tiedAt(x.Time, p.TestFrom, x.Len()-tests)
		}
	}
	d.judgeUnseen(o.Unseen)
	return nil
}

// ticket is an interaction's place in an order: its time, its keyed hash, and its slot, which breaks ties. Where the order is random, all times
// are equal.
type ticket struct {
	time float64
	hash uint64
	slot int64
}

func byTicket(a, b ticket) int {
	return cmp.Or(cmp.Compare(a.time, b.time), cmp.Compare(a.hash, b.hash), cmp.Compare(a.slot, b.slot))
}

// draw hashes an interaction by the numbers of its user and item rather than by its position: the ids decide, and not the order of lines.
func draw(s philox.Stream, user int, x *Interactions, slot int64) ticket {
	w := s.At(0, uint32(user), uint32(x.Item[slot]))
	return ticket{hash: uint64(w[0])<<32 | uint64(w[1]), slot: slot}
}

// share is floor(ratio n), forgiving the last bit of a ratio that is not a binary fraction (.29 of 100 is 29).
func share(ratio float64, n int) int { return int(math.Floor(ratio*float64(n) + 1e-9)) }

// heldOut is how many of n interactions validation and test ask for.
func heldOut(r Ratios, n int) (valids, tests int) {
	tests = share(r.Test, n)
	return min(share(r.Valid, n), n-tests), tests
}

// dealAll deals every interaction, whoever its user is, to one of three parts: exactly share(testRatio) of them to test, those with the
// smallest hashes, the next share(validRatio) to valid, and the rest to train.
func dealAll(x *Interactions, testRatio, validRatio float64, seed uint64) (role []uint8) {
	stream := philox.New(seed, "dataset/split")
	each := func(do func(ticket)) {
		for u := range x.Users() {
			for s := x.Ptr[u]; s < x.Ptr[u+1]; s++ {
				do(draw(stream, u, x, s))
			}
		}
	}
	valids, tests := heldOut(Ratios{Valid: validRatio, Test: testRatio}, x.Len())
	first := ranked(each, tests, tests+valids)
	role = make([]uint8, x.Len())
	each(func(t ticket) {
		switch {
		case byTicket(t, first[0]) < 0:
			role[t.slot] = toTest
		case byTicket(t, first[1]) < 0:
			role[t.slot] = toValid
		}
	})
	return role
}

// ranked finds the tickets at ranks (from 0) of the order byTicket, of equal times; a rank past the end gives a ticket above all. Only those in the
// same 2^-16 of hashes as an answer are kept and sorted: tickets of all interactions would be six times the size of their items.
func ranked(each func(func(ticket)), ranks ...int) []ticket {
	const shift = 64 - 16
	count := make([]int, 1<<16)
	each(func(t ticket) { count[t.hash>>shift]++ })
	bucket, place := make([]uint64, len(ranks)), make([]int, len(ranks))
	near := map[uint64][]ticket{}
	for k, rank := range ranks {
		b := 0
		for ; b < len(count) && rank >= count[b]; b++ {
			rank -= count[b]
		}
		bucket[k], place[k] = uint64(b), rank
		near[uint64(b)] = nil
	}
	wanted := make([]bool, len(count)+1)
	for b := range near {
		wanted[b] = true
	}
	each(func(t ticket) {
		if b := t.hash >> shift; wanted[b] {
			near[b] = append(near[b], t)
		}
	})
	found := make([]ticket, len(ranks))
	for k, b := range bucket {
		found[k] = ticket{hash: math.MaxUint64, slot: math.MaxInt64}
		if b < uint64(len(count)) {
			slices.SortFunc(near[b], byTicket)
			found[k] = near[b][place[k]]
		}
	}
	return found
}

// dealUsers deals each user's n interactions: the last ones of sizes(n, luck) to test, those before to validation, the rest to train. The
// order is that of the keyed hash, or, where inTime is set and there are times, that of time, the hash breaking ties.
func dealUsers(x *Interactions, seed uint64, inTime bool, sizes func(n int, luck float64) (valid, test int)) (role []uint8) {
	stream := philox.New(seed, "dataset/split")
	role = make([]uint8, x.Len())
	var order []ticket
	for u := range x.Users() {
		valid, test := sizes(x.Degree(u), philox.Uniform(stream.At(1, uint32(u), 0)[0]))
		if valid+test <= 0 {
			continue
		}
		order = order[:0]
		for s := x.Ptr[u]; s < x.Ptr[u+1]; s++ {
			t := draw(stream, u, x, s)
			if inTime && x.Time != nil {
				t.time = x.Time[s]
			}
			order = append(order, t)
		}
		slices.SortFunc(order, byTicket)
		for k, t := range order[len(order)-valid-test:] {
			role[t.slot] = toValid
			if k >= valid {
				role[t.slot] = toTest
			}
		}
	}
	return role
}

// dealByTime cuts time in three: what happened at or after the time test is tested, else what did at or after valid validates. Interactions of
// one time stay together, on that side of a cut which leaves the parts nearer to their ratios.
func dealByTime(times []float64, r Ratios) (role []uint8, valid, test float64) {
	sorted := slices.Clone(times)
	slices.Sort(sorted)
	cut := func(at int) float64 { // with about at interactions before it
		if at == len(sorted) {
			return math.Inf(1)
		}
		begin, _ := slices.BinarySearch(sorted, sorted[at])
		end, _ := slices.BinarySearch(sorted, math.Nextafter(sorted[at], math.Inf(1)))
		switch {
		case at-begin <= end-at:
			return sorted[begin]
		case end == len(sorted):
			return math.Inf(1)
		}
		return sorted[end]
	}
	valids, tests := heldOut(r, len(times))
	valid, test = cut(len(times)-tests-valids), cut(len(times)-tests)
	role = make([]uint8, len(times))
	for s, t := range times {
		switch {
		case t >= test:
			role[s] = toTest
		case t >= valid:
			role[s] = toValid
		}
	}
	return role, valid, test
}

// Tied is a moment with many interactions, which a cut in time takes or leaves together.
type Tied struct {
	Time  float64
	N, Of int // interactions at that time, and in all
}

// tiedAt finds the moment that moved a cut away from a rank in the order of times: the last one before the cut where that came later, else that of
// the cut.
func tiedAt(times []float64, cut float64, rank int) Tied {
	before, last := 0, math.Inf(-1)
	for _, t := range times {
		if t < cut {
			before++
			last = max(last, t)
		}
	}
	tied := Tied{Time: cut, Of: len(times)}
	if before > rank {
		tied.Time = last
	}
	for _, t := range times {
		if t == tied.Time {
			tied.N++
		}
	}
	return tied
}

// splitUsers takes a ratio of each user's interactions out for validation, but never a user's last one. A fraction of an interaction is taken
// with its probability, so that users with few of them are in the validation split too, as often as their share asks.
func splitUsers(x *Interactions, ratio float64, seed uint64) (train, valid *Interactions) {
	stream := philox.New(seed, "dataset/valid")
	role := make([]uint8, x.Len())
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
		slices.SortFunc(order, byTicket)
		for _, t := range order[:n] {
			role[t.slot] = toValid
		}
	}
	parts := x.deal(role, 2)
	return parts[toTrain], parts[toValid]
}
