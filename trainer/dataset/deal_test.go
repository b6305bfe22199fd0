package dataset

import (
	"strings"
	"testing"
)

// A temporal split that leaves a part empty says which moment could not be parted.
func TestTiesLeaveAPartEmpty(t *testing.T) {
	// moments are times and how many interactions each has.
	at := func(moments ...int) (all []event) {
		for k := 0; k < len(moments); k += 2 {
			for range moments[k+1] {
				n := int32(len(all))
				all = append(all, event{Pair{n / 30, n % 30}, float64(moments[k])})
			}
		}
		return all
	}
	for _, c := range []struct {
		name        string
		all         []event
		valid, test string // how the notes begin
	}{
		{"one moment at the end", at(1, 10, 2, 10, 77, 220), "220 of 240 interactions are at 77", "220 of 240 interactions are at 77"},
		{"the moment before test", at(1, 100, 77, 100, 78, 20, 79, 20), "", ""},
		{"a moment that validation would have to share with train", at(1, 10, 77, 206, 79, 24), "206 of 240 interactions are at 77", ""},
		{"a moment that validation would have to share with test", at(1, 192, 77, 48), "48 of 240 interactions are at 77", ""},
		{"no ties", at(1, 190, 2, 26, 3, 24), "", ""},
	} {
		d := divide(t, held(t, 8, 30, c.all, true), Options{Split: SplitTemporal})
		for _, part := range []struct {
			name, note string
			n          int
		}{{"validation", c.valid, d.Valid.Len()}, {"test", c.test, d.Test.Len()}} {
			note := part.note + ": the cut leaves " + part.name + " empty"
			if noted := strings.Contains(d.String(), "leaves "+part.name+" empty"); noted != (part.note != "") || noted != (part.n == 0) || noted && !strings.Contains(d.String(), note) {
				t.Errorf("%s: want %q of %s\n%s", c.name, part.note, part.name, d)
			}
		}
	}
	d := divide(t, held(t, 8, 30, at(77, 240), true), Options{Split: SplitTemporal, Ratio: Ratios{1, 0, 0}})
	if d.Parts.TestTied.N+d.Parts.ValidTied.N > 0 {
		t.Errorf("a part that is not asked for is missed:\n%s", d)
	}
}

// A share that is no binary fraction is not rounded down: .29 * 100 is 28.999999999999996.
func TestSharesToTheUnit(t *testing.T) {
	if n := share(.29, 100); n != 29 {
		t.Errorf("a share of .29 of 100 is %d", n)
	}
	for _, r := range []Ratios{{.71, 0, .29}, {.71, .29, 0}} {
		if valid, test := r.held(100, 0); valid != int(100*r.Valid+.5) || test != int(100*r.Test+.5) {
			t.Errorf("%s of 100: %d and %d are held out", r, valid, test)
		}
	}
}
