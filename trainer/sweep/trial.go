package sweep

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"nearfar/trainer"
	"nearfar/trainer/runfolder"
)

// A Setting is the value of one option.
type Setting struct {
	Option string `json:"option"`
	Value  string `json:"value"`
}

// A Trial is one configuration of a sweep. Without a grid there is one trial, without settings.
type Trial struct {
	Number   int // from 1
	Settings []Setting
}

// String is "tau=0.1,lambda=0.05".
func (t Trial) String() string {
	parts := make([]string, len(t.Settings))
	for i, s := range t.Settings {
		parts[i] = s.Option + "=" + s.Value
	}
	return strings.Join(parts, ",")
}

// longestName keeps the paths of a run's files within what every file system takes.
const longestName = 120

// Folder is the name of the trial's run of a seed: 001-tau=0.1,lambda=0.05-s1, or s1 where there is one trial without settings. Values that no
// file name could have are changed there, and long ones cut: the number tells trials apart.
func (t Trial) Folder(seed uint64) string {
	if len(t.Settings) == 0 {
		return fmt.Sprintf("s%d", seed)
	}
	plain := func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-+=,", r) {
			return r
		}
		return '_'
	}
	name := strings.Map(plain, t.String())
	return fmt.Sprintf("%03d-%s-s%d", t.Number, name[:min(len(name), longestName)], seed)
}

// State says how far a run is.
type State string

const (
	Absent  State = "not run"
	Started State = "started" // it has no checkpoint yet: it begins anew
	Saved   State = "saved"   // it goes on from its last checkpoint
	Done    State = "done"
	Failed  State = "failed"
)

// A Run is what a folder says of one trial under one seed.
type Run struct {
	Folder  string         `json:"folder"` // relative to the sweep's
	Seed    uint64         `json:"seed"`
	State   State          `json:"state"`
	Error   string         `json:"error,omitempty"`
	Result  trainer.Result `json:"-"`
	Damaged error          `json:"-"` // why a result that is there is none
}

const failure = "failed.json"

type failed struct {
	Error string `json:"error"`
}

// Inspect reads how far the run in a sweep's folder is. A result counts before a failure: a run that has failed and has a result was gone on with and
// has come to its end. A damaged result counts as none. An error is the disk's, or that the folder is of another version of this program.
func Inspect(sweep, name string, seed uint64) (Run, error) {
	r := Run{Folder: name, Seed: seed, State: Absent}
	path := filepath.Join(sweep, name)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	r.State = Started
	folder, err := runfolder.Open(path)
	switch {
	case errors.Is(err, runfolder.ErrVersion):
		return r, err
	case err != nil: // killed before its configuration was written
	case folder.Has(runfolder.LastCheckpoint), folder.Has(runfolder.PreviousCheckpoint):
		r.State = Saved
	}
	if err == nil && folder.Has(runfolder.Result) {
		switch err := folder.ReadResult(&r.Result); {
		case err == nil:
			r.State = Done
			return r, nil
		case errors.Is(err, runfolder.ErrCorrupt):
			r.Result, r.Damaged = trainer.Result{}, err
		default:
			return r, err
		}
	}
	if text, err := os.ReadFile(filepath.Join(path, failure)); err == nil {
		var f failed
		if err := json.Unmarshal(text, &f); err != nil {
			return r, fmt.Errorf("%s: %w; delete it to train this trial again", filepath.Join(path, failure), err)
		}
		r.State, r.Error = Failed, f.Error
	}
	return r, nil
}

// Fail leaves the error by which a run ended in its folder, so that the sweep goes on without it, and again after a resume.
func Fail(sweep, name string, err error) error {
	text, marshal := json.MarshalIndent(failed{err.Error()}, "", "  ")
	if marshal != nil {
		return marshal
	}
	return replace(filepath.Join(sweep, name, failure), append(text, '\n'))
}

// replace writes a small file beside its place and renames it.
func replace(path string, text []byte) error {
	err := runfolder.ReplaceFile(path, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
	if err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	return nil
}
