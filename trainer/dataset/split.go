package dataset

import (
	"errors"
	"fmt"
	"math"
	"slices"
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
	// ValidTied and TestTied are the moments that such a split could not part where that leaves a part empty.
	ValidTied, TestTied Tied

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
	case o.Test != "" && o.Split != "" && o.Split != SplitAuto && o.Split != SplitGiven:
		return fmt.Errorf("-test %s is of a given split: -split %s makes its own test part; leave one of them out", o.Test, o.Split)
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
	filtered := d.Train.Len()
	if given {
		d.given(o)
	} else if err := d.deal(o); err != nil {
		return err
	}
	if d.Train.Len() == 0 {
		return d.nothingToTrainOn(given, filtered)
	}
	d.Parts.Leaks = leaksOf(d.Train, d.Valid, d.Test)
	return nil
}

// nothingToTrainOn says what took the training interactions, of which the filter left so many.
func (d *Dataset) nothingToTrainOn(given bool, filtered int) error {
	switch k := d.Parts.Filtered.KCore; {
	case filtered == 0:
		return fmt.Errorf("no interactions are left to train on: the %s leaves none of train, but %s of test and validation; lower -k-core", k, thousands(d.Len()))
	case given:
		valid := "the validation file"
		for _, f := range d.Files {
			if f.Role == "valid" {
				valid = f.Path
			}
		}
		return fmt.Errorf("no interactions are left to train on: %s takes all %s of train; name another file with -valid", valid, thousands(filtered))
	case k != (KCore{}):
		return fmt.Errorf("no interactions are left to train on: validation and test take all %s that the %s leaves; lower their shares (-split-ratio, -valid-ratio) or -k-core",
			thousands(d.Len()), k)
	}
	return fmt.Errorf("no interactions are left to train on: validation and test take all %s; lower their shares (-split-ratio, -valid-ratio)", thousands(d.Len()))
}

// given takes the parts as the files have them, in the order: test leaves, unseen users and items are judged against everything that is left,
// validation leaves.
func (d *Dataset) given(o Options) {
	d.Counts.TestInTrain = d.Test.Overlap(d.Train)
	d.Counts.TestInValid = d.Test.Overlap(d.Valid)
	d.judgeUnseen(o.Unseen)
	before := catalogueOf(d.Train)
	switch {
	case d.Valid.Len() > 0:
		d.Counts.ValidInTrain = d.Valid.Overlap(d.Train)
		d.Train = d.Train.minus(d.Valid)
	case o.ValidRatio > 0:
		d.Train, d.Valid = splitUsers(d.Train, o.ValidRatio, o.Seed)
	}
	after := catalogueOf(d.Train)
	d.Parts.ValidOnlyUsers, d.Parts.ValidOnlyItems = before.users-after.users, before.items-after.items
}
