package trainer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"nearfar/trainer/dataset"
	"nearfar/trainer/progress"
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
	rated := write("rated.csv", "who,what,stars,when\n1,10,5,7\n1,11,2,8\n1,12,4,9\n2,10,5,7\n2,11,5,8\n")
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
		{"columns and a least rating", []string{"-data", rated, "-columns", "user=who,item=what,rating=stars,time=when", "-min-rating", "4", "-valid-ratio", "0.5"}, 2, ""},
		{"a column that is not there", []string{"-data", rated, "-columns", "user=who,item=whta"}, 0, "did you mean what?"},
		{"nothing to select", []string{"-data", folder, "-epochs", "0", "-valid-ratio", "1e-9"}, 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, err := newJob(t, "bprmf", "", tt.args...).load(t.Context())
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

// splitData is a folder of three users with five, four and one training interactions, a test interaction each of the first two, and no times.
func splitData(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"train.txt": "1 10 11 12 13 14\n2 10 11 12 13\n3 10\n", "test.txt": "1 15\n2 15\n", "single.txt": "1 10\n1 11\n2 10\n",
		"valid.txt": "1 10\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// How the options of the split reach the data, and what they leave to select an epoch on.
func TestLoadDataSplits(t *testing.T) {
	dir := splitData(t)
	single := filepath.Join(dir, "single.txt")
	for _, tt := range []struct {
		args  string
		sizes string
		want  string // of the error
	}{
		{"-data DIR -split leave-one-out", "8 2 2", ""},
		{"-data DIR -split leave-one-out -select test", "8 2 2", ""}, // the parts do not depend on -select
		{"-data DIR -split random", "10 1 1", ""},
		{"-data DIR -split random -select test", "11 0 1", ""},
		{"-data DIR -split random -split-ratio 0.5,0.25,0.25", "6 3 3", ""},
		{"-data DIR -split random -split-ratio 0.5,0.25,0.25 -k-core 2", "6 2 2", ""},
		{"-data DIR -split random -split-ratio 0.5,0.25,0.25 -k-core 2,3", "", "-k-core 2,3 leaves no interactions"},
		{"-data DIR -k-core 9", "", "the largest core of this data is 2"},
		{"-data DIR -split temporal", "", "no times"},
		{"-data DIR -split-ratio 0.8,0.1,0.1", "", "parts given"},
		{"-data SINGLE", "", "-split random of all, 0.8,0.1,0.1 of 3 interactions gives it nothing; give it more with -split-ratio"},
		{"-data SINGLE -split leave-one-out", "", "fewer than three"},
		{"-data SINGLE -split leave-one-out -select test", "", "no test split: -split leave-one-out takes none"},
		{"-data SINGLE -split given -select test", "", "split them with -split"},
		{"-data SINGLE -split given -valid DIR/valid.txt", "2 1 0", ""},
		{"-data SINGLE -valid DIR/valid.txt", "", "with -split given"},
	} {
		args := strings.Fields(strings.NewReplacer("DIR", dir, "SINGLE", single).Replace(tt.args))
		d, err := newJob(t, "bprmf", "", args...).load(t.Context())
		switch {
		case tt.want != "":
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: error %v, want %q", tt.args, err, tt.want)
			}
		case err != nil:
			t.Errorf("%s: %v", tt.args, err)
		default:
			if got := fmt.Sprint(d.Train.Len(), d.Valid.Len(), d.Test.Len()); got != tt.sizes {
				t.Errorf("%s: %s, want %s\n%s", tt.args, got, tt.sizes, d)
			}
		}
	}
}

// TestYelp2018Validation takes the published validation pairs out of train.
func TestYelp2018Validation(t *testing.T) {
	dir := sharedData(t, "graph/yelp2018")
	d, err := newJob(t, "bprmf", "", "-data", dir, "-valid", filepath.Join(dir, "valid_pairs.txt")).load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d.Train.Len() != 1_237_259-143_751 || d.Valid.Len() != 143_751 || d.Test.Len() != 324_147 || d.Parts.Split != dataset.SplitGiven {
		t.Errorf("%s", d)
	}
}

// TestFormatChoices: the command line knows every format.
func TestFormatChoices(t *testing.T) {
	field, ok := reflect.TypeFor[Options]().FieldByName("Format")
	if !ok {
		t.Fatal("no option of the format")
	}
	var names []string
	for _, f := range dataset.Formats() {
		names = append(names, string(f))
	}
	if got, want := field.Tag.Get("choices"), strings.Join(names, ","); got != want {
		t.Errorf("choices %s, want %s", got, want)
	}
}

// TestLoadDataInterrupted: what ends a long reading is not a failure of the data.
func TestLoadDataInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newJob(t, "bprmf", "").load(ctx); !errors.Is(err, ErrInterrupted) {
		t.Errorf("error %v", err)
	}
}

// TestLoading: large files are counted in megabytes, small ones not at all.
func TestLoading(t *testing.T) {
	var out bytes.Buffer
	l := loading{console: progress.NewConsole(&out, false)}
	l.read("small", 10, 10)
	for range 2 {
		l.read("large", 60*megabyte, 120*megabyte)
		l.read("large", 120*megabyte, 120*megabyte)
		l.close()
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "reading large, MB: 120 in ") || !strings.HasPrefix(lines[1], "reading large, MB: 120 in ") {
		t.Errorf("%q", lines)
	}
}
