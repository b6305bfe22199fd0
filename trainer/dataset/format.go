package dataset

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Format is the way in which a file writes interactions. Blank lines are skipped; CRLF line ends, a UTF-8 byte order mark and gzip are
// accepted in every format that is text.
type Format string

const (
	Auto      Format = "auto"      // recognised by content
	LightGCN  Format = "lightgcn"  // a user a line: "user item item .."; a user without items is legal
	Pairs     Format = "pairs"     // an interaction a line, separated by blanks: "user item [weight [time]]", or as -columns number them
	RecBole   Format = "recbole"   // atomic files: a header of name:type, then an interaction a line, separated by tabs
	MovieLens Format = "movielens" // "user::item::rating::time"
	CSV       Format = "csv"       // a header, then an interaction a line, separated by commas, semicolons or tabs
	MMRec     Format = "mmrec"     // CSV with a column x_label that deals the interactions: 0 train, 1 validation, 2 test
	Parquet   Format = "parquet"   // one column each for users, items and, if there are any, ratings and times
)

// Formats are all that Options.Format may be.
func Formats() []Format {
	return []Format{Auto, LightGCN, Pairs, RecBole, MovieLens, CSV, MMRec, Parquet}
}

// separator stands between columns.
type separator byte

const (
	blanks     separator = ' ' // any number of spaces and tabs
	tab        separator = '\t'
	comma      separator = ','
	semicolon  separator = ';'
	twoColons  separator = ':'
	noneAtAll  separator = 0
	parquetTag           = "PAR1"
	gzipTag              = "\x1f\x8b"
)

func (s separator) String() string {
	return map[separator]string{blanks: "spaces or tabs", tab: "tabs", comma: "commas", semicolon: "semicolons", twoColons: `"::"`}[s]
}

// layout is how a file is to be read, and why.
type layout struct {
	format    Format // Auto where the content fits both LightGCN and Pairs
	why       string
	separator separator
	header    []string // nil without one
	first     int      // line of the header, or of the first row
	widest    int      // where the format is Auto: the most columns that a line has
	weights   bool     // where the format is Auto: every line has three columns, and the third is 1
	places
	optional bool // the rating and the time are read where rows are so wide
}

// wanted is what the options ask of a file's layout.
type wanted struct {
	format  Format
	columns Columns
}

var errEnough = errors.New("enough read")

// recognise settles how a file is to be read: by its first bytes, by its first line, and, where that may be a user with items as well as a
// pair, by all lines.
func (w wanted) recognise(ctx context.Context, s source) (layout, error) {
	start, err := s.opening(len(parquetTag))
	if err != nil {
		return layout{}, err
	}
	isParquet := string(start) == parquetTag
	switch {
	case w.format == Parquet && bytes.HasPrefix(start, []byte(gzipTag)):
		return layout{}, fmt.Errorf("%s is a gzip stream: unpack it, Parquet compresses its columns itself", s.shown)
	case w.format == Parquet || w.format == Auto && isParquet:
		return layout{format: Parquet, why: "it begins with PAR1"}, nil
	case isParquet:
		return layout{}, fmt.Errorf("%s is a Parquet file: leave -format %s out", s.shown, w.format)
	case w.format == LightGCN && w.columns.given():
		return layout{}, fmt.Errorf("%s: -columns mean nothing in the format lightgcn, whose lines are \"user item item ..\"", s.shown)
	case w.format == Pairs && w.columns.given() && !w.columns.numbered():
		return layout{}, fmt.Errorf("%s: pairs have no header: give -columns by number, from 1", s.shown)
	}
	var l layout
	settled := false
	err = s.blocks(ctx, text{}, func(b block) error {
		lines := b.lines()
		if !lines.next() {
			return nil // blank so far
		}
		l.first = lines.number
		if settled, err = w.byFirstLine(s, b, lines.whole, &l); err != nil {
			return err
		}
		return errEnough
	})
	if err != nil && !errors.Is(err, errEnough) {
		return l, err
	}
	if settled {
		return l, nil
	}
	return s.recogniseUsers(ctx)
}

