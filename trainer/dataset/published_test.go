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
	root := os.Getenv("NEARFAR_DATA")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "data")
	}
	path := filepath.Join(root, "graph", name)
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
			d, err := Load(c.o)
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

func BenchmarkLoadYelp2018(b *testing.B) {
	path := published(b, "yelp2018")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Load(Options{Path: path}); err != nil {
			b.Fatal(err)
		}
	}
}
