package dataset

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// whole loads a file or folder without splitting it.
func whole(t *testing.T, o Options) *Dataset {
	t.Helper()
	o.TestRatio, o.ValidRatio = -1, -1
	return load(t, o)
}

// TestTwins: the same purchases in every format are the same interactions, times, titles and attributes.
func TestTwins(t *testing.T) {
	root := filepath.Join("..", "..", "testdata", "formats")
	plain := whole(t, Options{Path: filepath.Join(root, "lightgcn.txt")})
	if plain.Users() != 60 || plain.Train.Len() < 1000 || plain.Format != LightGCN {
		t.Fatalf("%d users, %d interactions, %s", plain.Users(), plain.Train.Len(), plain.Format)
	}
	embedded := load(t, Options{})
	for u := range plain.Users() {
		for _, i := range plain.Train.Of(u) {
			if !slices.Contains(idsOf(embedded, u), plain.ItemID[i]) {
				t.Fatalf("user %s, item %s: not in the embedded data", plain.UserID[u], plain.ItemID[i])
			}
		}
	}
	timed := whole(t, Options{Path: filepath.Join(root, "pairs-weight-time.txt")})
	described := whole(t, Options{Path: filepath.Join(root, "recbole")})
	for _, c := range []struct {
		path            string
		format          Format
		columns         string
		times, describe bool
	}{
		{"pairs.txt", Pairs, "", false, false},
		{"pairs-weight-time.txt", Pairs, "", true, false},
		{"pairs-weight-time.txt", Pairs, "user=1,item=2,time=4", true, false},
		{"recbole", RecBole, "", true, true},
		{"recbole/sample.inter", RecBole, "", true, true},
		{"movielens", MovieLens, "", true, true},
		{"csv", CSV, "", true, true},
		{"csv/ratings.csv", CSV, "user=userId,item=movieId", true, true},
		{"ratings.csv.gz", CSV, "", true, false},
		{"ratings.parquet", Parquet, "", true, false},
		{"ratings.parquet", Parquet, "rating=stars,time=timestamp", true, false},
	} {
		for _, force := range []Format{Auto, c.format} {
			t.Run(fmt.Sprint(c.path, c.columns, force), func(t *testing.T) {
				columns, err := ParseColumns(c.columns)
				if err != nil {
					t.Fatal(err)
				}
				d := whole(t, Options{Path: filepath.Join(root, filepath.FromSlash(c.path)), Format: force, Columns: columns})
				if d.Format != c.format || !slices.Equal(d.UserID, plain.UserID) || !slices.Equal(d.ItemID, plain.ItemID) || d.text(d.Train) != plain.text(plain.Train) {
					t.Errorf("%s: not the interactions of lightgcn.txt", d.Format)
				}
				if c.times != (d.Train.Time != nil) || c.times && !slices.Equal(d.Train.Time, timed.Train.Time) {
					t.Error("not the times of pairs-weight-time.txt")
				}
				if !c.times && d.Checksum() != plain.Checksum() {
					t.Error("not the checksum of lightgcn.txt")
				}
				if c.describe && !slices.Equal(d.ItemTitle, described.ItemTitle) {
					t.Errorf("titles %q", d.ItemTitle[:5])
				}
				if c.describe && fmt.Sprint(*d.ItemFields) != fmt.Sprint(*described.ItemFields) {
					t.Errorf("attributes %v\nwant       %v", *d.ItemFields, *described.ItemFields)
				}
			})
		}
	}
	if first := slices.Min(timed.Train.Time); first != 1388534400 {
		t.Errorf("the first time is %f", first)
	}
	if k := slices.Index(described.ItemID, "0"); k < 0 || described.ItemTitle[k] != "Câble 0" {
		t.Errorf("item 0, number %d, is not Câble 0", k)
	}

	dealt := load(t, Options{Path: filepath.Join(root, "mmrec")})
	if dealt.Format != MMRec || dealt.Valid.Len() != 60 || dealt.Test.Len() != 60 || dealt.Len() != plain.Len() {
		t.Errorf("%s: %d, %d, %d", dealt.Format, dealt.Train.Len(), dealt.Valid.Len(), dealt.Test.Len())
	}
	for u := range dealt.Users() {
		var ids []string
		for _, x := range []*Interactions{dealt.Train, dealt.Valid, dealt.Test} {
			for _, i := range x.Of(u) {
				ids = append(ids, dealt.ItemID[i])
			}
		}
		want := idsOf(plain, u)
		slices.Sort(ids)
		if slices.Sort(want); !slices.Equal(ids, want) {
			t.Errorf("user %d: %v, want %v", u, ids, want)
		}
	}
}

