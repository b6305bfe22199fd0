package dataset

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"slices"
)

// File is what was read from one file.
type File struct {
	Role   string // train, test, valid; all for a single file that is split; users, items for what describes them
	Path   string
	Format Format
	Why    string // the evidence for the format, and the columns; "" where the format was forced and has no columns to choose
	Lines  int    // lines that are not blank, without a header; rows of Parquet
	Pairs  int    // interactions on them, repetitions included
}

// parsed is the content of a file in the numbers of its identifiers.
type parsed struct {
	file        File
	pairs       []Pair
	times       []float64 // parallel to pairs, in the unit of the file, seconds for dates; nil where the file has no times
	noItems     int       // lines that name a user and no item
	nonPositive int       // lines dropped because their weight or rating is zero or negative
	lowRated    int       // lines dropped because their rating is below Options.MinRating
	dated       dating    // how the file writes its times
}

// fileReader reads the interactions of one file.
type fileReader struct {
	source
	layout
	wantColumns  Columns
	minRating    float64
	users, items *identifiers
	watch        watch

	all   *parsed    // receives the interactions, or those of train
	parts [3]*parsed // train, validation and test, where the file itself deals them

	dated   dating
	columns int // of every row; 0 before the first one
}

// read reads the file to its end.
func (r *fileReader) read(ctx context.Context) error {
	p := r.all
	p.file = File{Path: r.shown, Format: r.format, Why: r.why}
	if r.format == LightGCN && r.minRating != 0 || r.hasPlaces() && r.rating < 0 && r.minRating != 0 {
		return fmt.Errorf("%s has no ratings to hold against -min-rating %g (%s)", r.shown, r.minRating, r.describe())
	}
	var err error
	switch r.format {
	case Parquet:
		err = r.readParquet(ctx)
	case LightGCN:
		err = r.readLines(ctx, r.lightGCN)
	case Pairs:
		if r.hasPlaces() {
			err = r.readTable(ctx)
		} else {
			err = r.readLines(ctx, r.pair)
		}
	default:
		err = r.readTable(ctx)
	}
	if err != nil {
		return err
	}
	for _, part := range r.parts {
		if part != nil && part != p {
			p.file.Pairs += len(part.pairs)
			part.dated = r.dated
		}
	}
	p.file.Pairs += len(p.pairs)
	p.dated = r.dated
	if p.file.Pairs == 0 {
		return r.nothing()
	}
	if len(r.users.name) > math.MaxInt32 || len(r.items.name) > math.MaxInt32 {
		return fmt.Errorf("%s: more than %d users or items", r.shown, math.MaxInt32)
	}
	return nil
}

// hasPlaces tells whether the columns are chosen: LightGCN has none, and pairs as they are usually written are read faster without.
func (r *fileReader) hasPlaces() bool { return r.places != places{} }

func (r *fileReader) describe() string {
	if r.why == "" {
		return "read as " + string(r.format)
	}
	return "read as " + string(r.format) + ": " + r.why
}

// nothing is the error of a file without an interaction.
func (r *fileReader) nothing() error {
	p := r.all
	switch {
	case p.lowRated > 0:
		return fmt.Errorf("%s has no interactions: all %d are rated below %g", r.shown, p.file.Lines, r.minRating)
	case p.nonPositive > 0:
		return fmt.Errorf("%s has no interactions: no weight is positive", r.shown)
	}
	return fmt.Errorf("%s has no interactions (%s)", r.shown, r.describe())
}

// reserve makes room for the interactions of a file that is as dense as its beginning: growing step by step would hold them twice.
func (r *fileReader) reserve(b block) {
	p := r.all
	if b.size == 0 || b.read >= b.size || len(p.pairs) == 0 || cap(p.pairs) > 2*len(p.pairs)+blockSize {
		return
	}
	more := int(float64(len(p.pairs))*1.02*float64(b.size)/float64(b.read)) - len(p.pairs)
	p.pairs = slices.Grow(p.pairs, more)
	if p.times != nil {
		p.times = slices.Grow(p.times, more)
	}
}

