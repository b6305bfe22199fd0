package sweep

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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

// Create starts a sweep in a folder that is absent or empty, or has the sweep to go on with (Is). config is the YAML of its options.
func Create(path string, config []byte, data uint32) error {
	entries, err := os.ReadDir(path)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("sweep: %w", err)
	case len(entries) > 0 && !Is(path):
		return fmt.Errorf("%s is not empty and is not a sweep: name another folder", path)
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		return fmt.Errorf("sweep: %w; -out names another place", err)
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