func idsOf(d *Dataset, u int) (ids []string) {
	for _, i := range d.Train.Of(u) {
		ids = append(ids, d.ItemID[i])
	}
	return ids
}

// TestPinned: what a data set is read to has not changed; runs that go on compare this checksum.
func TestPinned(t *testing.T) {
	for _, c := range []struct {
		o    Options
		want uint32
	}{{Options{}, 0x0da166e8}, {Options{ValidRatio: .1, Seed: 1}, 0x42f88dac}} {
		if got := load(t, c.o).Checksum(); got != c.want {
			t.Errorf("%+v: checksum %08x, want %08x", c.o, got, c.want)
		}
	}
}

// TestMovieLens100K reads a data set of RecBole's.
func TestMovieLens100K(t *testing.T) {
	d := whole(t, Options{Path: published(t, "ml-100k")})
	if d.Format != RecBole || d.Users() != 943 || d.Items() != 1682 || d.Train.Len() != 100000 || len(d.Train.Time) != 100000 {
		t.Errorf("%s: %d users, %d items, %d interactions, %d times", d.Format, d.Users(), d.Items(), d.Train.Len(), len(d.Train.Time))
	}
	if d.ItemTitle[0] != "Toy Story" || d.UserID[942] != "943" {
		t.Errorf("item %s is %q, the last user %s", d.ItemID[0], d.ItemTitle[0], d.UserID[942])
	}
	values := func(a *Attributes, row int) (s []string) {
		for _, v := range a.Of(row) {
			s = append(s, a.Fields[a.Field[v]]+"="+a.Name[v])
		}
		return s
	}
	if got := strings.Join(values(d.ItemFields, 0), " "); got != "release_year=1995 class=Animation class=Children's class=Comedy" {
		t.Errorf("item 1: %s", got)
	}
	if got := strings.Join(values(d.UserFields, 0), " "); got != "age=24 gender=M occupation=technician zip_code=85711" {
		t.Errorf("user 1: %s", got)
	}
	if liked := whole(t, Options{Path: published(t, "ml-100k"), MinRating: 4}); liked.Train.Len() != 55375 || liked.Counts.LowRated != 44625 {
		t.Errorf("%d interactions rated 4 or more, %d dropped", liked.Train.Len(), liked.Counts.LowRated)
	}
}

