package runfolder

import (
	"errors"
	"io"
	"os"
	"path/filepath"
)

// replaceFile writes path through a file beside it, which is synced and renamed. renameio has no Windows version, since no
// atomic replacement is promised there; os.Rename replaces the file in one call of the system. ready, where not nil, is called when the new
// file is whole and on the disk, before it takes its place.
func replaceFile(path string, write func(io.Writer) error, ready func() error) (err error) {
	pending, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path))
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(pending.Name()))
		}
	}()
	if err := errors.Join(write(pending), pending.Sync(), pending.Close()); err != nil {
		return err
	}
	if ready != nil {
		if err := ready(); err != nil {
			return err
		}
	}
	return os.Rename(pending.Name(), path)
}
