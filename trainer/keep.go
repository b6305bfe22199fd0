package trainer

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"go.uber.org/zap"
)

// ErrUnkept says that a run has ended, its result is there, and part of what it was to leave on disk is not.
var ErrUnkept = errors.New("could not be written")

// A failure is a file that could not be written when it was tried last.
type failure struct {
	err   error
	times int
}

// keep takes note of how a write has ended. A run does not end because its disk is full or its folder is gone: what cannot be written is said once for
// each cause, and tried again at the next occasion; what is left at the end is in unwritten.
func (r *run) keep(file string, err error) {
	if r.Folder != nil {
		if n := r.Folder.Restored(); n > r.restored {
			r.restored = n
			r.Log.Warn(fmt.Sprintf("%s was removed and is there again: what this run has written before and does not write again is lost", r.Folder.Path()))
		}
	}
	former := r.unkept[file]
	switch {
	case err == nil && former != nil:
		r.Log.Info(fmt.Sprintf("%s is written again", file), zap.Int("failures", former.times))
		delete(r.unkept, file)
	case err == nil:
	case former == nil || cause(former.err) != cause(err):
		r.Log.Warn(fmt.Sprintf("%s cannot be written: the run goes on", file), zap.Error(err))
		fallthrough
	default:
		if former == nil {
			former = &failure{}
			r.unkept[file] = former
		}
		former.err = err
		former.times++
	}
}

// cause is an error without the name of the temporary file.
func cause(err error) string {
	var path *fs.PathError
	var link *os.LinkError // of a rename
	switch {
	case errors.As(err, &path):
		return path.Op + ": " + path.Err.Error()
	case errors.As(err, &link):
		return link.Op + ": " + link.Err.Error()
	}
	return err.Error()
}

// unwritten is the error of a run that has ended and could not keep everything; nil where it could.
func (r *run) unwritten() error {
	if len(r.unkept) == 0 {
		return nil
	}
	files := map[string][]string{} // by what went wrong
	for _, file := range slices.Sorted(maps.Keys(r.unkept)) {
		why := cause(r.unkept[file].err)
		files[why] = append(files[why], file)
	}
	var all []string
	for _, why := range slices.Sorted(maps.Keys(files)) {
		all = append(all, fmt.Sprintf("%s (%s)", strings.Join(files[why], ", "), why))
	}
	return fmt.Errorf("the run has ended, but this of it %w in %s: %s; once that is mended, -resume %s goes on from what is there",
		ErrUnkept, r.Folder.Path(), strings.Join(all, "; "), r.Folder.Path())
}
