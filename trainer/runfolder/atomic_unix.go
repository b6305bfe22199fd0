//go:build !windows

package runfolder

import (
	"errors"
	"io"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// replaceFile writes path through a file beside it, which is synced and renamed. Where write fails, path is untouched.
func replaceFile(path string, write func(io.Writer) error) error {
	pending, err := renameio.NewPendingFile(path, renameio.WithTempDir(filepath.Dir(path)), renameio.WithPermissions(0o644))
	if err != nil {
		return err
	}
	if err := write(pending); err != nil {
		return errors.Join(err, pending.Cleanup())
	}
	if err := pending.CloseAtomicallyReplace(); err != nil {
		return errors.Join(err, pending.Cleanup())
	}
	return nil
}
