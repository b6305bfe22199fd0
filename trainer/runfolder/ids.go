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
	err := replaceFile(path, func(w io.Writer) error {
		out := bufio.NewWriter(w)
		for i, id := range ids {
			if !utf8.ValidString(id) {
				return fmt.Errorf("id %d, %q, is not UTF-8", i, id)
			}
			if id == "" || id[0] == '"' || strings.ContainsFunc(id, func(r rune) bool { return r < ' ' }) {
				quoted, err := json.Marshal(id)
				if err != nil {
					return err
				}
				id = string(quoted)
			}
			out.WriteString(id)
			out.WriteByte('\n')
		}
		return out.Flush()
	})
	return inFile(path, err)
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
