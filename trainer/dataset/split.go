package dataset

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"nearfar/kernels/philox"
)

// Split is the way in which interactions become train, validation and test.
type Split string

const (
	// SplitAuto is SplitGiven for a folder and SplitRandom for a single file.
	SplitAuto Split = "auto"
	// SplitGiven takes train and test as the files have them, and validation from a file or from train.
	SplitGiven Split = "given"
	// SplitRandom draws the parts by a keyed hash.
	SplitRandom Split = "random"
	// SplitLeaveOneOut tests each user's last interaction and validates on the one before.
	SplitLeaveOneOut Split = "leave-one-out"
	// SplitTemporal tests the newest interactions and validates on those before.
	SplitTemporal Split = "temporal"
)

// By says what the ratios of a random or temporal split are of.
type By string

const (
	ByAll  By = "all"  // of all interactions together
	ByUser By = "user" // of each user's; a user's only interaction is trained on
)

// Ratios are the shares of interactions that train, validation and test get. They add up to 1; the zero value says nothing.
type Ratios struct{ Train, Valid, Test float64 }

// UnmarshalText reads "0.8,0.1,0.1"; nothing is the zero value.
func (r *Ratios) UnmarshalText(text []byte) error {
	*r = Ratios{}
	if len(strings.TrimSpace(string(text))) == 0 {
		return nil
	}
	fields := strings.Split(string(text), ",")
	if len(fields) != 3 {
		return errors.New("want three shares, of train, validation and test, such as 0.8,0.1,0.1")
	}
	for k, into := range []*float64{&r.Train, &r.Valid, &r.Test} {
		var err error
		if *into, err = strconv.ParseFloat(strings.TrimSpace(fields[k]), 64); err != nil {
			return fmt.Errorf("%q is not a number: want three shares, such as 0.8,0.1,0.1", fields[k])
		}
	}
	return r.check()
}

// MarshalText writes what UnmarshalText reads.
func (r Ratios) MarshalText() ([]byte, error) {
	if r == (Ratios{}) {
		return nil, nil
	}
	return []byte(r.String()), nil
}

func (r Ratios) String() string { return fmt.Sprintf("%g,%g,%g", r.Train, r.Valid, r.Test) }

// check refuses shares that are not of one whole. Train needs one; validation and test may have none.
func (r Ratios) check() error {
	switch sum := r.Train + r.Valid + r.Test; {
	case r == (Ratios{}):
		return nil
	case !(r.Train > 0) || !(r.Valid >= 0) || !(r.Test >= 0):
		return fmt.Errorf("%s: every share must be at least 0, and that of train above", r)
	case !(math.Abs(sum-1) < 1e-9):
		return fmt.Errorf("%s adds up to %.6g: train, validation and test must add up to 1", r, sum)
	}
	return nil
}

// held is how many of a user's n interactions leave train. A fraction of one is taken with its probability, luck being uniform in [0, 1), so
// that users with few interactions are in every part as often as its share asks. Train keeps one.
func (r Ratios) held(n int, luck float64) (valid, test int) {
	take := func(ratio float64) int { return int(math.Floor(ratio*float64(n) + luck + 1e-9)) } // 1e-9: as in share
	both := min(take(r.Valid+r.Test), n-1)
	test = min(take(r.Test), both)
	return both - test, test
}

// Parts is how train, validation and test came about.
type Parts struct {
	Split Split // never SplitAuto
	By    By
	Ratio Ratios // of a random or temporal split

	Pooled         bool // the files' own parts were put together first
	PooledRepeated int  // interactions that more than one of them had, merged

	Filtered Filtered // by a k-core, before the split

	// ValidFrom and TestFrom are the times from which a temporal split over all interactions validates and tests, +Inf for never.
	ValidFrom, TestFrom float64

	ShortUsers int  // of leave-one-out: with fewer than three interactions, all in train
	ByChance   bool // leave-one-out of data without times: which interaction is the last is drawn

	// ValidOnlyUsers and ValidOnlyItems have training interactions only in what a given split moved to validation.
	ValidOnlyUsers, ValidOnlyItems int

	Leaks Leaks
}

// method is the split for a folder, or for a single file.
func (o *Options) method(single bool) Split {
	switch {
	case o.Split != SplitAuto && o.Split != "":
		return o.Split
	case single:
		return SplitRandom
	}
	return SplitGiven
}

