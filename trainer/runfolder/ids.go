package runfolder

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

// WriteIDs writes one id a line: line n belongs to row n of the embeddings.
func WriteIDs(path string, ids []string) error {
	return inFile(path, replaceFile(path, func(w io.Writer) error { return writeIDs(w, ids) }, nil))
}

// WriteIDs replaces one of the run's files as the function of that name does.
func (f *Folder) WriteIDs(name string, ids []string) error {
	return f.replace(name, func(w io.Writer) error { return writeIDs(w, ids) }, nil)
}

func writeIDs(w io.Writer, ids []string) error {
	out := bufio.NewWriter(w)
	for i, id := range ids {
		line, err := idLine(i, id)
		if err != nil {
			return err
		}
		out.WriteString(line)
		out.WriteByte('\n')
	}
	return out.Flush()
}

// idLine is the i-th id as it stands on a line: as a JSON string where it is empty, begins with a quotation mark, or holds control characters.
func idLine(i int, id string) (string, error) {
	if !utf8.ValidString(id) {
		return "", fmt.Errorf("id %d, %q, is not UTF-8", i, id)
	}
	if id != "" && id[0] != '"' && !strings.ContainsFunc(id, func(r rune) bool { return r < ' ' }) {
		return id, nil
	}
	quoted, err := json.Marshal(id)
	return string(quoted), err
}

// ReadIDs reads what WriteIDs wrote.
func ReadIDs(path string) ([]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("ids: %w", err)
	}
	if len(text) == 0 {
		return nil, nil
	}
	lines, complete := strings.CutSuffix(string(text), "\n")
	if !complete {
		return nil, &FileError{path, ErrTruncated, "the last line has no end"}
	}
	ids := strings.Split(lines, "\n")
	for i, id := range ids {
		ids[i] = strings.TrimSuffix(id, "\r") // an editor on Windows
		if strings.HasPrefix(id, `"`) {
			if err := json.Unmarshal([]byte(id), &ids[i]); err != nil {
				return nil, fmt.Errorf("%s:%d: %w", path, i+1, err)
			}
		}
	}
	return ids, nil
}
