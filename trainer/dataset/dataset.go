// Package dataset turns files of interactions into sets of integer pairs: who bought, read or heard what, split into train,
// validation and test. Ids stay the strings that the user wrote; whatever is merged, moved or dropped on the way is counted.
package dataset

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"nearfar/testdata"
)

// Dataset is interactions over one numbering of users and items: Train, Valid and Test all have the same Users and Items.
type Dataset struct {
	Name   string
	Path   string // as it was given; for the embedded data, a description
	Format Format // of the training file

	UserID, ItemID []string // [users], [items]: the ids as they were written

	ItemTitle              []string    // [items], "" for an item without one; nil where the data has no titles
	UserFields, ItemFields *Attributes // categorical fields of the rows of UserID and ItemID; nil where the data has none

	Train, Valid, Test *Interactions // never nil; Valid and Test may be without interactions

	Files  []File // what was read
	Counts Counts // what happened to it
	Parts  Parts  // how the three sets came about
}

// Unseen says what becomes of users and items that have test interactions and no training interaction.
type Unseen string

const (
	// Keep leaves them in the catalogue: an item that no model can have learned is a miss that counts in the denominator.
	Keep Unseen = "keep"
	// Drop removes them, with their interactions, as SELFRec does: the catalogue is that of the training file.
	Drop Unseen = "drop"
)

// Options say what to load.
type Options struct {
	// Path is a folder with train.txt and, if there are any, test.txt and valid.txt; or one file, which is split;
	// or empty for the embedded data.
	Path string
	// Format forces the format of train and test; empty is Auto. A validation file is always recognised on its own: published
	// ones are pairs beside LightGCN files.
	Format Format
	// Valid is a file of interactions that leave train and enter validation. Empty: the folder's valid.txt, if there is one.
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
}

const tenth = 0.1 // of what is split, for validation and for test

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
	case !slices.Contains([]Format{Auto, LightGCN, Pairs}, o.Format):
		return fmt.Errorf("dataset: format %q is none of auto, lightgcn, pairs", o.Format)
	case o.Unseen != Keep && o.Unseen != Drop:
		return fmt.Errorf("dataset: unseen %q is neither keep nor drop", o.Unseen)
	case !(o.ValidRatio < 1) || !(o.TestRatio < 1):
		return fmt.Errorf("dataset: validation ratio %g and test ratio %g must be below 1", o.ValidRatio, o.TestRatio)
	}
	return o.CheckSplit()
}

// Load reads a data set. Users and items are numbered by first appearance in train, then test, then validation; ids that are all integers
// are numbered in increasing order instead. An error that a file causes reads "path:line: what".
func Load(o Options) (*Dataset, error) {
	if err := o.verify(); err != nil {
		return nil, err
	}
	at, err := locate(o)
	if err != nil {
		return nil, err
	}
	r := reading{format: o.Format, users: newIdentifiers(), items: newIdentifiers()}
	if err := r.readAll(at); err != nil {
		return nil, err
	}
	d, err := r.dataset()
	if err != nil {
		return nil, err
	}
	d.Name, d.Path = at.name, at.path
	if err := d.split(o, at.single); err != nil {
		return nil, err
	}
	return d, nil
}

// location is where the parts of a data set are; a part without one has no name.
type location struct {
	name, path         string
	train, test, valid source
	single             bool // train is all there is
}

