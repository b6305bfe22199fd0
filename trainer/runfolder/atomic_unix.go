//go:build !windows

package runfolder

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// replaceFile writes path through a file beside it, which is synced and renamed; then the folder is synced, without which a power failure could
// undo the rename. Where write fails, path is untouched. ready, where not nil, is called when the new file is whole and on the disk, before it
// takes its place.
func replaceFile(path string, write func(io.Writer) error, ready func() error) error {
	dir := filepath.Dir(path)
	pending, err := renameio.NewPendingFile(path, renameio.WithTempDir(dir), renameio.WithPermissions(0o644))
	if err != nil {
		return err
	}
	err = write(pending)
	if err == nil && ready != nil {
		if err = pending.Sync(); err == nil {
			err = ready()
		}
	}
	if err == nil {
		err = pending.CloseAtomicallyReplace()
	}
	if err != nil {
		return errors.Join(err, pending.Cleanup())
	}
	return syncFolder(dir)
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
