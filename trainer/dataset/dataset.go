// Package dataset turns files of interactions into sets of integer pairs: who bought, read or heard what, split into train,
// validation and test. Ids stay the strings that the user wrote; whatever is merged, moved or dropped on the way is counted.
package dataset

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
)

// Dataset is interactions over one numbering of users and items: Train, Valid and Test all have the same Users and Items.
type Dataset struct {
	Name   string
	Path   string // as it was given; for the embedded data, a description
	Format Format // of the training file

	UserID, ItemID []string // [users], [items]: the ids as they were written

	ItemTitle              []string    // [items], "" for an item without one; nil where the data has no titles
	UserFields, ItemFields *Attributes // categorical fields of the rows of UserID and ItemID; nil where the data has none

	ItemFeatures []Features // sorted by name; nil where they are not wanted

	Train, Valid, Test *Interactions // never nil; Valid and Test may be without interactions

	Files  []File // what was read
	Counts Counts // what happened to it
	Parts  Parts  // how the three sets came about

	Notes []string // what else was noticed while the files were read
}

// Unseen says what becomes of users and items that have test interactions and no training interaction.
type Unseen string

const (
	// Keep leaves them in the catalogue: an item that no model can have learned is ranked by what it was initialised with, mostly a miss, which counts.
	Keep Unseen = "keep"
	// Drop removes them, with their interactions, as SELFRec does: the catalogue is that of the training file.
	Drop Unseen = "drop"
)

// Options say what to load.
type Options struct {
	// Path is a folder with train.txt and, if there are any, test.txt and valid.txt, or with files of one of the other formats by their
	// usual names; or one file, which is split unless it says itself how; or empty for the embedded data.
	Path string
	// Format forces the format of train and test; empty is Auto. A validation file is recognised on its own, since published ones are pairs
	// beside LightGCN files, and has this format only where it may be either.
	Format Format
	// Columns name the columns of files whose names are not the usual ones, or that have none.
	Columns Columns
	// MinRating drops interactions that are rated lower. 0 drops those whose rating or weight is not positive.
	MinRating float64
	// Test is a file of interactions that are tested, instead of the folder's. A single file beside it is all train.
	Test string
	// Valid is a file of interactions that leave train and enter validation. Empty: the folder's valid.txt, or else its only one of val.txt,
	// validation.txt and dev.txt, if there is one.
	Valid string
	// ValidRatio of each user's training interactions, in expectation and never a user's last one, enters validation where the split is
	// given and no validation file says what does. Of a random or temporal split it is the share of validation, 0 meaning a tenth and a
	// negative value none.
	ValidRatio float64
	// TestRatio is the share of test of a random or temporal split, with the same two exceptions.
	TestRatio float64
	// Seed decides the random splits.
	Seed uint64
	// Unseen is Keep (when empty) or Drop.
	Unseen Unseen
	// Split says where train, validation and test come from; when empty, SplitAuto. A split that is not given is of all interactions of the
	// files, whichever part they are in.
	Split Split
	// By is ByAll (when empty) or ByUser.
	By By
	// Ratio is of a random or temporal split; the zero value leaves it to ValidRatio and TestRatio.
	Ratio Ratios
	// KCore filters all interactions before they are split.
	KCore KCore
	// Features reads the items' features, which may have gigabytes: files MODALITY_feat.npy beside the training file, in which row r is of the item whose
	// id is the integer r. That there are none is an error.
	Features bool
	// Modalities are those of Features that are read; empty: all that are there.
	Modalities []string
	// Progress, where not nil, is called while a file is read with its path, the bytes read so far and its size.
	Progress func(file string, done, size int64)
}

const (
	tenMillion = 10_000_000
	tenth      = 0.1 // of what is split, for validation and for test
)

// verify refuses options that mean nothing, and fills in the defaults.
func (o *Options) verify() error {
	if o.Format == "" {
		o.Format = Auto
	}
	if o.Unseen == "" {
		o.Unseen = Keep
	}
	if o.By == "" {
		o.By = ByAll
	}
	switch {
	case !slices.Contains(Formats(), o.Format):
		return fmt.Errorf("dataset: format %q is none of %s", o.Format, strings.Trim(fmt.Sprint(Formats()), "[]"))
	case math.IsNaN(o.MinRating) || math.IsInf(o.MinRating, 0):
		return fmt.Errorf("dataset: the least rating %g is not a number", o.MinRating)
	case o.Unseen != Keep && o.Unseen != Drop:
		return fmt.Errorf("dataset: unseen %q is neither keep nor drop", o.Unseen)
	case !(o.ValidRatio < 1) || !(o.TestRatio < 1):
		return fmt.Errorf("dataset: validation ratio %g and test ratio %g must be below 1", o.ValidRatio, o.TestRatio)
	case len(o.Modalities) > 0 && !o.Features:
		return fmt.Errorf("dataset: the modalities %s are named, and no features are wanted", list(o.Modalities))
	}
	return o.CheckSplit()
}

// Load reads a data set. Users and items are numbered in the order of their ids: by value where all are integers, else by their bytes. An error that a file causes reads "path:line: what". The context ends it early.
func Load(ctx context.Context, o Options) (*Dataset, error) {
	if err := o.verify(); err != nil {
		return nil, err
	}
	at, err := locate(o)
	if err != nil {
		return nil, err
	}
	features, err := at.features(o)
	if err != nil {
		return nil, err
	}
	r := &reading{Options: o, users: newIdentifiers(), items: newIdentifiers()}
	if err := r.readAll(ctx, at); err != nil {
		return nil, err
	}
	d, err := r.dataset()
	if err != nil {
		return nil, err
	}
	chosen, dealt := r.layout, r.dealt
	if r = nil; d.Train.Len() > tenMillion {
		runtime.GC() // what was read is larger than the sets; left to the collector's pace, both would stay through the split
	}
	d.Name, d.Path, d.Notes = at.name, at.path, append(at.notes, d.Notes...)
	if err := d.meet(features); err != nil {
		return nil, err
	}
	if err := d.split(o, at.single && !dealt); err != nil {
		return nil, err
	}
	if err := d.describe(ctx, at, chosen); err != nil {
		return nil, err
	}
	if err := d.readFeatures(ctx, features, o.Progress); err != nil {
		return nil, err
	}
	return d, nil
}

