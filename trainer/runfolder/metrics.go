package runfolder

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"sync"
)

// Metrics appends events to metrics.jsonl. It may be used by several goroutines.
type Metrics struct {
	mu        sync.Mutex
	folder    *Folder
	file      *os.File
	end       int64  // of the complete lines in the file
	unwritten []byte // lines that the file has not taken yet
}

// OpenMetrics opens metrics.jsonl for appending. A last line without its end, which a crash can leave, is cut off.
func (f *Folder) OpenMetrics() (*Metrics, error) {
	path := f.File(MetricsFile)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	end, err := completeLines(file)
	if err == nil {
		err = file.Truncate(end)
	}
	if err == nil {
		_, err = file.Seek(end, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(inFile(path, err), file.Close())
	}
	return &Metrics{folder: f, file: file, end: end}, nil
}

// completeLines is the offset behind the last line end.
func completeLines(file *os.File) (int64, error) {
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	block := make([]byte, 4096)
	for end := info.Size(); end > 0; {
		start := max(0, end-int64(len(block)))
		b := block[:end-start]
		if _, err := file.ReadAt(b, start); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(b, '\n'); i >= 0 {
			return start + int64(i) + 1, nil
		}
		end = start
	}
	return 0, nil
}

// Append writes one event as a line, which is in the file when Append returns. Where it cannot be written, the line waits for the next Append, and
// the file keeps complete lines. JSON has no numbers that are not finite: they are written as the strings "NaN", "Infinity" and "-Infinity",
// which Go's and Python's float parsers read.
func (m *Metrics) Append(event map[string]any) error {
	line, err := json.Marshal(finite(event))
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.unwritten = append(append(m.unwritten, line...), '\n')
	return m.flush()
}

// Sync writes the lines that wait, and returns when all are on the disk.
func (m *Metrics) Sync() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.flush(); err != nil {
		return err
	}
	if err := m.file.Sync(); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	return nil
}

func (m *Metrics) flush() error {
	if err := m.follow(); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	if len(m.unwritten) == 0 {
		return nil
	}
	_, err := m.folder.writer(MetricsFile, m.file).Write(m.unwritten)
	if err != nil { // a full disk takes half a line
		_, seek := m.file.Seek(m.end, io.SeekStart)
		return fmt.Errorf("metrics: %w", errors.Join(err, m.file.Truncate(m.end), seek))
	}
	m.end += int64(len(m.unwritten))
	m.unwritten = nil
	return nil
}

// follow finds out whether the run still has the open file: where its folder was removed, a write would succeed and be lost. The lines so far are
// read from the open file and put into a new one.
func (m *Metrics) follow() error {
	path := m.folder.File(MetricsFile)
	there, err := os.Stat(path)
	if err == nil {
		open, err := m.file.Stat()
		if err == nil && !os.SameFile(open, there) {
			err = fmt.Errorf("%s was replaced by another file", path)
		}
		return err
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := m.folder.restore(); err != nil {
		return err
	}
	anew, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	if _, err = io.Copy(m.folder.writer(MetricsFile, anew), io.NewSectionReader(m.file, 0, m.end)); err != nil {
		return errors.Join(err, anew.Close(), os.Remove(path))
	}
	former := m.file
	m.file = anew
	former.Close() // its name is gone
	return nil
}

// Close syncs and closes the file.
func (m *Metrics) Close() error { return errors.Join(m.Sync(), m.file.Close()) }

// ReadMetrics reads the events of a run. A last line without its end is left out; any other line that is no JSON object is
// an error with its place. Integers keep their digits as json.Number.
func (f *Folder) ReadMetrics() ([]map[string]any, error) {
	path := f.File(MetricsFile)
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	defer file.Close()
	var events []map[string]any
	lines := bufio.NewReader(file)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return events, nil
		} else if err != nil {
			return nil, fmt.Errorf("metrics: %w", err)
		}
		decoder := json.NewDecoder(bytes.NewReader(line))
		decoder.UseNumber()
		var event map[string]any
		if err := decoder.Decode(&event); err != nil {
			return nil, &FileError{fmt.Sprintf("%s:%d", path, n), ErrCorrupt, err.Error()}
		}
		events = append(events, event)
	}
}

// KeepMetrics rewrites metrics.jsonl with the events for which keep is true. A run that resumes from a checkpoint drops what
// came after it, so that each epoch stands once. The file must not be open as Metrics.
func (f *Folder) KeepMetrics(keep func(event map[string]any) bool) error {
	events, err := f.ReadMetrics()
	if err != nil {
		return err
	}
	return f.replace(MetricsFile, func(w io.Writer) error {
		encoder := json.NewEncoder(w)
		for _, event := range events {
			if keep(event) {
				if err := encoder.Encode(event); err != nil {
					return err
				}
			}
		}
		return nil
	}, nil)
}

// finite is the event with its non-finite numbers as strings, maps and []any inside included. The event itself is unchanged.
func finite(event map[string]any) map[string]any {
	out := make(map[string]any, len(event))
	for key, value := range event {
		out[key] = finiteValue(value)
	}
	return out
}

func finiteValue(value any) any {
	switch v := value.(type) {
	case float64:
		switch {
		case math.IsNaN(v):
			return "NaN"
		case math.IsInf(v, 1):
			return "Infinity"
		case math.IsInf(v, -1):
			return "-Infinity"
		}
	case float32:
		if x := float64(v); math.IsNaN(x) || math.IsInf(x, 0) {
			return finiteValue(x)
		}
	case map[string]any:
		return finite(v)
	case map[string]float64:
		out := make(map[string]any, len(v))
		for key, x := range v {
			out[key] = finiteValue(x)
		}
		return out
	case []float64:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = finiteValue(x)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = finiteValue(x)
		}
		return out
	}
	return value
}
