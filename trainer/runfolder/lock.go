package runfolder

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ErrLocked says that another process has the run.
var ErrLocked = errors.New("is being trained by another process")

// LockFolder takes a folder for this process until the Closer is closed, or until the process ends, however that happens: the system holds the lock,
// the file that is left behind means nothing. ErrLocked: another process has it. errors.ErrUnsupported: the file system has no locks.
func LockFolder(path string) (io.Closer, error) {
	file, err := lockIn(path)
	if err != nil {
		return nil, err
	}
	return file, nil
}

func lockIn(path string) (*os.File, error) {
	name := filepath.Join(path, LockFile)
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("run folder: %w", err)
	}
	if err := lockFile(file); err != nil {
		owner, _ := io.ReadAll(io.LimitReader(file, 100))
		file.Close()
		if errors.Is(err, ErrLocked) {
			return nil, fmt.Errorf("%s %w (%s): wait for it, or end it", path, ErrLocked, strings.TrimSpace(string(owner)))
		}
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	// Who has it is for the message alone, and a full disk no reason not to train.
	if file.Truncate(0) == nil {
		fmt.Fprintf(file, "process %d\n", os.Getpid())
	}
	return file, nil
}

// Lock takes the run as LockFolder takes a folder, until Unlock. A run that this Folder has already is nothing to wait for.
func (f *Folder) Lock() (err error) {
	if f.lock == nil {
		f.lock, err = lockIn(f.path)
	}
	return err
}

// Unlock ends what Lock began.
func (f *Folder) Unlock() error {
	if f.lock == nil {
		return nil
	}
	defer func() { f.lock = nil }()
	return f.lock.Close()
}

// restore makes the folder again where it was removed under a run that holds its lock. Its parent must be there: where that is gone too, the device
// may be, and its mount point is no place for a run.
func (f *Folder) restore() error {
	if f.lock == nil {
		return nil
	}
	held, err := f.lock.Stat()
	if err != nil {
		return fmt.Errorf("run folder: %w", err)
	}
	there, err := os.Stat(f.File(LockFile))
	switch {
	case err == nil && os.SameFile(held, there):
		err := os.Mkdir(filepath.Dir(f.File(LastCheckpoint)), 0o755)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("run folder: %w", err)
		}
		return nil
	case err == nil:
		return fmt.Errorf("%s is another run's folder now", f.path)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("run folder: %w", err)
	}
	for _, folder := range []string{f.path, filepath.Dir(f.File(LastCheckpoint))} {
		if err := os.Mkdir(folder, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("run folder: %w", err)
		}
	}
	again, err := lockIn(f.path)
	if err != nil {
		return err
	}
	f.lock.Close()
	f.lock = again
	f.restored++
	return inFile(f.File(Config), replaceFile(f.File(Config), writing(f.config), nil))
}

// Restored is how often the folder was removed under the run and made again.
func (f *Folder) Restored() int { return f.restored }

// RemoveTemporaries removes the unfinished files that a killed process leaves beside their places, and gives their number. The run must be locked.
func (f *Folder) RemoveTemporaries() (int, error) {
	var errs []error
	removed := 0
	for _, name := range files {
		place := f.File(name)
		entries, err := os.ReadDir(filepath.Dir(place))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, e := range entries {
			number, ours := strings.CutPrefix(e.Name(), "."+filepath.Base(place))
			if !ours || number == "" || strings.Trim(number, "0123456789") != "" {
				continue
			}
			if err := os.Remove(filepath.Join(filepath.Dir(place), e.Name())); err != nil {
				errs = append(errs, err)
				continue
			}
			removed++
		}
	}
	return removed, errors.Join(errs...)
}

// SetAside renames a file that cannot be used to NAME.damaged, so that nothing takes it for a good one and its owner can look at it.
func (f *Folder) SetAside(name string) error {
	return os.Rename(f.File(name), f.File(name)+".damaged")
}
