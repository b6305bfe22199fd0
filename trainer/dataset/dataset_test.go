package dataset

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// folder writes files into a new folder and returns its path.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func load(t *testing.T, o Options) *Dataset {
	t.Helper()
	d, err := Load(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]*Interactions{"train": d.Train, "valid": d.Valid, "test": d.Test} {
		if x.Users() != d.Users() || x.Items != d.Items() {
			t.Errorf("%s is %d x %d in a data set of %d x %d", name, x.Users(), x.Items, d.Users(), d.Items())
		}
		for u := range x.Users() {
			row := x.Of(u)
			if !slices.IsSorted(row) || len(slices.Compact(slices.Clone(row))) != len(row) {
				t.Errorf("%s: user %d has %v, not ascending and without repetition", name, u, row)
			}
			if len(row) > 0 && (row[0] < 0 || int(row[len(row)-1]) >= x.Items) {
				t.Errorf("%s: user %d has items outside the catalogue", name, u)
			}
		}
	}
	return d
}

// text writes a set as "user:item,item ..", with the ids of the files and without users who have no items.
func (d *Dataset) text(x *Interactions) string {
	var users []string
	for u := range x.Users() {
		var items []string
		for _, i := range x.Of(u) {
			items = append(items, d.ItemID[i])
		}
		if items != nil {
			users = append(users, d.UserID[u]+":"+strings.Join(items, ","))
		}
	}
	return strings.Join(users, " ")
}

func TestFormats(t *testing.T) {
	for _, c := range []struct {
		name                string
		train, test         string
		force               Format
		format              Format
		wantTrain, wantTest string
	}{
		{"lightgcn", "0 1 2 3\n1 2\n", "0 4\n", "", LightGCN, "0:1,2,3 1:2", "0:4"},
		{"pairs with weights", "a x 1\na y 2.5\nb x 1e-3\n", "a z 1\n", "", Pairs, "a:x,y b:x", "a:z"},
		{"pairs without weights", "a x\nb x\na y", "b y\n", "", Pairs, "a:x,y b:x", "b:y"},
		{"tabs, several separators, CRLF, blank lines, mark", "\xef\xbb\xbf7\t1\r\n\r\n 7  \t2 \r\n8 1\r\n", "", "", Pairs, "7:1,2 8:1", ""},
		{"three columns, no repeated user, test decides for pairs", "1 5 1\n2 6 1\n", "1 7 1\n1 8 1\n", "", Pairs, "1:5 2:6", "1:7,8"},
		{"three columns, no repeated user, train decides for lightgcn", "1 5 6 7\n2 6\n", "1 8 9\n2 9 8\n", "", LightGCN, "1:5,6,7 2:6", "1:8,9 2:8,9"},
		{"three columns, no evidence", "1 5 6\n2 6 7\n", "", "", LightGCN, "1:5,6 2:6,7", ""},
		{"three columns, forced to pairs", "1 5 6\n2 6 7\n", "", Pairs, Pairs, "1:5 2:6", ""},
		{"repeated users, forced to lightgcn", "1 5 6\n1 6 7\n", "", LightGCN, LightGCN, "1:5,6,7", ""},
		{"each file in its own format", "1 5 6 7\n2 6\n", "1 8 1\n1 9 1\n", "", LightGCN, "1:5,6,7 2:6", "1:8,9"},
		{"ids in any spelling", "-1 99999999999999999999999\n-1 é\n", "", "", Pairs, "-1:99999999999999999999999,é", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := map[string]string{"train.txt": c.train}
			if c.test != "" {
				files["test.txt"] = c.test
			}
			d := load(t, Options{Path: folder(t, files), Format: c.force})
			if d.Format != c.format || d.text(d.Train) != c.wantTrain || d.text(d.Test) != c.wantTest {
				t.Errorf("%s: train %q, test %q; want %s: %q, %q", d.Format, d.text(d.Train), d.text(d.Test), c.format, c.wantTrain, c.wantTest)
			}
		})
	}
}

