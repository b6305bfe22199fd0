package runfolder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Renew starts a run in a folder of its own inside another, which is there. Nothing stays of a former run in it. The new one is locked, from before
// anything is removed: ErrLocked says that another process has the former one, and then it is left alone.
func Renew(path string, config []byte) (*Folder, error) {
	if err := os.Mkdir(path, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("run folder: %w", err)
	}
	f := &Folder{path: path}
	err := f.clear()
	if err == nil {
		err = os.Mkdir(filepath.Dir(f.File(LastCheckpoint)), 0o755)
	}
	if err == nil {
		err = f.WriteConfig(config)
	}
	if err != nil {
		return nil, errors.Join(err, f.Unlock())
	}
	return f, nil
}

// Discard removes a run, unless another process has it: ErrLocked.
func Discard(path string) error {
	f := &Folder{path: path}
	if err := errors.Join(f.clear(), f.Unlock()); err != nil {
		return err
	}
	if err := os.RemoveAll(path); err != nil {
		return fmt.Errorf("run folder: %w", err)
	}
	return nil
}

// clear locks the folder and removes all but the lock. The configuration goes first: what is left where the process is killed meanwhile is no run, and
// nobody takes it for one.
func (f *Folder) clear() error {
	if err := f.Lock(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	entries, err := os.ReadDir(f.path)
	if err != nil {
		return fmt.Errorf("run folder: %w", err)
	}
	names := []string{Config}
	for _, e := range entries {
		if e.Name() != LockFile {
			names = append(names, e.Name())
		}
	}
	for _, name := range names {
		if err := os.RemoveAll(f.File(name)); err != nil {
			return fmt.Errorf("run folder: %w", err)
		}
	}
	return nil
}
