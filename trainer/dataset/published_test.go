package dataset

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// published is a data set that the repository does not carry: in $NEARFAR_DATA, or beside the checkout.
func published(tb testing.TB, name string) string {
	tb.Helper()
	return publishedIn(tb, "graph", name)
}

func publishedIn(tb testing.TB, group, name string) string {
	tb.Helper()
	root := os.Getenv("NEARFAR_DATA")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "data")
	}
	path := filepath.Join(root, group, name)
	if _, err := os.Stat(path); err != nil {
		tb.Skipf("no %s: set NEARFAR_DATA to the folder that has it", path)
	}
	return path
}

// TestPublished holds the sizes against those that the papers and SELFRec print.
func TestPublished(t *testing.T) {
	for _, c := range []struct {
		name                      string
		o                         Options
		users, items, train, test int
		valid, tested             int
	}{
		{"yelp2018", Options{}, 31668, 38048, 1237259, 324147, 0, 31668},
		{"yelp2018", Options{Valid: "valid_pairs.txt"}, 31668, 38048, 1237259 - 143751, 324147, 143751, 31668},
		{"lastfm", Options{}, 1889, 17503, 73758, 18440, 0, 1871},
		{"lastfm", Options{Unseen: Drop}, 1887, 15313, 73758, 16141, 0, 1860},
		{"douban-book", Options{}, 13024, 22347, 633649, 158413, 0, 11233},
	} {
		t.Run(fmt.Sprint(c.name, c.o.Unseen, c.o.Valid), func(t *testing.T) {
			c.o.Path = published(t, c.name)
			if c.o.Valid != "" {
				c.o.Valid = filepath.Join(c.o.Path, c.o.Valid)
			}
			began := time.Now()
			d, err := Load(t.Context(), c.o)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%v\n%s", time.Since(began).Round(time.Millisecond), d)
			got := []int{d.Users(), d.Items(), d.Train.Len(), d.Test.Len(), d.Valid.Len(), d.Test.ActiveUsers()}
			want := []int{c.users, c.items, c.train, c.test, c.valid, c.tested}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("users, items, train, test, validation, tested users: %d, want %d", got, want)
			}
		})
	}
}

// TestMovieLensSplits holds splits by time of ml-100k against what pandas counts.
func TestMovieLensSplits(t *testing.T) {
	path := filepath.Join(published(t, "ml-100k"), "ml-100k.inter")
	sum := func(x *Interactions) (sum float64) {
		for _, t := range x.Time {
			sum += t
		}
		return sum
	}
	sizes := func(d *Dataset) string { return fmt.Sprint(d.Train.Len(), d.Valid.Len(), d.Test.Len()) }

	d := load(t, Options{Path: path, Split: SplitTemporal})
	c := d.Counts
	got := fmt.Sprint(sizes(d), int(d.Parts.ValidFrom), int(d.Parts.TestFrom), c.UnseenUsers, c.UnseenItems, c.UnseenValid, c.UnseenTest, d.Test.ActiveUsers(), d.Parts.Leaks)
	if want := fmt.Sprint("79999 10001 10000", 889237269, 891382309, 192, 66, 8481, 8656, 166, Leaks{}); got != want {
		t.Errorf("temporal: %s, want %s\n%s", got, want, d)
	}
	d = load(t, Options{Path: path, Split: SplitLeaveOneOut})
	got = fmt.Sprint(sizes(d), int(sum(d.Valid)), int(sum(d.Test)), d.Parts.Leaks)
	if want := fmt.Sprint("98114 943 943", 834620140034, 834713997222, Leaks{Valid: Leak{All: 942}, Test: Leak{All: 942}}); got != want {
		t.Errorf("leave-one-out: %s, want %s\n%s", got, want, d)
	}
	for k, want := range map[int]string{10: "943 1152 97953", 20: "917 937 94443", 50: "513 560 69222"} {
		d := load(t, Options{Path: path, Split: SplitGiven, KCore: KCore{k, k}})
		if got := fmt.Sprint(d.Users(), d.Items(), d.Len()); got != want {
			t.Errorf("%d-core: %s, want %s", k, got, want)
		}
	}
}

func BenchmarkLoadYelp2018(b *testing.B) {
	path := published(b, "yelp2018")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Load(b.Context(), Options{Path: path}); err != nil {
			b.Fatal(err)
		}
	}
}
