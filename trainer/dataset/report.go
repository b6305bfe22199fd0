package dataset

import (
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Counts is what happened to the interactions between the files and the sets.
type Counts struct {
	TrainDuplicates, TestDuplicates, ValidDuplicates int // repetitions inside a file, merged

	NoItems     int // lines that name a user and no item (LightGCN)
	NonPositive int // lines dropped because their weight or rating is zero or negative
	LowRated    int // lines dropped because their rating is below the least one that is wanted

	TestInTrain  int // test interactions that are in the training file too; kept in both
	TestInValid  int // test interactions that are in the validation file too; kept in both
	ValidInTrain int // interactions of the validation file that left train

	UnseenUsers, UnseenItems int  // without a training interaction
	UnseenTest, UnseenValid  int  // interactions with such a user or item
	UnseenDropped            bool // they are gone; else they are kept, and ranked by what was initialised
}

// Users is the number of users of every set.
func (d *Dataset) Users() int { return len(d.UserID) }

// Items is the number of items of every set.
func (d *Dataset) Items() int { return len(d.ItemID) }

// Len is the number of interactions of the three sets together; one that is in two of them counts twice.
func (d *Dataset) Len() int { return d.Train.Len() + d.Valid.Len() + d.Test.Len() }

// Density is the share of the users x items matrix that the interactions of the three sets fill.
func (d *Dataset) Density() float64 {
	twice := d.Test.Overlap(d.Train) + d.Test.Overlap(d.Valid)
	return float64(d.Len()-twice) / (float64(d.Users()) * float64(d.Items()))
}

// Checksum is a CRC-32C of the ids and the three sets, with the times where there are any and the features where they are read: it tells whether a run that goes on has the data that it began with.
func (d *Dataset) Checksum() uint32 {
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	for _, ids := range [][]string{d.UserID, d.ItemID} {
		for _, id := range ids {
			_, _ = io.WriteString(sum, id+"\n")
		}
	}
	for _, x := range []*Interactions{d.Train, d.Valid, d.Test} {
		x.hash(sum)
	}
	for _, f := range d.ItemFeatures {
		fmt.Fprintf(sum, "%s\n%d\n", f.Name, f.Dim)
		hashAll(sum, f.Value)
	}
	return sum.Sum32()
}

// String reports the data set: its size, its files, and a line for every count that is not zero.
func (d *Dataset) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "data       %s\n", d.Path)
	for _, f := range d.Files {
		fmt.Fprintf(&b, "%-10s %s: %s", f.Role, f.Path, f.Format)
		if f.Why != "" {
			fmt.Fprintf(&b, " (%s)", f.Why)
		}
		fmt.Fprintf(&b, ", %s", plural(f.Lines, "line"))
		if f.Pairs > 0 {
			fmt.Fprintf(&b, ", %s", plural(f.Pairs, "interaction"))
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "size       %s users x %s items, density %.3f%%\n", thousands(d.Users()), thousands(d.Items()), 100*d.Density())
	fmt.Fprintf(&b, "split      %s: train %s, validation %s, test %s interactions; %s users are tested\n",
		d.Parts, thousands(d.Train.Len()), thousands(d.Valid.Len()), thousands(d.Test.Len()), thousands(d.Test.ActiveUsers()))

	fmt.Fprintf(&b, "checksum   %08x\n", d.Checksum())
	if d.Train.Time != nil {
		fmt.Fprintf(&b, "times      %s to %s\n", moment(d.span(slices.Min)), moment(d.span(slices.Max)))
	}
	if d.ItemTitle != nil {
		fmt.Fprintf(&b, "titles     %s of %s items\n", thousands(len(d.ItemTitle)-count(d.ItemTitle, "")), thousands(d.Items()))
	}
	for _, side := range []struct {
		of string
		*Attributes
	}{{"users", d.UserFields}, {"items", d.ItemFields}} {
		if side.Attributes != nil {
			fmt.Fprintf(&b, "attributes %s: %s; %s values\n", side.of, strings.Join(side.Fields, ", "), thousands(side.Values()))
		}
	}
	for _, f := range d.ItemFeatures {
		fmt.Fprintf(&b, "features   %s: %s items x %d (%s%s, %s)\n", f.Name, thousands(d.Items()), f.Dim, f.Name, featureSuffix, f.Type)
	}

	c := d.Counts
	fate, testFate := "kept", "kept: they are ranked by parameters that were initialised and never trained, mostly misses, which count"
	if c.UnseenDropped {
		fate, testFate = "dropped", "dropped"
	}
	for _, note := range []struct {
		n    int
		what string
	}{
		{c.TrainDuplicates, "repeated interactions in the training file, merged"},
		{c.TestDuplicates, "repeated interactions in the test file, merged"},
		{c.ValidDuplicates, "repeated interactions in the validation file, merged"},
		{c.NoItems, "lines with a user and no item"},
		{c.NonPositive, "lines dropped because their weight is not positive"},
		{c.LowRated, "lines dropped because of their rating (-min-rating)"},
		{c.TestInTrain, "test interactions that are in train too, kept in both"},
		{c.TestInValid, "test interactions that are in validation too, kept in both"},
		{c.ValidInTrain, "interactions moved from train to validation, as the validation file says"},
		{c.UnseenUsers, "users without a training interaction, " + fate},
		{c.UnseenItems, "items without a training interaction, " + fate},
		{c.UnseenTest, "test interactions with such a user or item, " + testFate},
		{c.UnseenValid, "validation interactions with such a user or item, " + fate},
	} {
		if note.n > 0 {
			fmt.Fprintf(&b, "note       %s %s\n", thousands(note.n), note.what)
		}
	}
	for _, note := range append(slices.Clone(d.Notes), d.splitNotes()...) {
		fmt.Fprintf(&b, "note       %s\n", note)
	}
	return b.String()
}

// span is the least or the greatest time of the three sets.
func (d *Dataset) span(of func([]float64) float64) float64 {
	var ends []float64
	for _, x := range []*Interactions{d.Train, d.Valid, d.Test} {
		if len(x.Time) > 0 {
			ends = append(ends, of(x.Time))
		}
	}
	return of(ends)
}

func count(all []string, s string) (n int) {
	for _, x := range all {
		if x == s {
			n++
		}
	}
	return n
}

// thousands writes n >= 0 with commas: 1,237,259.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
