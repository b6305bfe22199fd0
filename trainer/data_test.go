package trainer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What becomes of the validation split under the options that ask for one, leave it out, or have nothing to make it of.
func TestLoadDataValidation(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	train, test := "1 10 11 12 13 14\n2 10 11 12 13 14\n", "1 15\n2 15\n"
	folder := filepath.Dir(write("split/train.txt", train))
	write("split/test.txt", test)
	own := filepath.Dir(write("own/train.txt", train))
	write("own/test.txt", test)
	write("own/valid.txt", "1 10\n")
	only := filepath.Dir(write("only/train.txt", train))
	valid := write("pairs.txt", "1 10\n2 11\n2 12\n")
	single := write("single.txt", train+"3 10 11 12 13 14 15 16 17 18 19\n")

	for _, tt := range []struct {
		name  string
		args  []string
		valid int
		want  string // of the error
	}{
		{"a file beside the default ratio", []string{"-data", folder, "-valid", valid}, 3, ""},
		{"the folder's file beside the default ratio", []string{"-data", own}, 1, ""},
		{"a share", []string{"-data", folder, "-valid-ratio", "0.2"}, 2, ""},
		{"too small a share", []string{"-data", folder, "-valid-ratio", "1e-9"}, 0, "-valid-ratio"},
		{"nobody asks for one", []string{"-data", folder, "-select", "test"}, 0, ""},
		{"one file", []string{"-data", single}, 2, ""},
		{"one file, no share", []string{"-data", single, "-valid-ratio", "0", "-select", "last"}, 0, ""},
		{"one file, no share to select on", []string{"-data", single, "-valid-ratio", "0"}, 0, "-select last"},
		{"no test split to select on", []string{"-data", only, "-select", "test"}, 0, "-select last"},
		{"nothing to select", []string{"-data", folder, "-epochs", "0", "-valid-ratio", "1e-9"}, 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, err := LoadData(newJob(t, "bprmf", "", tt.args...).Options)
			switch {
			case tt.want != "":
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Fatalf("error %v, want one about %s", err, tt.want)
				}
			case err != nil:
				t.Fatal(err)
			case d.Valid.Len() != tt.valid:
				t.Errorf("%d validation interactions, want %d", d.Valid.Len(), tt.valid)
			}
		})
	}
}
