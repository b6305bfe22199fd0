package dataset

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestHeaderAmongInteractions: a first row of words above rows of integers is noted, since it may be a header that no usual name gives away.
func TestHeaderAmongInteractions(t *testing.T) {
	for _, c := range []struct {
		name, text, columns string
		noted               bool
	}{
		{"numbered columns", "benutzer,ware\n1,2\n1,3\n", "user=1,item=2", true},
		{"pairs", "benutzer ware\n1 2\n1 3\n", "", true},
		{"words below it", "benutzer,ware\n1,2\nx,3\n", "user=1,item=2", false},
		{"items that are words", "benutzer,ware\n1,2\n1,x\n", "user=1,item=2", false},
		{"no words", "1,2\n1,3\n", "user=1,item=2", false},
		{"words in another row", "1,2\nbenutzer,ware\n1,3\n", "user=1,item=2", false},
		{"nothing else", "benutzer,ware\n", "user=1,item=2", false},
		{"named columns", "benutzer,ware\n1,2\n1,3\n", "user=benutzer,item=ware", false},
	} {
		columns, err := ParseColumns(c.columns)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(folder(t, map[string]string{"x": c.text}), "x")
		d := whole(t, Options{Path: path, Columns: columns})
		note := "note       the first interaction of " + path + `, user "benutzer" and item "ware", looks like a header`
		if strings.Contains(d.String(), note) != c.noted || len(d.Notes) > 0 != c.noted {
			t.Errorf("%s:\n%s", c.name, d)
		}
	}
}
