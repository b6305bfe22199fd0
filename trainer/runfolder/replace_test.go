package runfolder

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// A file is replaced whole or stays, and nothing else is left beside it.
func TestReplaceFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "recs.tsv")
	broken := errors.New("broken")
	for _, tt := range []struct {
		text string
		fail error
		want string
	}{{"first", nil, "first"}, {"half", broken, "first"}, {"second", nil, "second"}} {
		err := ReplaceFile(path, func(w io.Writer) error {
			_, err := io.WriteString(w, tt.text)
			return errors.Join(err, tt.fail)
		})
		if !errors.Is(err, tt.fail) {
			t.Errorf("%s: error %v, want %v", tt.text, err, tt.fail)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != tt.want {
			t.Errorf("after %s: %q (%v), want %q", tt.text, got, err, tt.want)
		}
		if all, _ := os.ReadDir(filepath.Dir(path)); len(all) != 1 {
			t.Errorf("after %s: %v", tt.text, all)
		}
	}
	if err := ReplaceFile(filepath.Join(path, "below"), func(io.Writer) error { return nil }); err == nil {
		t.Error("a file below a file")
	}
}