// reading gathers the files of one data set under one numbering.
type reading struct {
	Options
	users, items       *identifiers
	train, test, valid parsed
	layout             layout // of train
	dealt              bool   // the training file dealt its interactions to the three itself
	notes              []string
}

// readAll reads the parts.
func (r *reading) readAll(ctx context.Context, at location) error {
	wants := wanted{r.Format, r.Columns}
	var of struct{ train, test, valid layout }
	for _, part := range []struct {
		*source
		layout *layout
		valid  bool
	}{{&at.train, &of.train, false}, {&at.test, &of.test, false}, {&at.valid, &of.valid, true}} {
		if !part.exists() {
			continue
		}
		if err := part.hold(ctx, mostHeld); err != nil {
			return err
		}
		recognise := wants.recognise
		if part.valid {
			recognise = wants.recogniseValid
		}
		var err error
		if *part.layout, err = recognise(ctx, *part.source); err != nil {
			return err
		}
	}
	of.train.settle(of.test, at.test.shown)
	of.test.settle(of.train, at.train.shown)
	of.valid.settle(of.train, at.train.shown)
	r.layout = of.train
	r.dealt = of.train.format == MMRec
	if r.dealt && (at.test.exists() || at.valid.exists()) {
		return fmt.Errorf("%s deals its interactions to train, validation and test itself (%s): a second file cannot", at.train.shown, splitColumn)
	}

	parts := []struct {
		role string
		source
		layout
		to *parsed
	}{{"train", at.train, of.train, &r.train}, {"test", at.test, of.test, &r.test}, {"valid", at.valid, of.valid, &r.valid}}
	for _, p := range parts {
		if !p.exists() {
			continue
		}
		reader := fileReader{source: p.source, layout: p.layout, wantColumns: r.Columns, minRating: r.MinRating, users: r.users, items: r.items, watch: r.Progress, all: p.to}
		if r.dealt {
			reader.parts = [3]*parsed{&r.train, &r.valid, &r.test}
		}
		if err := reader.read(ctx); err != nil {
			return err
		}
		p.to.file.Role = p.role
	}
	for _, p := range parts {
		if p.exists() && p.header == nil && p.layout.format != Parquet && len(p.to.pairs) > 0 {
			r.noteHeader(p.to)
		}
	}
	if err := compareUnits([]*parsed{&r.train, &r.test, &r.valid}); err != nil {
		return err
	}
	if r.dealt {
		r.train.file.Role = "all"
		if len(r.train.pairs) == 0 {
			return fmt.Errorf("%s has no training interaction: no row has %s 0", at.train.shown, splitColumn)
		}
	}
	return nil
}

// noteHeader notes where the first interaction of a file without a header looks like one.
func (r *reading) noteHeader(p *parsed) {
	first := p.pairs[0]
	if r.users.onlyWord(first.User) && r.items.onlyWord(first.Item) {
		user, item := r.users.name[first.User], r.items.name[first.Item]
		r.notes = append(r.notes, fmt.Sprintf("the first interaction of %s, user %s and item %s, looks like a header, since all other ids are integers: name the columns with -columns user=%s,item=%s",
			p.file.Path, quoted(user), quoted(item), quoted(user), quoted(item)))
	}
}

// dataset numbers the ids finally and builds the sets.
func (r *reading) dataset() (*Dataset, error) {
	var userPlace, itemPlace []int32
	d := &Dataset{Format: r.train.file.Format, Notes: r.notes}
	d.UserID, userPlace = r.users.sorted()
	d.ItemID, itemPlace = r.items.sorted()
	for _, part := range []struct {
		from       *parsed
		to         **Interactions
		duplicates *int
	}{
		{&r.train, &d.Train, &d.Counts.TrainDuplicates},
		{&r.test, &d.Test, &d.Counts.TestDuplicates},
		{&r.valid, &d.Valid, &d.Counts.ValidDuplicates},
	} {
		for k, p := range part.from.pairs {
			part.from.pairs[k] = Pair{userPlace[p.User], itemPlace[p.Item]}
		}
		var err error
		if *part.to, *part.duplicates, err = FromTimedPairs(len(d.UserID), len(d.ItemID), part.from.pairs, part.from.times); err != nil {
			return nil, err
		}
		part.from.pairs, part.from.times = nil, nil
		d.Counts.NoItems += part.from.noItems
		d.Counts.NonPositive += part.from.nonPositive
		d.Counts.LowRated += part.from.lowRated
		if part.from.file.Role != "" {
			d.Files = append(d.Files, part.from.file)
		}
	}
	return d, nil
}

// judgeUnseen counts the users and items without a training interaction and keeps or drops them.
func (d *Dataset) judgeUnseen(unseen Unseen) {
	seen := catalogueOf(d.Train)
	c := &d.Counts
	c.UnseenUsers, c.UnseenItems = d.Train.Users()-seen.users, d.Train.Items-seen.items
	c.UnseenTest, c.UnseenValid = seen.unknown(d.Test), seen.unknown(d.Valid)
	if c.UnseenDropped = unseen == Drop; !c.UnseenDropped {
		return
	}
	d.keep(seen)
}