func TestTables(t *testing.T) {
	for _, c := range []struct {
		name, file, text string
		columns          string
		min              float64
		force            Format
		format           Format
		want             string // interactions
		times            string
	}{
		{"csv by usual names", "x.csv", "timestamp,userId,movieId,rating\n5,a,x,1\n6,a,y,2\n", "", 0, "", CSV, "a:x,y", "[5 6]"},
		{"semicolons", "x.csv", "user;item\r\n1;7\r\n1;8\r\n", "", 0, "", CSV, "1:7,8", "[]"},
		{"tabs, an empty column", "x.tsv", "note\tuser\titem\n\t1\t7\n", "", 0, "", CSV, "1:7", "[]"},
		{"tabs and quotes", "x.tsv", "user\titem\tnote\n\"1\"\t\"7\t\"\"8\"\"\"\t\"\n1\t5\" disc\t\"a\" b\n2\t\"\"\"Weird\"\" Al\"\tx\"\n2\t\"Weird\" Al\tx\n", "", 0, "", CSV,
			"1:5\" disc,7\t\"8\" 2:\"Weird\" Al", "[]"},
		{"a blank row of tabs", "x.tsv", "user\titem\tnote\n1\t7\tx\n\t\t\n1\t8\tx\n", "", 0, "", CSV, "1:7,8", "[]"},
		{"a blank row of tabs beside a quote", "x.tsv", "user\titem\tnote\n1\t7\t\"x\"\n\t\t\n1\t8\tx\n", "", 0, "", CSV, "1:7,8", "[]"},
		{"a blank row beside a quote", "x.csv", "user,item\n1,\"7\"\n \t\n1,8\n", "", 0, "", CSV, "1:7,8", "[]"},
		{"named columns", "x.csv", "uid2,sku,when,stars\n1,7,2014-07-09,5\n1,8,1970-01-01T00:00:01Z,4\n",
			"user=uid2,item=sku,time=when,rating=stars", 0, "", CSV, "1:7,8", "[1.404864e+09 1]"},
		{"numbered columns", "x.csv", "1,7,99,5\n1,8,98,4\n", "user=1,item=2,time=3", 0, "", CSV, "1:7,8", "[99 98]"},
		{"quoted fields", "x.csv", "user,item,title\n\"a,b\",x,\"one\ntwo\"\n\"say \"\"hi\"\"\",\"y z\",\n", "", 0, "", CSV, `a,b:x say "hi":y z`, "[]"},
		{"spaces after commas", "x.csv", "user, item\n1, 7\n1, \"8\"\n", "", 0, "", CSV, "1:7,8", "[]"},
		{"a least rating", "x.csv", "user,item,rating\n1,7,5\n1,8,3.5\n1,9,4\n", "", 4, "", CSV, "1:7,9", "[]"},
		{"a negative least rating", "x.csv", "user,item,rating\n1,7,-5\n1,8,0\n", "", -5, "", CSV, "1:7,8", "[]"},
		{"ratings of zero", "x.csv", "user,item,rating\n1,7,0\n1,8,1\n", "", 0, "", CSV, "1:8", "[]"},
		{"repeated, the earliest time stays", "x.csv", "user,item,time\n1,7,30\n1,7,10\n1,7,20\n", "", 0, "", CSV, "1:7", "[10]"},
		{"recbole", "x.inter", "item_id:token\ttimestamp:float\tuser_id:token\nx\t1.5\ta b\n", "", 0, "", RecBole, "a b:x", "[1.5]"},
		{"recbole, own names", "x.inter", "who:token\twhat:token\n1\t2\n", "user=who,item=what", 0, "", RecBole, "1:2", "[]"},
		{"movielens", "ratings.dat", "1::7::5::100\n1::8::4::90\n", "", 0, "", MovieLens, "1:7,8", "[100 90]"},
		{"movielens without times", "ratings.dat", "1::7::5\n1::8::4\n", "", 0, "", MovieLens, "1:7,8", "[]"},
		{"ids with ::", "x", "u::1 i::5\nu::1 i::6\n", "", 0, "", Pairs, "u::1:i::5,i::6", "[]"},
		{"ids with :: and a weight", "x", "u::1\ti::5\t2\nu::1\ti::6\t3\n", "", 0, "", Pairs, "u::1:i::5,i::6", "[]"},
		{"items with ::", "x", "1 i::5 i::6\n2 i::5\n3\n", "", 0, "", LightGCN, "1:i::5,i::6 2:i::5", "[]"},
		{"ids of namespaces", "x.csv", "user,item\na::b,c::d::e::f\n", "", 0, "", CSV, "a::b:c::d::e::f", "[]"},
		{"movielens with blanks and a date", "x.dat", "1 :: 7 :: 5 :: 2014-07-09 00:00:00\n", "", 0, "", MovieLens, "1:7", "[1.404864e+09]"},
		{"a header separated by spaces", "x.txt", "user_id item_id  rating timestamp\n1 7 5 100\n1 8 0 90\n2 \"9\" 1 80\n", "", 0, "", CSV, `1:7 2:"9"`, "[100 80]"},
		{"the same, forced", "x.txt", "user_id item_id\n1 7\n1 8\n", "", 0, CSV, CSV, "1:7,8", "[]"},
		{"its columns named", "x.txt", "who what when\n1 7 100\n", "user=who,item=what", 0, "", CSV, "1:7", "[]"},
		{"user and item in names of columns", "x.csv", "user name,item name,asin,userid\na,b,c,d\n", "", 0, "", CSV, "d:c", "[]"},
		{"four columns", "u.data", "196\t242\t3\t881250949\n186\t302\t3\t891717742\n196\t377\t1\t878887116\n", "", 0, "", Pairs, "186:302 196:242,377", "[8.91717742e+08 8.81250949e+08 8.78887116e+08]"},
		{"four columns, no user twice", "u.data", "1 2 3 4\n5 6 7 8\n", "", 0, Pairs, Pairs, "1:2 5:6", "[4 8]"},
		{"numbered pairs", "x", "9 1 2\n8 1 3\n", "user=2,item=3,time=1", 0, "", Pairs, "1:2,3", "[9 8]"},
		{"a time that is not wanted", "x.csv", "user,item,time,rating\n1,7,noon,5\n1,8,,4\n", "time=none", 0, "", CSV, "1:7,8", "[]"},
		{"a rating that is not wanted", "x.csv", "user,item,time,rating\n1,7,3,-\n1,8,4,\n", "rating=none", 0, "", CSV, "1:7,8", "[3 4]"},
		{"no time by number", "x.csv", "1,7,3,2\n1,8,4,0\n", "user=1,item=2,rating=4,time=none", 0, "", CSV, "1:7", "[]"},
		{"no time in movielens", "ratings.dat", "1::7::5::noon\n1::8::0::noon\n", "time=none", 0, "", MovieLens, "1:7", "[]"},
		{"no rating in movielens", "ratings.dat", "1::7::x::100\n1::8::-1::90\n", "rating=none", 0, "", MovieLens, "1:7,8", "[100 90]"},
		{"neither in short movielens", "ratings.dat", "1::7\n1::8\n", "rating=none,time=none", 0, "", MovieLens, "1:7,8", "[]"},
		{"the item's default column", "x", "9 1 2\n8 3 2\n", "user=3,rating=1", 0, "", Pairs, "2:1,3", "[]"},
		{"the user's default column", "x", "2::9::1\n2::8::3\n", "item=3", 0, "", MovieLens, "2:1,3", "[]"},
		{"numbered columns between tabs, with blanks", "x.tsv", "u1\tm1\tbetty\t2137\nu1\tm2\tdie \"Ärzte\"\t1099\n\nu2\tm1\t\t0\n", "user=1,item=2,rating=4", 0, "", CSV, "u1:m1,m2", "[]"},
		{"numbered columns between tabs, without", "x.tsv", "1\t7\t4\n1\t8\t3\n", "user=1,item=2", 0, "", Pairs, "1:7,8", "[]"},
		{"numbered columns between tabs and blanks", "x.tsv", "1\t7  4\n1  8\t3\n2 7 4\n", "user=1,item=2", 0, "", Pairs, "1:7,8 2:7", "[]"},
		{"ids near 2^63 and negative", "x.csv", "user,item\n9223372036854775807,-9223372036854775808\n9223372036854775808,-1\n", "", 0, "", CSV,
			"9223372036854775807:-9223372036854775808 9223372036854775808:-1", "[]"},
		{"mark", "x.csv", "\xef\xbb\xbfuser,item\n1,2\n", "", 0, "", CSV, "1:2", "[]"},
		{"mmrec without validation", "x.inter", "userID\titemID\tx_label\n1\t2\t0\n1\t3\t2\n", "", 0, "", MMRec, "1:2", "[]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			columns, err := ParseColumns(c.columns)
			if err != nil {
				t.Fatal(err)
			}
			var packed bytes.Buffer
			z := gzip.NewWriter(&packed)
			if _, err := z.Write([]byte(c.text)); err != nil {
				t.Fatal(err)
			}
			if err := z.Close(); err != nil {
				t.Fatal(err)
			}
			dir := folder(t, map[string]string{c.file: c.text, "packed.gz": packed.String()})
			for _, name := range []string{c.file, "packed.gz"} {
				d := whole(t, Options{Path: filepath.Join(dir, name), Columns: columns, MinRating: c.min, Format: c.force})
				if got := fmt.Sprint(d.Train.Time); got != c.times || d.text(d.Train) != c.want || d.Format != c.format {
					t.Errorf("%s: %s %s %s, want %s %s %s", name, d.Format, d.text(d.Train), got, c.format, c.want, c.times)
				}
			}
		})
	}
}

