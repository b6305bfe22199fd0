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

// location is where the parts of a data set are; a part that there is not does not exist.
type location struct {
	name, path         string
	train, test, valid source
	single             bool // train is all there is
	notes              []string
}

// ErrMissing says that there is nothing at Options.Path.
var ErrMissing = errors.New("no such file or folder")

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
		return at, fmt.Errorf("%w: %s (wanted: a folder with train.txt and test.txt, or one file of interactions)", ErrMissing, o.Path)
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
		at.name = strings.TrimSuffix(at.name, ".gz")
		at.name = strings.TrimSuffix(at.name, filepath.Ext(at.name))
		at.train, at.single = fileAt(o.Path), true
	}
	return at, errors.Join(err, at.explicit(o))
}

// fileAt is a file anywhere on the disk.
func fileAt(path string) source {
	return source{fsys: os.DirFS(filepath.Dir(path)), name: filepath.Base(path), shown: path}
}

// extensions of files of interactions, each with or without .gz.
var extensions = []string{".txt", ".inter", ".csv", ".tsv", ".dat", ".parquet"}

// wholes are names of single files that a folder may hold instead of train and test.
var wholes = []string{"ratings", "interactions", "u.data"}

// folder looks for train.txt, test.txt and valid.txt, for the same with another extension or after a name (NAME.train.inter), or for one file
// that is everything: ratings.dat, ratings.csv, u.data, the only .inter file.
func (at *location) folder(fsys fs.FS, shown string) error {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return fmt.Errorf("cannot read the folder %s: %w", shown, err)
	}
	var names []string
	found := map[string][]string{} // by role
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() {
			name += " (a folder)"
		}
		names = append(names, name)
		if role := roleOf(e.Name()); role != "" && !e.IsDir() {
			found[role] = append(found[role], e.Name())
		}
	}
	one := func(role string, to *source) error {
		of := found[role]
		if plain := role + ".txt"; slices.Contains(of, plain) {
			if len(of) > 1 {
				others := slices.DeleteFunc(slices.Clone(of), func(name string) bool { return name == plain })
				at.notes = append(at.notes, fmt.Sprintf("not read in %s: %s, beside %s", shown, strings.Join(others, ", "), plain))
			}
			of = []string{plain}
		}
		switch len(of) {
		case 0:
			return nil
		case 1:
			*to = source{fsys: fsys, name: of[0], shown: filepath.Join(shown, of[0])}
			return nil
		}
		return fmt.Errorf("%s has %s: name the one that is meant", shown, strings.Join(of, " and "))
	}
	if len(found["train"]) > 0 {
		switch other := found[otherValid]; {
		case len(found["valid"]) == 0 && len(other) == 1:
			found["valid"] = other
		case len(other) > 0:
			at.notes = append(at.notes, fmt.Sprintf("not read in %s: %s; -valid names a validation file", shown, strings.Join(other, ", ")))
		}
		return errors.Join(one("train", &at.train), one("test", &at.test), one("valid", &at.valid))
	}
	if len(found["all"]) > 0 {
		at.single = true
		return one("all", &at.train)
	}
	has := "it is empty"
	if len(names) > 0 {
		has = "it has " + strings.Join(names[:min(len(names), 8)], ", ")
	}
	return fmt.Errorf("%s has no train.txt: %s (wanted: train.txt and test.txt, or another format by its usual names, or the path of one file)", shown, has)
}

// otherValid is the role of a file by another usual name of the validation part: it is one where nothing else is.
const otherValid = "val, validation or dev"

// roleOf tells from a file's name what part of a data set it is: train, test, valid, otherValid, all, or "" for none.
func roleOf(name string) string {
	name = strings.TrimSuffix(name, ".gz")
	if slices.Contains(wholes, name) {
		return "all"
	}
	extension := filepath.Ext(name)
	if !slices.Contains(extensions, extension) {
		return ""
	}
	stem := strings.TrimSuffix(name, extension)
	for _, part := range []struct{ name, role string }{
		{"train", "train"}, {"test", "test"}, {"valid", "valid"}, {"val", otherValid}, {"validation", otherValid}, {"dev", otherValid},
	} {
		if stem == part.name || extension == ".inter" && strings.HasSuffix(stem, "."+part.name) {
			return part.role
		}
	}
	if extension == ".inter" || slices.Contains(wholes, stem) {
		return "all"
	}
	return ""
}

// explicit takes test and validation from where the options say.
func (at *location) explicit(o Options) error {
	if o.Test != "" {
		at.test, at.single = fileAt(o.Test), false
	}
	switch {
	case o.Valid != "" && o.method(at.single) != SplitGiven:
		return fmt.Errorf("-valid %s takes interactions out of a given train part, and the single file %s is split at random: with -split given all of it is train",
			o.Valid, o.Path)
	case o.Valid != "":
		at.valid, at.notes = fileAt(o.Valid), nil
	}
	return nil
}

// beside is the first regular file of the names, packed or not, that lies in the folder of a source.
func (s source) beside(names ...string) source {
	for _, name := range names {
		for _, packed := range []string{"", ".gz"} {
			if info, err := fs.Stat(s.fsys, name+packed); err == nil && info.Mode().IsRegular() { // a pipe would have to be waited for
				return source{fsys: s.fsys, name: name + packed, shown: filepath.Join(filepath.Dir(s.shown), name+packed)}
			}
		}
	}
	return source{}
}