func TestNumbering(t *testing.T) {
	for _, c := range []struct{ name, train, test, users, items string }{
		{"integers by value, whatever the order of lines", "10 3\n10 -5\n9 20\n", "100 007\n100 7\n", "9 10 100", "-5 3 007 7 20"},
		{"longer than any machine integer", "1 100000000000000000000\n1 99999999999999999999\n", "", "1", "99999999999999999999 100000000000000000000"},
		{"negative values", "1 -2\n1 -10\n1 0\n1 -0\n", "", "1", "-10 -2 -0 0"},
		{"others by their bytes", "b 9\nab x\nb 10\n", "a 1\na 2\n", "a ab b", "1 10 2 9 x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := map[string]string{"train.txt": c.train}
			if c.test != "" {
				files["test.txt"] = c.test
			}
			d := load(t, Options{Path: folder(t, files)})
			if got := strings.Join(d.UserID, " "); got != c.users {
				t.Errorf("users %q, want %q", got, c.users)
			}
			if got := strings.Join(d.ItemID, " "); got != c.items {
				t.Errorf("items %q, want %q", got, c.items)
			}
		})
	}
}

func TestBadInput(t *testing.T) {
	random := "\x1f\x8b\x08\x00\x00\x9c\xff\x00\x80"
	for _, c := range []struct {
		name  string
		files map[string]string
		file  string // Options.Path is this file of the folder
		force Format
		want  string // with FOLDER for the folder
	}{
		{"missing path", nil, "nowhere", "", "no such file or folder: FOLDER/nowhere"},
		{"empty folder", nil, "", "", "FOLDER has no train.txt: it is empty"},
		{"a folder in the file's place", map[string]string{"train.txt/x": "1 2\n"}, "", "", "FOLDER has no train.txt: it has train.txt (a folder)"},
		{"folder without data", map[string]string{"a.csv": "1"}, "", "", "FOLDER has no train.txt: it has a.csv"},
		{"empty file", map[string]string{"train.txt": ""}, "", "", "FOLDER/train.txt is empty"},
		{"white file", map[string]string{"x": "\n \t\r\n"}, "x", "", "FOLDER/x is empty"},
		{"empty test file", map[string]string{"train.txt": "1 2\n", "test.txt": "\n"}, "", "", "FOLDER/test.txt is empty"},
		{"random bytes", map[string]string{"train.txt": "1 2\n" + random}, "", "", "FOLDER/train.txt:2: not text: it has the control character 0x1f"},
		{"not UTF-8", map[string]string{"train.txt": "1 2\n1 caf\xe9\n"}, "", "", "FOLDER/train.txt:2: not UTF-8 text"},
		{"UTF-16", map[string]string{"train.txt": "\xff\xfe1\x00 \x002\x00"}, "", "", "FOLDER/train.txt:1: not text"},
		{"a lone carriage return", map[string]string{"train.txt": "1 2\r2 3\r"}, "", "", "FOLDER/train.txt:1: not text: a carriage return"},
		{"users without items only", map[string]string{"train.txt": "1\n2\n"}, "", "", `FOLDER/train.txt:1: no interactions: "1" is a user without items`},
		{"commas", map[string]string{"train.txt": "1\n1,2\n3,4\n"}, "", LightGCN, `FOLDER/train.txt:2: no interactions: "1,2" is a user without items: a line is "user item item .." or "user item weight", separated by spaces or tabs; columns separated by commas`},
		{"bars", map[string]string{"train.txt": "1|2\n3|4\n"}, "", "", `FOLDER/train.txt:1: no interactions: "1|2" is a user without items`},
		{"an unknown header", map[string]string{"x.csv": "kunde,artikel\na,b\nc,d\n"}, "x.csv", "", "-columns user=NAME,item=NAME"},
		{"a zip archive", map[string]string{"x.csv": "PK\x03\x04\x14\x00"}, "x.csv", "", "FOLDER/x.csv is a zip archive, or a spreadsheet"},
		{"commas, users repeat", map[string]string{"train.txt": "1,2\n1,2\n"}, "", "", `FOLDER/train.txt:1: "1,2" stands alone`},
		{"one column among pairs", map[string]string{"train.txt": "1 2\n1 3\n2\n"}, "", "", `FOLDER/train.txt:3: "2" stands alone`},
		{"a wide line among pairs", map[string]string{"train.txt": "1 2\n1 3\n2 3 4 5\n"}, "", "",
			`FOLDER/train.txt:3: 4 columns: a pair is "user item" or "user item weight" (read as pairs: user "1" is on lines 1 and 2; -format lightgcn`},
		{"a weight that is a word", map[string]string{"train.txt": "you i rating\nyou 1 2\n"}, "", "", `FOLDER/train.txt:1: the weight "rating" is not a number`},
		{"a weight that is not a number", map[string]string{"train.txt": "1 2 3\n1 3 NaN\n"}, "", "", `FOLDER/train.txt:2: the weight "NaN"`},
		{"an infinite weight", map[string]string{"train.txt": "1 2 3\n1 3 inf\n"}, "", "", `FOLDER/train.txt:2: the weight "inf"`},
		{"no weight is positive", map[string]string{"train.txt": "1 2 0\n1 3 -1\n"}, "", "", "FOLDER/train.txt has no interactions"},
		{"unknown format", map[string]string{"train.txt": "1 2\n"}, "", "xml", `format "xml" is none of auto lightgcn pairs`},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := folder(t, c.files)
			_, err := Load(t.Context(), Options{Path: filepath.Join(dir, c.file), Format: c.force})
			want := filepath.FromSlash(strings.ReplaceAll(c.want, "FOLDER/", dir+"/"))
			want = strings.ReplaceAll(want, "FOLDER", dir)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v\nwant  %s", err, want)
			}
		})
	}
}