// TestFolders: which files of a folder are read.
func TestFolders(t *testing.T) {
	inter := "user_id:token\titem_id:token\n"
	for _, c := range []struct {
		name  string
		files map[string]string
		want  string // train | valid | test
		err   string
	}{
		{"RecBole's own split", map[string]string{"x.train.inter": inter + "1\t2\n1\t3\n", "x.valid.inter": inter + "1\t4\n", "x.test.inter": inter + "1\t5\n",
			"x.item": "item_id:token\tname:token_seq\n2\ttwo\n"}, "1:2,3 | 1:4 | 1:5", ""},
		{"csv", map[string]string{"train.csv": "user,item\n1,2\n", "test.csv": "user,item\n1,3\n"}, "1:2 |  | 1:3", ""},
		{"txt before others", map[string]string{"train.csv": "user,item\n1,2\n", "train.txt": "7 8\n7 9\n"}, "7:8,9 |  | ", ""},
		{"val", map[string]string{"train.txt": "1 2\n1 3\n", "val.txt": "1 4\n1 5\n"}, "1:2,3 | 1:4,5 | ", ""},
		{"validation, another extension", map[string]string{"train.csv": "user,item\n1,2\n1,3\n", "validation.csv.gz": "user,item\n1,4\n"}, "1:2,3 | 1:4 | ", ""},
		{"dev of RecBole's", map[string]string{"x.train.inter": inter + "1\t2\n1\t3\n", "x.dev.inter": inter + "1\t4\n"}, "1:2,3 | 1:4 | ", ""},
		{"valid before val", map[string]string{"train.txt": "1 2\n1 3\n", "val.txt": "1 4\n1 5\n", "valid.txt": "1 6\n1 7\n"}, "1:2,3 | 1:6,7 | ", ""},
		{"val and dev", map[string]string{"train.txt": "1 2\n1 3\n", "val.txt": "1 4\n1 5\n", "dev.txt": "1 6\n1 7\n"}, "1:2,3 |  | ", ""},
		{"two of a role", map[string]string{"train.csv": "user,item\n1,2\n", "train.tsv": "user\titem\n1\t2\n"}, "", "train.csv and train.tsv: name the one"},
		{"two wholes", map[string]string{"a.inter": inter, "b.inter": inter}, "", "a.inter and b.inter: name the one"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := Load(t.Context(), Options{Path: folder(t, c.files), TestRatio: -1, ValidRatio: -1})
			switch {
			case c.err != "":
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("error %v, want %s", err, c.err)
				}
			case err != nil:
				t.Error(err)
			default:
				if got := d.text(d.Train) + " | " + d.text(d.Valid) + " | " + d.text(d.Test); got != c.want {
					t.Errorf("%s, want %s", got, c.want)
				}
				if _, other := c.files["val.txt"]; other && len(c.files) > 2 != strings.Contains(d.String(), "val.txt; -valid names a validation file") {
					t.Errorf("the report says nothing of val.txt:\n%s", d)
				}
			}
		})
	}
}