// byFirstLine settles everything but the difference between LightGCN and Pairs. The block is that of the first line.
func (w wanted) byFirstLine(s source, b block, line []byte, l *layout) (settled bool, err error) {
	typed, typedBy := typedHeader(line)
	if header := plainHeader(line); header != nil {
		switch {
		case w.format == LightGCN || w.format == Pairs:
			return false, s.at(l.first, "a header (%s), and the format %s has none: leave -format out", list(header), w.format)
		case (w.format == CSV || w.format == MMRec) && separatorOf(line) == noneAtAll:
			return true, w.asTable(s, l, w.format, blanks, header)
		}
	}
	switch w.format {
	case LightGCN:
		l.format = LightGCN
		return true, nil
	case Pairs:
		return true, w.asPairs(s, l)
	case MovieLens:
		return true, w.asMovieLens(s, l)
	case RecBole:
		if typed == nil {
			return false, s.at(l.first, `no header of RecBole: "user_id:token<TAB>item_id:token .." is wanted`)
		}
		return true, w.asTable(s, l, RecBole, typedBy, typed)
	case CSV, MMRec:
		by := separatorOf(line)
		if by == noneAtAll {
			return false, s.at(l.first, "no comma, semicolon or tab in the first line: the format %s has one between columns", w.format)
		}
		return true, w.asTable(s, l, w.format, by, headerOf(line, by))
	}

	switch {
	case typed != nil:
		return true, w.asTable(s, l, RecBole, typedBy, typed)
	case isMovieLens(line):
		return true, w.asMovieLens(s, l)
	case w.columns.numbered():
		if header := plainHeader(line); header != nil {
			return false, s.at(l.first, numberedHeader)
		}
		if by := separatorOf(line); by == comma || by == semicolon || by == tab && b.tabbed() {
			return true, w.asTable(s, l, CSV, by, headerOf(line, by))
		}
		return true, w.asPairs(s, l)
	}
	for _, by := range []separator{tab, comma, semicolon, blanks} {
		if by == blanks && separatorOf(line) != noneAtAll {
			break // "user name,item name" has no column user
		}
		header := headerOf(line, by)
		if len(header) < 2 {
			continue
		}
		p, complaint := w.columns.find(header)
		// Names that are asked for are a header; names found must be of both sides.
		if complaint == "" || p.user >= 0 && p.item >= 0 || w.columns.given() && by == separatorOf(line) {
			format := CSV
			if slices.Contains(header, splitColumn) {
				format = MMRec
			}
			return true, w.asTable(s, l, format, by, header)
		}
	}
	if w.columns.given() {
		return false, s.at(l.first, "-columns name columns, and there is no header separated by commas, semicolons, tabs or spaces; number them from 1 where there is none")
	}
	return false, nil
}

func (w wanted) asPairs(s source, l *layout) error {
	l.format, l.separator = Pairs, blanks
	if !w.columns.given() {
		return nil
	}
	return w.number(s, l)
}

// isMovieLens tells whether a line is two to four columns separated by "::", the user and the item without a blank: "u::1 i::5" is a pair of ids.
func isMovieLens(line []byte) bool {
	columns := bytes.Split(line, []byte("::"))
	if len(columns) < 2 || len(columns) > 4 {
		return false
	}
	for _, id := range columns[:2] {
		if bytes.ContainsAny(trim(id), " \t") {
			return false
		}
	}
	return true
}

func (w wanted) asMovieLens(s source, l *layout) error {
	l.format, l.separator, l.why = MovieLens, twoColons, `columns separated by "::"`
	l.places, l.optional = places{0, 1, 2, 3, -1}, true
	switch {
	case w.columns.named():
		return s.at(l.first, `columns separated by "::" have no header: give -columns by number, from 1`)
	case w.columns.numbered():
		l.optional = false
		return w.number(s, l)
	case w.columns.given():
		l.places = w.columns.without(l.places)
		l.why += ": " + l.places.String(nil)
	}
	return nil
}

// number settles the columns of a file without a header.
func (w wanted) number(s source, l *layout) error {
	l.places = w.columns.byNumber()
	if complaint := l.places.verify(nil); complaint != "" {
		return s.at(l.first, "%s; without a header the user is column 1 and the item column 2 where -columns do not give them", complaint)
	}
	if l.why != "" {
		l.why += ": "
	}
	l.why += l.places.String(nil)
	return nil
}

const numberedHeader = "a header, and -columns number columns as where there is none: name them, or leave -columns out"

