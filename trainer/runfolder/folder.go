package runfolder

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Files of a run, relative to its folder.
const (
	Config             = "config.yaml"
	MetricsFile        = "metrics.jsonl"
	LogFile            = "log.jsonl"
	LockFile           = "lock"
	LastCheckpoint     = "checkpoint/last.ckpt"
	PreviousCheckpoint = "checkpoint/previous.ckpt"
	BestCheckpoint     = "checkpoint/best.ckpt"
	Embeddings         = "embeddings.safetensors"
	Weights            = "weights.safetensors"
	Users              = "users.txt"
	Items              = "items.txt"
	UserAttributes     = "user-attributes.txt" // where the model has an embedding for each of them
	ItemAttributes     = "item-attributes.txt"
	Result             = "result.json"
	PerUserFile        = "per-user.tsv.gz"
)

// The first line of config.yaml is the mark, then the layout's version.
const (
	mark   = "# nearfar run, layout "
	layout = 1
)

// A Folder is a run on disk.
type Folder struct {
	path     string
	config   []byte // of which a lost folder is made again
	restored int
	lock     *os.File
	through  func(name string, w io.Writer) io.Writer
}

// Name is the default name of a run: <model>-<data>-<timestamp>-s<seed>. The data set may be given by its path.
func Name(model, data string, start time.Time, seed uint64) string {
	data = filepath.Base(filepath.Clean(data))
	data = strings.TrimSuffix(data, filepath.Ext(data))
	plain := func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-' {
			return r
		}
		return '_'
	}
	return fmt.Sprintf("%s-%s-%s-s%d", strings.Map(plain, model), strings.Map(plain, data), start.Format("20060102-150405"), seed)
}

// Create starts a run in a folder that is absent or empty, with the configuration as YAML. A folder that holds anything is
// refused: a run is to be continued with Open, and other files are not ours.
func Create(path string, config []byte) (*Folder, error) {
	entries, err := os.ReadDir(path)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("run folder: %w", err)
	case len(entries) > 0:
		if _, err := Open(path); err == nil {
			return nil, fmt.Errorf("%s holds a run already: continue it with -resume %s, or name another folder", path, path)
		}
		return nil, fmt.Errorf("%s is not empty and is not a run: name another folder", path)
	}
	f := &Folder{path: path}
	if err := os.MkdirAll(filepath.Dir(f.File(LastCheckpoint)), 0o755); err != nil {
		return nil, fmt.Errorf("run folder: %w", err)
	}
	if err := f.WriteConfig(config); err != nil {
		return nil, err
	}
	return f, nil
}

// WriteConfig replaces config.yaml, below the mark.
func (f *Folder) WriteConfig(config []byte) error {
	whole := fmt.Appendf(nil, "%s%d\n%s", mark, layout, config)
	if err := f.replace(Config, writing(whole), nil); err != nil {
		return fmt.Errorf("run folder: %w", err)
	}
	f.config = whole
	return nil
}

// Open finds a run that Create made.
func Open(path string) (*Folder, error) {
	f := &Folder{path: path}
	config, err := os.ReadFile(f.File(Config))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is not a run: it has no %s", path, Config)
	} else if err != nil {
		return nil, fmt.Errorf("run folder: %w", err)
	}
	first, _, _ := bytes.Cut(config, []byte("\n"))
	version, marked := strings.CutPrefix(strings.TrimSpace(string(first)), mark)
	if !marked {
		return nil, &FileError{f.File(Config), ErrFormat, fmt.Sprintf("a run's begins with %q", mark+strconv.Itoa(layout))}
	}
	if version != strconv.Itoa(layout) {
		return nil, &FileError{f.File(Config), ErrVersion, fmt.Sprintf("layout %s; this program reads %d", version, layout)}
	}
	f.config = config
	return f, nil
}

// files are all that a run writes.
var files = []string{Config, MetricsFile, LogFile, LockFile, LastCheckpoint, PreviousCheckpoint, BestCheckpoint, Embeddings, Weights, Users, Items, UserAttributes, ItemAttributes,
	Result, PerUserFile}

// Path is the folder itself.
func (f *Folder) Path() string { return f.path }

// File is the path of one of the run's files.
func (f *Folder) File(name string) string { return filepath.Join(f.path, filepath.FromSlash(name)) }

// Has tells whether a file of the run exists.
func (f *Folder) Has(name string) bool {
	info, err := os.Stat(f.File(name))
	return err == nil && info.Mode().IsRegular()
}

// Through makes every later write of the run's files go through the writer that wrap gives. It is how a test fills a disk.
func (f *Folder) Through(wrap func(name string, w io.Writer) io.Writer) { f.through = wrap }

func (f *Folder) writer(name string, w io.Writer) io.Writer {
	if f.through == nil {
		return w
	}
	return f.through(name, w)
}

// replace is replaceFile for one of the run's files. A folder that was removed is made again.
func (f *Folder) replace(name string, write func(io.Writer) error, ready func() error) error {
	if err := f.restore(); err != nil {
		return err
	}
	return inFile(f.File(name), replaceFile(f.File(name), func(w io.Writer) error { return write(f.writer(name, w)) }, ready))
}

func writing(text []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	}
}

// WriteResult writes result.json. Numbers that are not finite need to stand in a map[string]any (see Metrics.Append).
func (f *Folder) WriteResult(result any) error {
	if event, ok := result.(map[string]any); ok {
		result = finite(event)
	}
	text, err := json.MarshalIndent(result, "", "  ")
	if err != nil {
		return fmt.Errorf("%s: %w", f.File(Result), err)
	}
	return f.replace(Result, writing(append(text, '\n')), nil)
}

// ReadResult reads result.json into what the pointer points to.
func (f *Folder) ReadResult(into any) error {
	text, err := os.ReadFile(f.File(Result))
	if err != nil {
		return fmt.Errorf("the run has no result yet: %w", err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return &FileError{f.File(Result), ErrCorrupt, err.Error()}
	}
	return nil
}
