package sweep

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"nearfar/trainer/runfolder"
)

// Config is the file that makes a folder a sweep's.
const Config = "sweep.yaml"

// The first line of sweep.yaml is the mark, the layout's version, and the checksum of the data.
const (
	mark   = "# nearfar sweep, layout "
	layout = "1"
)

// Is tells whether a folder holds a sweep.
func Is(path string) bool {
	info, err := os.Stat(filepath.Join(path, Config))
	return err == nil && info.Mode().IsRegular()
}

// Lock takes a folder for the sweep that this process makes or goes on with, until the Closer is closed or the process ends. The folder is absent or
// empty, or has the sweep (Is). runfolder.ErrLocked: another process has it. errors.ErrUnsupported: the file system has no locks.
func Lock(path string) (io.Closer, error) {
	if err := prepare(path); err != nil {
		return nil, err
	}
	return runfolder.LockFolder(path)
}

// prepare makes a sweep's folder, or finds that it may be one.
func prepare(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("sweep: %w", err)
	}
	foreign := func(e fs.DirEntry) bool { // not what a process leaves that was killed before it had written sweep.yaml
		return e.Name() != runfolder.LockFile && !strings.HasPrefix(e.Name(), "."+Config)
	}
	if !Is(path) && slices.ContainsFunc(entries, foreign) {
		return fmt.Errorf("%s is not empty and is not a sweep: name another folder", path)
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		return fmt.Errorf("sweep: %w; -out names another place", err)
	}
	return nil
}

// Create starts a sweep in a folder that Lock would take. config is the YAML of its options.
func Create(path string, config []byte, data uint32) error {
	if err := prepare(path); err != nil {
		return err
	}
	return replace(filepath.Join(path, Config), fmt.Appendf(nil, "%s%s, data %08x\n%s", mark, layout, data, config))
}

// Open checks that a folder holds a sweep that this program reads and gives the checksum of the data that it is over.
func Open(path string) (data uint32, err error) {
	file := filepath.Join(path, Config)
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("%s is not a sweep: it has no %s", path, Config)
	} else if err != nil {
		return 0, fmt.Errorf("sweep: %w", err)
	}
	first, _, _ := bytes.Cut(text, []byte("\n"))
	rest, marked := strings.CutPrefix(strings.TrimSpace(string(first)), mark)
	version, sum, _ := strings.Cut(rest, ", data ")
	checksum, err := strconv.ParseUint(sum, 16, 32)
	switch {
	case !marked || err != nil && version == layout:
		return 0, &runfolder.FileError{Path: file, Reason: runfolder.ErrFormat, Detail: fmt.Sprintf("a sweep's begins with %q", mark+layout)}
	case version != layout:
		return 0, &runfolder.FileError{Path: file, Reason: runfolder.ErrVersion, Detail: fmt.Sprintf("layout %s; this program reads %s", version, layout)}
	}
	return uint32(checksum), nil
}
