package dataset

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// TestLeaks counts against every pair of interactions.
func TestLeaks(t *testing.T) {
	random := rand.New(rand.NewPCG(31, 32))
	leaks := 0
	for round := range 40 {
		all := events(random, 12, 30, 150, 1+5*round)
		for _, o := range manySplits {
			d := divide(t, held(t, 12, 30, all, true), o)
			oracle := func(x *Interactions) (l Leak) {
				trained := timesOf(d.Train)
				for p, at := range timesOf(x) {
					ofUser, ofAll := 0, 0
					for q, then := range trained {
						if at < then {
							ofAll = 1
							if p.User == q.User {
								ofUser = 1
							}
						}
					}
					l.User += ofUser
					l.All += ofAll
				}
				return l
			}
			want := Leaks{Test: oracle(d.Test), Valid: oracle(d.Valid)}
			if d.Parts.Leaks != want {
				t.Errorf("%s %s: %+v, want %+v", o.Split, o.By, d.Parts.Leaks, want)
			}
			switch {
			case o.Split == SplitTemporal && o.By != ByUser && want != Leaks{}:
				t.Errorf("a temporal split of all leaks: %+v", want)
			case (o.Split == SplitTemporal || o.Split == SplitLeaveOneOut) && want.Test.User+want.Valid.User > 0:
				t.Errorf("%s leaks inside a user: %+v", o.Split, want)
			}
			leaks += want.Test.User
		}
	}
	if leaks == 0 {
		t.Error("no random split leaked: the test says nothing")
	}
}

// The report says what leaks, and when it cannot know.
func TestLeaksAreNoted(t *testing.T) {
	all := []event{{Pair{0, 0}, 10}, {Pair{0, 1}, 20}, {Pair{1, 0}, 30}, {Pair{1, 1}, 40}}
	test := []event{{Pair{0, 2}, 15}, {Pair{0, 3}, 25}, {Pair{1, 2}, 50}}
	d := held(t, 2, 4, all, true)
	d.Test = held(t, 2, 4, test, true).Train
	if err := d.split(Options{}, false); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"note       the split leaks the future: 1 of 3 (33.3%) test interactions are older than a training interaction of the same user, 2 (66.7%) than the newest of anybody; -split temporal",
	} {
		if !strings.Contains(d.String(), line) {
			t.Errorf("the report lacks %q:\n%s", line, d)
		}
	}
	d = divide(t, held(t, 2, 4, append(test, all...), true), Options{Split: SplitLeaveOneOut})
	if line := "1 of 2 (50.0%) test interactions are older than the newest training interaction of anybody, none than one of the same user"; !strings.Contains(d.String(), line) {
		t.Errorf("the report lacks %q:\n%s", line, d)
	}
	d = held(t, 2, 4, all, true)
	d.Test = held(t, 2, 4, test, false).Train
	if err := d.split(Options{}, false); err != nil {
		t.Fatal(err)
	}
	if line := "not every part has times"; !strings.Contains(d.String(), line) || strings.Contains(d.String(), "older") {
		t.Errorf("the report lacks %q:\n%s", line, d)
	}
	if d := load(t, Options{}); strings.Contains(d.String(), "older") || strings.Contains(d.String(), "times") {
		t.Errorf("data without times has a note about them:\n%s", d)
	}
}

func TestMoment(t *testing.T) {
	for at, want := range map[float64]string{
		885387949:        "1998-01-21 13:05:49 UTC (885387949)",
		885387949000:     "1998-01-21 13:05:49 UTC (885387949000)",
		1234567890.5:     "2009-02-13 23:31:30 UTC (1234567890.5)",
		7:                "7",
		2.5:              "2.5",
		-3:               "-3",
		99999999999999.0: "99999999999999",
	} {
		if got := moment(at); got != want {
			t.Errorf("%g is %q, want %q", at, got, want)
		}
	}
}
