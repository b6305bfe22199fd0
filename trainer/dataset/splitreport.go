package dataset

import (
	"fmt"
	"math"
	"time"
)

// String names the split as the report has it: "temporal of all, 0.8,0.1,0.1".
func (p Parts) String() string {
	switch p.Split {
	case SplitRandom, SplitTemporal:
		of := "of all"
		if p.By == ByUser {
			of = "of each user"
		}
		return fmt.Sprintf("%s %s, %.4g,%.4g,%.4g", p.Split, of, p.Ratio.Train, p.Ratio.Valid, p.Ratio.Test)
	}
	return string(p.Split)
}

// splitNotes are a line each for what the filter and the split did that a reader of the numbers should know.
func (d *Dataset) splitNotes() (notes []string) {
	add := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	p := d.Parts
	if p.Pooled {
		add("the files' train, validation and test parts are pooled and split again; %s interactions were in two of them", thousands(p.PooledRepeated))
	}
	if f := p.Filtered; f.KCore != (KCore{}) {
		add("the %s of users and items, in %s rounds, leaves out %s users, %s items, %s interactions", f.KCore,
			thousands(f.Rounds), thousands(f.DroppedUsers), thousands(f.DroppedItems), thousands(f.Dropped))
	}
	for _, cut := range []struct {
		part string
		from float64
	}{{"validation", p.ValidFrom}, {"test", p.TestFrom}} {
		if !math.IsInf(cut.from, 1) && !(cut.part == "validation" && d.Valid.Len() == 0) {
			add("%s begins at %s", cut.part, moment(cut.from))
		}
	}
	for _, empty := range []struct {
		part string
		Tied
	}{{"validation", p.ValidTied}, {"test", p.TestTied}} {
		if empty.N > 0 {
			add("%s of %s interactions are at %s: the cut leaves %s empty", thousands(empty.N), thousands(empty.Of), moment(empty.Time), empty.part)
		}
	}
	if p.ByChance {
		add("the data has no times: which of a user's interactions is the last is drawn (-split-seed)")
	}
	if p.ShortUsers > 0 {
		add("%s users with fewer than three interactions are in train alone", thousands(p.ShortUsers))
	}
	if p.ValidOnlyUsers > 0 {
		add("%s users have their training interactions in validation alone", thousands(p.ValidOnlyUsers))
	}
	if p.ValidOnlyItems > 0 {
		add("%s items have their training interactions in validation alone", thousands(p.ValidOnlyItems))
	}
	if p.Leaks.Unknown {
		add("not every part has times: whether the split leaks the future is not known")
	}
	for _, part := range []struct {
		name string
		leak Leak
		of   int
	}{{"test", p.Leaks.Test, d.Test.Len()}, {"validation", p.Leaks.Valid, d.Valid.Len()}} {
		percent := func(n int) float64 { return 100 * float64(n) / float64(part.of) }
		switch l := part.leak; {
		case l.User > 0:
			add("the split leaks the future: %s of %s (%.1f%%) %s interactions are older than a training interaction of the same user, %s (%.1f%%) than the newest of anybody; -split temporal has neither",
				thousands(l.User), thousands(part.of), percent(l.User), part.name, thousands(l.All), percent(l.All))
		case l.All > 0:
			add("%s of %s (%.1f%%) %s interactions are older than the newest training interaction of anybody, none than one of the same user; -split temporal -split-by all has none",
				thousands(l.All), thousands(part.of), percent(l.All), part.name)
		}
	}
	return notes
}

// moment writes a time readably: as a date where the value lies where seconds or milliseconds of Unix time from 1973 to 2286 do, and the value
// as the data has it.
func moment(t float64) string {
	const earliest, latest = 1e8, 1e10
	for _, unit := range []float64{1, 1000} {
		if s := t / unit; s >= earliest && s < latest {
			return fmt.Sprintf("%s (%.15g)", time.Unix(int64(s), 0).UTC().Format("2006-01-02 15:04:05 UTC"), t)
		}
	}
	return fmt.Sprintf("%.15g", t)
}