func TestColumns(t *testing.T) {
	for _, s := range []string{"", "user=uid,item=sku,rating=stars,time=ts", "time=4", "user=a b", "rating=none,time=none"} {
		c, err := ParseColumns(s)
		if err != nil {
			t.Errorf("%q: %v", s, err)
		}
		if got, _ := c.MarshalText(); string(got) != s {
			t.Errorf("%q comes back as %q", s, got)
		}
	}
	for s, want := range map[string]string{
		"user":          `"user" is not ROLE=COLUMN`,
		"user=":         "is not ROLE=COLUMN",
		"usr=a":         "(did you mean user?)",
		"item=none":     "only rating and time may be none",
		"user=a,user=b": "user is given twice",
	} {
		if _, err := ParseColumns(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %s", s, err, want)
		}
	}
}

// TestQuotedBlocks: rows whose quotes span blocks are those that encoding/csv reads.
func TestQuotedBlocks(t *testing.T) {
	var b bytes.Buffer
	b.WriteString("user,item,note\n")
	for k := range 60000 {
		fmt.Fprintf(&b, "%d,\"%d\",\"%s\n\"\"%d\"\"\"\n", k%500, k, strings.Repeat("x,\n", k%20), k)
	}
	rows, err := csv.NewReader(bytes.NewReader(b.Bytes())).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if b.Len() < 2*blockSize {
		t.Fatal("one block")
	}
	var at int
	s := fileAt(filepath.Join(folder(t, map[string]string{"x": b.String()}), "x"))
	l := layout{format: CSV, separator: comma, header: rows[0]}
	line := 2
	err = s.rows(t.Context(), l, text{}, func(fields [][]byte, number int) error {
		at++
		for k, f := range fields {
			if string(f) != strings.Trim(rows[at][k], " ") {
				t.Fatalf("row %d: %q, want %q", at, fields, rows[at])
			}
		}
		if number != line {
			t.Fatalf("row %d is on line %d, want %d", at, number, line)
		}
		line += 1 + strings.Count(rows[at][2], "\n")
		return nil
	})
	if err != nil || at != len(rows)-1 {
		t.Errorf("%d rows of %d: %v", at, len(rows)-1, err)
	}
}