// asTable settles the columns of a file with a header, or with numbered columns.
func (w wanted) asTable(s source, l *layout, format Format, by separator, header []string) error {
	l.format, l.separator = format, by
	if w.columns.numbered() && format == CSV {
		l.why = fmt.Sprintf("no header, separated by %s", by)
		if err := w.number(s, l); err != nil {
			return err
		}
		if l.width() <= len(header) && usual(header[l.user:l.user+1], userNames) == 0 && usual(header[l.item:l.item+1], itemNames) == 0 {
			return s.at(l.first, numberedHeader)
		}
		return nil
	}
	var complaint string
	if l.places, complaint = w.columns.find(header); complaint != "" {
		return s.at(l.first, "%s", complaint)
	}
	if format == MMRec && l.split < 0 {
		return s.at(l.first, "no column %s, which deals the interactions of MMRec to train, validation and test: there are %s", splitColumn, list(header))
	}
	if format != MMRec {
		l.split = -1
	}
	l.header = header
	l.why = fmt.Sprintf("header separated by %s: %s", by, l.places.String(header))
	return nil
}

var fieldTypes = []string{"token", "token_seq", "float", "float_seq"}

// typedHeader returns the names of RecBole's "name:type" columns, or nil. Blanks other than tabs separate them where there is no tab.
func typedHeader(line []byte) (names []string, by separator) {
	by = tab
	if !bytes.Contains(line, []byte("\t")) {
		if by = separatorOf(line); by == noneAtAll {
			by = blanks
		}
	}
	fields := splitHeader(string(line), by)
	for _, f := range fields {
		name, kind, ok := strings.Cut(f, ":")
		if !ok || !slices.Contains(fieldTypes, kind) {
			return nil, noneAtAll
		}
		names = append(names, name)
	}
	return names, by
}

func splitHeader(line string, by separator) []string {
	if by == blanks {
		return strings.Fields(line)
	}
	fields := strings.Split(line, string(rune(by)))
	for k := range fields {
		fields[k] = strings.TrimSpace(fields[k])
	}
	return fields
}

// plainHeader returns the names of a header that has a usual one for the user and one for the item, separated by tabs, or by blanks where there
// is no tab; nil without.
func plainHeader(line []byte) []string {
	by := blanks
	if bytes.ContainsRune(line, '\t') {
		by = tab
	}
	header := splitHeader(string(line), by)
	if bytes.ContainsAny(line, ",;") || usual(header, userNames) < 0 || usual(header, itemNames) < 0 {
		return nil
	}
	return header
}

// tabbed tells whether tabs alone separate the columns of a block: all lines have as many, and a column has a blank inside.
func (b block) tabbed() bool {
	tabs, inside := -1, false
	for lines := b.lines(); lines.next(); {
		n := bytes.Count(lines.whole, []byte{'\t'})
		if tabs < 0 {
			tabs = n
		}
		if n != tabs {
			return false
		}
		for f := range bytes.SplitSeq(lines.whole, []byte{'\t'}) {
			inside = inside || bytes.IndexByte(trim(f), ' ') >= 0
		}
	}
	return inside
}

// separatorOf is the separator that is most frequent in a line; noneAtAll where there is none.
func separatorOf(line []byte) separator {
	best, most := noneAtAll, 0
	for _, by := range []separator{comma, semicolon, tab} {
		if n := bytes.Count(line, []byte{byte(by)}); n > most {
			best, most = by, n
		}
	}
	return best
}

// headerOf splits a header, whose names may be quoted. A header that is broken is returned unquoted: no name in it will be found.
func headerOf(line []byte, by separator) []string {
	if !bytes.ContainsRune(line, '"') {
		return splitHeader(string(line), by)
	}
	r := csv.NewReader(bytes.NewReader(line))
	r.Comma = rune(by)
	fields, err := r.Read()
	if err != nil {
		return splitHeader(string(line), by)
	}
	for k := range fields {
		fields[k] = strings.TrimSpace(fields[k])
	}
	return fields
}

// column cuts the first column off a line that has no separator at its ends.
func column(line []byte) (first, rest []byte) {
	end := 0
	for end < len(line) && line[end] != ' ' && line[end] != '\t' {
		end++
	}
	next := end
	for next < len(line) && (line[next] == ' ' || line[next] == '\t') {
		next++
	}
	return line[:end], line[next:]
}