// locate finds the files of the data set.
func locate(o Options) (at location, err error) {
	if o.Path == "" {
		folder, err := fs.Sub(testdata.Files, testdata.AmazonElectronics)
		if err != nil {
			return at, err
		}
		at = location{name: testdata.AmazonElectronics, path: testdata.AmazonElectronics + " (embedded)"}
		err = at.folder(folder, testdata.AmazonElectronics)
		return at, errors.Join(err, at.explicit(o))
	}
	info, err := os.Stat(o.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return at, fmt.Errorf("no such file or folder: %s (wanted: a folder with train.txt and test.txt, or one file of interactions)", o.Path)
	}
	if err != nil {
		return at, fmt.Errorf("cannot read the data: %w", err)
	}
	whole := filepath.Clean(o.Path)
	if absolute, err := filepath.Abs(whole); err == nil {
		whole = absolute // so that "." has a name
	}
	at = location{name: filepath.Base(whole), path: o.Path}
	if info.IsDir() {
		err = at.folder(os.DirFS(o.Path), o.Path)
	} else {
		at.name = strings.TrimSuffix(at.name, filepath.Ext(at.name))
		at.train, at.single = fileAt(o.Path), true
	}
	return at, errors.Join(err, at.explicit(o))
}

// fileAt is a file anywhere on the disk.
func fileAt(path string) source {
	return source{os.DirFS(filepath.Dir(path)), filepath.Base(path), path}
}

// folder looks for train.txt, test.txt and valid.txt.
func (at *location) folder(fsys fs.FS, shown string) error {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return fmt.Errorf("cannot read the folder %s: %w", shown, err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
		s := source{fsys, e.Name(), filepath.Join(shown, e.Name())}
		switch e.Name() {
		case "train.txt":
			at.train = s
		case "test.txt":
			at.test = s
		case "valid.txt":
			at.valid = s
		}
	}
	if at.train.name == "" {
		found := "it is empty"
		if len(names) > 0 {
			found = "it has " + strings.Join(names[:min(len(names), 8)], ", ")
		}
		return fmt.Errorf("%s has no train.txt: %s (wanted: train.txt and test.txt, or the path of one file)", shown, found)
	}
	return nil
}

// explicit takes the validation set from where the options say.
func (at *location) explicit(o Options) error {
	switch {
	case o.Valid != "" && o.method(at.single) != SplitGiven:
		return fmt.Errorf("-valid %s takes interactions out of a given train part, and the single file %s is split at random: with -split given all of it is train",
			o.Valid, o.Path)
	case o.Valid != "":
		at.valid = fileAt(o.Valid)
	}
	return nil
}

// reading gathers the files of one data set under one numbering.
type reading struct {
	format             Format
	users, items       *identifiers
	train, test, valid parsed
}

// readAll reads the parts in the order in which ids are numbered.
func (r *reading) readAll(at location) error {
	train, err := at.train.read()
	if err != nil {
		return err
	}
	var test, valid content
	if at.test.name != "" {
		if test, err = at.test.read(); err != nil {
			return err
		}
	}
	if at.valid.name != "" {
		if valid, err = at.valid.read(); err != nil {
			return err
		}
	}

	// A file that would pass as both follows the other one; three columns and no user twice everywhere is "user item item".
	ofTrain, ofTest := recognition{format: r.format}, recognition{format: r.format}
	if r.format == Auto {
		ofTrain, ofTest = train.recognise(), test.recognise()
		ofTrain.orElse(ofTest.format, LightGCN)
		ofTest.orElse(ofTrain.format)
	}
	ofValid := valid.recognise()
	ofValid.orElse(ofTrain.format)

	parts := []struct {
		role string
		content
		recognition
		to *parsed
	}{{"train", train, ofTrain, &r.train}, {"test", test, ofTest, &r.test}, {"valid", valid, ofValid, &r.valid}}
	for _, p := range parts {
		if p.text == nil {
			continue
		}
		if *p.to, err = p.parse(p.recognition, r.users, r.items); err != nil {
			return err
		}
		p.to.file.Role = p.role
	}
	return nil
}

// orElse settles an undecided recognition by the first alternative that is decided.
func (r *recognition) orElse(formats ...Format) {
	for _, f := range formats {
		if r.format == Auto {
			r.format = f
		}
	}
}

// dataset numbers the ids finally and builds the sets.
func (r *reading) dataset() (*Dataset, error) {
	var userPlace, itemPlace []int32
	d := &Dataset{Format: r.train.file.Format}
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