// readLines reads a format without a header, line by line.
func (r *fileReader) readLines(ctx context.Context, read func(line []byte) (complaint string)) error {
	const others = ",;|:"
	first, said := 0, "" // a line without an interaction, one with other separators where there is one
	err := r.blocks(ctx, text{watch: r.watch, read: r.reserve}, func(b block) error {
		for lines := b.lines(); lines.next(); {
			r.all.file.Lines++
			if complaint := read(lines.line); complaint != "" {
				return r.at(lines.number, "%s%s", complaint, r.doubt(lines.line))
			}
			if len(r.all.pairs) == 0 && (first == 0 || !bytes.ContainsAny([]byte(said), others) && bytes.ContainsAny(lines.line, others)) {
				first, said = lines.number, string(lines.line)
			}
		}
		return nil
	})
	if err == nil && len(r.all.pairs) == 0 && first > 0 && r.all.lowRated == 0 && r.all.nonPositive == 0 {
		return r.at(first, "no interactions: %s is a user without items: a line is \"user item item ..\" or \"user item weight\", separated by spaces or tabs%s", quoted([]byte(said)), r.doubt([]byte(said)))
	}
	return err
}

// doubt says what else a line that cannot be read might be.
func (r *fileReader) doubt(line []byte) (doubt string) {
	if bytes.ContainsAny(line, ",;") {
		doubt = "; columns separated by commas or semicolons need a header that names a user and an item, or -columns user=NAME,item=NAME, without a header -columns user=1,item=2"
	}
	if r.format == Pairs && r.why != "" {
		doubt += fmt.Sprintf(" (read as pairs: %s; -format lightgcn reads it as one user a line)", r.why)
	}
	return doubt
}

// lightGCN reads "user item item ..".
func (r *fileReader) lightGCN(line []byte) (complaint string) {
	p := r.all
	user, rest := column(line)
	u := r.users.of(user)
	if len(rest) == 0 {
		p.noItems++
	}
	for len(rest) > 0 {
		var item []byte
		item, rest = column(rest)
		p.pairs = append(p.pairs, Pair{u, r.items.of(item)})
	}
	return ""
}

const aPair = `a pair is "user item" or "user item weight"`

// pair reads "user item" or "user item weight", or, where the first line has four columns, "user item weight time" on every line.
func (r *fileReader) pair(line []byte) (complaint string) {
	user, rest := column(line)
	if len(rest) == 0 {
		return fmt.Sprintf("%s stands alone: %s", quoted(user), aPair)
	}
	item, rest := column(rest)
	weight, rest := column(rest)
	at, more := column(rest)
	if r.columns == 0 {
		r.columns = 3
		if len(at) > 0 && len(more) == 0 {
			r.columns = 4
		}
	}
	timed := r.columns == 4
	switch {
	case timed && (len(at) == 0 || len(more) > 0):
		return fmt.Sprintf(`%d columns, but line %d has 4: "user item weight time"`, len(bytes.Fields(line)), r.first)
	case !timed && len(at) > 0:
		return fmt.Sprintf("%d columns: %s", len(bytes.Fields(line)), aPair)
	case len(weight) == 0 && r.minRating != 0:
		return fmt.Sprintf("no weight to hold against -min-rating %g", r.minRating)
	}
	return r.add(r.all, user, item, weight, at, "weight")
}

// number is a rating or a time, or none.
type number struct {
	x     float64
	given bool
}

// add reads the rating and the time of an interaction, which are empty where there is none, and keeps it.
func (r *fileReader) add(p *parsed, user, item, rating, at []byte, ratingName string) (complaint string) {
	var rated, timed number
	if rated.given = len(rating) > 0; rated.given {
		var ok bool
		if rated.x, ok = parseNumber(rating); !ok {
			return fmt.Sprintf("the %s %s is not a number%s", ratingName, quoted(rating), r.orNone("rating"))
		}
	}
	if timed.given = len(at) > 0; timed.given {
		if timed.x, complaint = r.parseTime(at); complaint != "" {
			return complaint + r.orNone("time")
		}
	}
	r.keep(p, user, item, rated, timed)
	return ""
}

// keep appends an interaction unless its rating says that it is none; its ids are then unknown too.
func (r *fileReader) keep(p *parsed, user, item []byte, rated, timed number) {
	if rated.given && !r.rated(rated.x) {
		return
	}
	if timed.given {
		p.times = append(p.times, timed.x)
	}
	p.pairs = append(p.pairs, Pair{r.users.of(user), r.items.of(item)})
}

// rated tells whether a rating makes an interaction, and counts those that do not. The sets are binary: without a least rating, one above
// zero says that there was an interaction.
func (r *fileReader) rated(x float64) bool {
	switch {
	case r.minRating == 0 && x <= 0:
		r.all.nonPositive++
		return false
	case r.minRating != 0 && x < r.minRating:
		r.all.lowRated++
		return false
	}
	return true
}

// quoted is what stands in a file as a message has it: its beginning, where it is long.
func quoted[S ~string | ~[]byte](b S) string {
	const most = 60
	if len(b) > most {
		return fmt.Sprintf("%q..", b[:most])
	}
	return fmt.Sprintf("%q", b)
}
