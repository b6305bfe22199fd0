package dataset

import (
	"math"
	"path/filepath"
	"strings"
	"testing"
)

func TestBadSplits(t *testing.T) {
	dir := folder(t, map[string]string{"train.txt": "1 2\n1 3\n2 3\n", "test.txt": "1 4\n", "pairs": "1 2\n1 3\n2 3\n", "valid": "1 2\n"})
	file := filepath.Join(dir, "pairs")
	for _, c := range []struct {
		name, want string
		o          Options
	}{
		{"no such split", `-split "newest"`, Options{Split: "newest"}},
		{"by what", `-split-by "item"`, Options{By: "item"}},
		{"too much", "-split-ratio 0.8,0.2,0.2 adds up to 1.2", Options{Split: SplitRandom, Ratio: Ratios{.8, .2, .2}}},
		{"too little", "adds up to 0.9", Options{Split: SplitRandom, Ratio: Ratios{.8, .05, .05}}},
		{"a negative share", "at least 0", Options{Split: SplitRandom, Ratio: Ratios{1.2, -.1, -.1}}},
		{"nothing to train on", "that of train above", Options{Split: SplitRandom, Ratio: Ratios{0, .5, .5}}},
		{"no number", "at least 0", Options{Split: SplitRandom, Ratio: Ratios{math.NaN(), .5, .5}}},
		{"ratios of given parts", "-split given", Options{Split: SplitGiven, Ratio: Ratios{.8, .1, .1}}},
		{"ratios of a folder's own parts", "name one of these", Options{Path: dir, Ratio: Ratios{.8, .1, .1}}},
		{"given parts by user", "name one of these", Options{Path: dir, By: ByUser}},
		{"ratios of one", "-split leave-one-out", Options{Split: SplitLeaveOneOut, Ratio: Ratios{.8, .1, .1}}},
		{"a validation file beside another split", "leave one of them out", Options{Path: dir, Split: SplitTemporal, Valid: filepath.Join(dir, "valid")}},
		{"a validation file of one file", "with -split given", Options{Path: file, Valid: filepath.Join(dir, "valid")}},
		{"no times", dir + " has no times", Options{Path: dir, Split: SplitTemporal}},
		{"no times by user", "has no times", Options{Path: file, Split: SplitTemporal, By: ByUser}},
		{"a negative core", "at least 0", Options{KCore: KCore{-1, 2}}},
		{"too large a core", "the largest core of this data is 1", Options{Path: file, KCore: KCore{1 << 40, 1 << 40}}},
		{"all held out", "-valid-ratio", Options{Path: file, TestRatio: .4, ValidRatio: .99}},
	} {
		if _, err := Load(t.Context(), c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		}
	}
	// Whatever takes all of train is named.
	dir = folder(t, map[string]string{"train.txt": "1 2\n1 3\n2 2\n", "test.txt": "7 8\n7 9\n6 8\n6 9\n", "valid": "1 2\n1 3\n2 2\n", "all": "1 2\n1 3\n2 2\n2 3\n"})
	valid := filepath.Join(dir, "valid")
	for _, c := range []struct {
		want string
		o    Options
	}{
		{"to train on: " + valid + " takes all 3 of train; name another file with -valid", Options{Path: dir, Valid: valid}},
		{"the 2-core leaves none of train, but 4 of test and validation; lower -k-core", Options{Path: dir, KCore: KCore{2, 2}}},
		{"take all 4 that the 2-core leaves", Options{Path: filepath.Join(dir, "all"), KCore: KCore{2, 2}, TestRatio: .5, ValidRatio: .9}},
	} {
		if _, err := Load(t.Context(), c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one with %q", err, c.want)
		}
	}
	for _, at := range []float64{math.NaN(), math.Inf(1)} {
		if _, _, err := FromTimedPairs(1, 2, []Pair{{0, 1}, {0, 0}}, []float64{1, at}); err == nil || !strings.Contains(err.Error(), "user 0, item 0") {
			t.Errorf("the time %g: error %v", at, err)
		}
	}
	same := held(t, 2, 4, []event{{Pair{0, 0}, 7}, {Pair{0, 1}, 7}, {Pair{1, 2}, 7}, {Pair{1, 3}, 7}}, true)
	if err := same.split(Options{Split: SplitTemporal, By: ByAll, Ratio: Ratios{.25, 0, .75}}, true); err == nil || !strings.Contains(err.Error(), "-split-ratio") {
		t.Errorf("one time for all, and a test share of .75: error %v", err)
	}
}

// Small shapes have a sensible split, or an error, under every option.
func TestSplitsOfSmallShapes(t *testing.T) {
	for _, c := range []struct {
		name         string
		users, items int
	}{{"one user", 1, 30}, {"one item", 30, 1}, {"one interaction", 1, 1}, {"every user has every item", 7, 9}} {
		var all []event
		for u := range c.users {
			for i := range c.items {
				all = append(all, event{Pair{int32(u), int32(i)}, float64(u + 3*i)})
			}
		}
		for _, o := range manySplits {
			d := divide(t, held(t, c.users, c.items, all, true), o)
			if d.Train.Len() == 0 || d.Len() != len(all) || d.String() == "" {
				t.Errorf("%s, %s %s: train %d, %d in all", c.name, o.Split, o.By, d.Train.Len(), d.Len())
			}
		}
	}
}