// CheckSplit refuses options of the split that mean nothing or exclude each other, by the names that they have on the command line.
func (o Options) CheckSplit() error {
	switch {
	case !slices.Contains([]Split{"", SplitAuto, SplitGiven, SplitRandom, SplitLeaveOneOut, SplitTemporal}, o.Split):
		return fmt.Errorf("-split %q is none of auto, given, random, leave-one-out, temporal", o.Split)
	case !slices.Contains([]By{"", ByAll, ByUser}, o.By):
		return fmt.Errorf("-split-by %q is neither all nor user", o.By)
	case o.KCore.Users < 0 || o.KCore.Items < 0:
		return fmt.Errorf("-k-core %d,%d: a bound must be at least 0", o.KCore.Users, o.KCore.Items)
	case o.Ratio != (Ratios{}) && (o.Split == SplitGiven || o.Split == SplitLeaveOneOut):
		return fmt.Errorf("-split-ratio %s says nothing about -split %s: it is of random and temporal", o.Ratio, o.Split)
	case o.By == ByUser && o.Split == SplitGiven:
		return errors.New("-split-by user says nothing about -split given: it is of random and temporal")
	case o.Valid != "" && o.Split != "" && o.Split != SplitAuto && o.Split != SplitGiven:
		return fmt.Errorf("-valid %s is of a given split: -split %s makes its own validation part; leave one of them out", o.Valid, o.Split)
	}
	if err := o.Ratio.check(); err != nil {
		return fmt.Errorf("-split-ratio %w", err)
	}
	return nil
}

// split filters what was read and makes train, validation and test of it.
func (d *Dataset) split(o Options, single bool) error {
	d.Parts = Parts{Split: o.method(single), By: o.By, ValidFrom: math.Inf(1), TestFrom: math.Inf(1)}
	given := d.Parts.Split == SplitGiven
	if given && (o.Ratio != (Ratios{}) || o.By == ByUser) {
		return fmt.Errorf("%s has its parts given, and -split-ratio and -split-by are of -split random or temporal: name one of these", d.Path)
	}
	switch {
	case given:
	case single:
		for k := range d.Files {
			if d.Files[k].Role == "train" {
				d.Files[k].Role = "all"
			}
		}
	default:
		all := union(d.Train, d.Valid, d.Test)
		d.Parts.Pooled, d.Parts.PooledRepeated = true, d.Len()-all.Len()
		nothing := all.where(func(int, int64) bool { return false })
		d.Train, d.Valid, d.Test = all, nothing, nothing
	}
	if err := d.filter(o.KCore); err != nil {
		return err
	}
	if given {
		d.given(o)
	} else if err := d.deal(o); err != nil {
		return err
	}
	if d.Train.Len() == 0 {
		return fmt.Errorf("no interactions are left to train on: validation and test take all %s; lower their shares (-split-ratio, -valid-ratio)",
			thousands(d.Len()))
	}
	d.Parts.Leaks = leaksOf(d.Train, d.Valid, d.Test)
	return nil
}

// given takes the parts as the files have them, in the order: test leaves, unseen users and items are judged against everything that is left,
// validation leaves.
func (d *Dataset) given(o Options) {
	d.Counts.TestInTrain = d.Test.overlap(d.Train)
	d.Counts.TestInValid = d.Test.overlap(d.Valid)
	d.judgeUnseen(o.Unseen)
	before := catalogueOf(d.Train)
	switch {
	case d.Valid.Len() > 0:
		d.Counts.ValidInTrain = d.Valid.overlap(d.Train)
		d.Train = d.Train.minus(d.Valid)
	case o.ValidRatio > 0:
		d.Train, d.Valid = splitUsers(d.Train, o.ValidRatio, o.Seed)
	}
	after := catalogueOf(d.Train)
	d.Parts.ValidOnlyUsers, d.Parts.ValidOnlyItems = before.users-after.users, before.items-after.items
}

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
	d.judgeUnseen(o.Unseen)
	return nil
}

// ratios are those of a split that is made: without a word about them, a tenth is tested, and the options of a given split say what validates.
func (o *Options) ratios() Ratios {
	if o.Ratio != (Ratios{}) {
		return o.Ratio
	}
	ratio := func(r float64) float64 {
		if r == 0 {
			return tenth
		}
		return max(r, 0)
	}
	valid, test := ratio(o.ValidRatio), ratio(o.TestRatio)
	return Ratios{max(1-valid-test, 0), valid, test}
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

// draw hashes an interaction, by its user and item rather than by its position, so that it does not depend on the others.
func draw(s philox.Stream, user int, x *Interactions, slot int64) ticket {
	w := s.At(0, uint32(user), uint32(x.Item[slot]))
	return ticket{hash: uint64(w[0])<<32 | uint64(w[1]), slot: slot}
}

// share is floor(ratio n), forgiving the last bit of a ratio that is not a binary fraction (.29 of 100 is 29).
func share(ratio float64, n int) int { return int(math.Floor(ratio*float64(n) + 1e-9)) }

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
	tests := share(testRatio, x.Len())
	held := tests + min(share(validRatio, x.Len()), x.Len()-tests)
	first := ranked(each, tests, held)
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
	tests := share(r.Test, len(times))
	held := tests + min(share(r.Valid, len(times)), len(times)-tests)
	valid, test = cut(len(times)-held), cut(len(times)-tests)
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