// TestBlocks: lines are whole wherever a block ends, and their numbers go on.
func TestBlocks(t *testing.T) {
	var b strings.Builder
	for k := range 300000 {
		fmt.Fprintf(&b, "%d %d\n", k%1000, k)
	}
	if b.Len() < 2*blockSize {
		t.Fatal("one block")
	}
	path := filepath.Join(folder(t, map[string]string{"x": b.String() + "5\n"}), "x")
	if _, err := Load(t.Context(), Options{Path: path}); err == nil || !strings.Contains(err.Error(), "x:300001: \"5\" stands alone") {
		t.Errorf("error %v", err)
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	var last int64
	d := whole(t, Options{Path: path, Progress: func(file string, done, size int64) {
		if file != path || size != int64(b.Len()) || done > size {
			t.Errorf("%s: %d of %d", file, done, size)
		}
		last = done
	}})
	if d.Train.Len() != 300000 || last != int64(b.Len()) {
		t.Errorf("%d interactions, %d of %d bytes", d.Train.Len(), last, b.Len())
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Load(ctx, Options{Path: path, Progress: func(string, int64, int64) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestReadingDoesNotAllocate: not by the line, once the ids are known.
func TestReadingDoesNotAllocate(t *testing.T) {
	p := parsed{pairs: make([]Pair, 0, 1<<20), times: make([]float64, 0, 1<<20)}
	r := fileReader{users: newIdentifiers(), items: newIdentifiers(), all: &p, columns: 4, layout: layout{format: MovieLens, separator: twoColons, places: places{0, 1, 2, 3, -1}}}
	table := tableReader{layout: r.layout}
	line := scanner{line: []byte("12::some string::4.5::2014-07-09T10:00:00Z"), number: 1}
	n := testing.AllocsPerRun(1000, func() {
		table.split(line)
		if complaint := r.row(table.fields, 1, "rating"); complaint != "" {
			t.Fatal(complaint)
		}
	})
	if n != 0 {
		t.Errorf("%g allocations a line", n)
	}
}