func TestBadOptions(t *testing.T) {
	dir := folder(t, map[string]string{"train.txt": "1 2 3 4\n", "valid.txt": "1 2\n", "one": "1 2\n1 3\n"})
	for name, o := range map[string]Options{
		"unseen":                      {Unseen: "maybe"},
		"validation ratio of 1":       {ValidRatio: 1},
		"test ratio above 1":          {TestRatio: 2},
		"validation file missing":     {Path: dir, Valid: filepath.Join(dir, "nowhere")},
		"validation file of one file": {Path: filepath.Join(dir, "one"), Valid: filepath.Join(dir, "valid.txt")},
	} {
		if _, err := Load(t.Context(), o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestCounts(t *testing.T) {
	files := map[string]string{
		"train.txt": "1 5 1\n1 5 1\n1 6 0\n1 7 -2\n2 6 1\n2 6 3\n2 5 1\n2 9 0\n",
		"test.txt":  "1 5 1\n1 8 1\n1 8 1\n3 5 1\n3 8 1\n",
	}
	d := load(t, Options{Path: folder(t, files)})
	want := Counts{TrainDuplicates: 2, TestDuplicates: 1, NonPositive: 3, TestInTrain: 1, UnseenUsers: 1, UnseenItems: 1, UnseenTest: 3}
	if d.Counts != want {
		t.Errorf("counts %+v\nwant   %+v", d.Counts, want)
	}
	if got := d.text(d.Train) + " | " + d.text(d.Test); got != "1:5 2:5,6 | 1:5,8 3:5,8" {
		t.Errorf("keep: %s", got)
	}
	d = load(t, Options{Path: folder(t, files), Unseen: Drop})
	want.UnseenDropped = true
	if d.Counts != want || d.Users() != 2 || d.Items() != 2 {
		t.Errorf("drop: %d x %d, counts %+v", d.Users(), d.Items(), d.Counts)
	}
	if got := d.text(d.Train) + " | " + d.text(d.Test); got != "1:5 2:5,6 | 1:5" {
		t.Errorf("drop: %s", got)
	}
	report := d.String()
	for _, line := range []string{"size       2 users x 2 items, density 75.000%", "note       3 lines dropped because", "note       3 test interactions with such a user or item, dropped"} {
		if !strings.Contains(report, line) {
			t.Errorf("the report lacks %q:\n%s", line, report)
		}
	}
	d = load(t, Options{Path: folder(t, map[string]string{"train.txt": "1 5 6 7\n2\n3\n"})})
	if d.Counts.NoItems != 2 || d.Users() != 3 || d.Counts.UnseenUsers != 2 {
		t.Errorf("users without items: %d users, counts %+v", d.Users(), d.Counts)
	}
}

func TestSingleFile(t *testing.T) {
	var lines []string
	for u := range 20 {
		for i := range 15 {
			lines = append(lines, fmt.Sprint(u, (u+i)%50))
		}
	}
	dir := folder(t, map[string]string{"ratings.tsv": strings.Join(lines, "\n")})
	path := filepath.Join(dir, "ratings.tsv")
	sizes := func(d *Dataset) string { return fmt.Sprint(d.Train.Len(), d.Valid.Len(), d.Test.Len()) }

	d := load(t, Options{Path: path, Seed: 1})
	if d.Name != "ratings" || sizes(d) != "240 30 30" {
		t.Errorf("%s: %s, want ratings: 240 30 30", d.Name, sizes(d))
	}
	if d.Train.Overlap(d.Valid)+d.Train.Overlap(d.Test)+d.Valid.Overlap(d.Test) != 0 {
		t.Error("the sets overlap")
	}
	if got := sizes(load(t, Options{Path: path, TestRatio: .25, ValidRatio: -1})); got != "225 0 75" {
		t.Errorf("25%% test and no validation: %s", got)
	}
	other := load(t, Options{Path: path, Seed: 2})
	if d.text(d.Test) == other.text(other.Test) {
		t.Error("another seed, the same split")
	}
	slices.Reverse(lines)
	dir = folder(t, map[string]string{"ratings.tsv": strings.Join(lines, "\n")})
	turned := load(t, Options{Path: filepath.Join(dir, "ratings.tsv"), Seed: 1})
	if d.text(d.Train) != turned.text(turned.Train) || d.text(d.Test) != turned.text(turned.Test) {
		t.Error("the order of lines changes the split")
	}
}

func TestValidation(t *testing.T) {
	full := load(t, Options{})
	d := load(t, Options{ValidRatio: .2, Seed: 3})
	light, lightTaken := 0, 0 // of users with fewer interactions than one in five gives a whole one
	for u := range d.Users() {
		n := full.Train.Degree(u)
		got, least := d.Valid.Degree(u), min(share(.2, n), n-1)
		if got < least || got > min(least+1, n-1) {
			t.Fatalf("user %d: %d of %d interactions in validation, want %d or one more", u, got, n, least)
		}
		if n > 1 && n < 30 {
			light, lightTaken = light+n, lightTaken+got
		}
	}
	if ratio := float64(d.Valid.Len()) / float64(full.Train.Len()); math.Abs(ratio-.2) > .005 {
		t.Errorf("validation has a share of %.4f", ratio)
	}
	if ratio := float64(lightTaken) / float64(light); math.Abs(ratio-.2) > .01 {
		t.Errorf("of users with few interactions, validation has a share of %.4f", ratio)
	}
	if d.Train.Overlap(d.Valid) != 0 || d.Train.Len()+d.Valid.Len() != full.Train.Len() || full.Train.Overlap(d.Valid) != d.Valid.Len() {
		t.Error("train and validation do not make up the training file")
	}
	again, other := load(t, Options{ValidRatio: .2, Seed: 3}), load(t, Options{ValidRatio: .2, Seed: 4})
	if !slices.Equal(d.Valid.Item, again.Valid.Item) || slices.Equal(d.Valid.Item, other.Valid.Item) {
		t.Error("the seed does not decide the split")
	}
	lone := load(t, Options{Path: folder(t, map[string]string{"train.txt": "1 5\n2 5 6 7\n"}), ValidRatio: 1 - 1e-12})
	if lone.Train.Degree(0) != 1 || lone.Train.Degree(1) != 1 || lone.Valid.Degree(1) != 2 {
		t.Errorf("train %s, validation %s", lone.text(lone.Train), lone.text(lone.Valid))
	}

	dir := folder(t, map[string]string{"train.txt": "1 5 6 7\n2 5 6\n", "valid.txt": "1 5 1\n1 6 1\n2 9 1\n"})
	fromFile := load(t, Options{Path: dir})
	if got := fromFile.text(fromFile.Train) + " | " + fromFile.text(fromFile.Valid); got != "1:7 2:5,6 | 1:5,6 2:9" {
		t.Errorf("validation file: %s", got)
	}
	if c := fromFile.Counts; c.ValidInTrain != 2 || c.UnseenItems != 1 || c.UnseenValid != 1 {
		t.Errorf("validation file: counts %+v", c)
	}
}

func TestEmbedded(t *testing.T) {
	d := load(t, Options{})
	got := fmt.Sprint(d.Name, d.Format, d.Users(), d.Items(), d.Train.Len(), d.Valid.Len(), d.Test.Len(), d.Counts)
	want := fmt.Sprint("amazon-electronics", LightGCN, 1435, 1522, 31887, 0, 4044, Counts{})
	if got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if d.UserID[1434] != "1434" || d.ItemID[1521] != "1521" || !d.Train.Has(0, 72) || d.Train.Has(0, 73) || !d.Test.Has(0, 697) {
		t.Error("the interactions are not those of the files")
	}
}
