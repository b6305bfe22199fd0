package runfolder

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// What can be wrong with a file, for errors.Is.
var (
	ErrFormat    = errors.New("is not a file of this format")
	ErrVersion   = errors.New("has a version this program does not read")
	ErrTruncated = errors.New("is truncated")
	ErrCorrupt   = errors.New("is damaged")
)

// A FileError names a file and what is wrong with it. It wraps ErrFormat, ErrVersion, ErrTruncated or ErrCorrupt.
type FileError struct {
	Path   string
	Reason error  // one of the above
	Detail string // the place and the values found
}

func (e *FileError) Error() string { return fmt.Sprintf("%s %v: %s", e.Path, e.Reason, e.Detail) }

func (e *FileError) Unwrap() error { return e.Reason }

func faulty(reason error, format string, args ...any) error {
	return &FileError{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// inFile gives the error of a reader the path it does not know.
func inFile(path string, err error) error {
	var file *FileError
	var system *fs.PathError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &file):
		file.Path = path
		return err
	case errors.As(err, &system):
		return err // names its file already
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return &FileError{path, ErrTruncated, "it became shorter while it was read"}
	}
	return fmt.Errorf("%s: %w", path, err)
}
