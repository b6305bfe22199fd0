//go:build unix

package runfolder

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// lockFile locks the whole file for this process.
func lockFile(file *os.File) error {
	err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		return ErrLocked
	case errors.Is(err, unix.ENOLCK), errors.Is(err, unix.EINVAL): // network file systems without locks
		return errors.ErrUnsupported
	}
	return err // ENOSYS and EOPNOTSUPP are ErrUnsupported
}
