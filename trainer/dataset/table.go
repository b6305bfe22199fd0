package dataset

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
)

// rows calls each with the fields of every row of a table, whose header, if it has one, is left out. The fields are valid until the next call.
// Rows without a quote are cut at the separators; the others follow the rules of encoding/csv, which reads them, but where tabs separate: a field
// there often has a quote of its own (5" disc), and one that is quoted ends on its line.
func (s source) rows(ctx context.Context, l layout, how text, each func(fields [][]byte, line int) error) error {
	ofCSV := l.format == CSV || l.format == MMRec
	how.quoted = ofCSV && (l.separator == comma || l.separator == semicolon)
	t := tableReader{source: s, layout: l, each: each, header: l.header != nil, unquote: ofCSV && l.separator == tab}
	return s.blocks(ctx, how, func(b block) error {
		if how.quoted && bytes.IndexByte(b.text, '"') >= 0 {
			if err := t.quoted(b); err != nil || !b.cut {
				return err
			}
		}
		if b.cut {
			return s.at(b.line, "a line longer than %d MB: this is no file of interactions", maxRecord>>20)
		}
		for lines := b.lines(); lines.next(); {
			if t.header {
				t.header = false
				continue
			}
			t.split(lines)
			if err := each(t.fields, lines.number); err != nil {
				return err
			}
		}
		return nil
	})
}

// maxColumns bounds what a row's fields may hold in memory; no table of interactions is as wide.
const maxColumns = 1 << 16

// tableReader cuts the rows of a table into fields.
type tableReader struct {
	source
	layout
	each    func(fields [][]byte, line int) error
	header  bool // it is still to come
	unquote bool // fields that are wholly in quotes
	fields  [][]byte
	scratch []byte
}

// split cuts a line without quotes.
func (t *tableReader) split(lines scanner) {
	t.fields, t.scratch = t.fields[:0], t.scratch[:0]
	switch t.separator {
	case blanks:
		for rest := lines.line; len(rest) > 0 && len(t.fields) <= maxColumns; {
			var f []byte
			f, rest = column(rest)
			t.fields = append(t.fields, f)
		}
	case twoColons:
		rest := lines.line
		for {
			end := bytes.Index(rest, []byte("::"))
			if end < 0 || len(t.fields) == maxColumns {
				break
			}
			t.fields = append(t.fields, trim(rest[:end]))
			rest = rest[end+2:]
		}
		t.fields = append(t.fields, trim(rest))
	default:
		rest := lines.whole
		for {
			if t.unquote && len(rest) > 0 && rest[0] == '"' {
				if field, end, ok := t.unquoted(rest); ok {
					t.fields = append(t.fields, trim(field))
					if end == len(rest) || len(t.fields) == maxColumns {
						return
					}
					rest = rest[end+1:]
					continue
				}
			}
			end := bytes.IndexByte(rest, byte(t.separator))
			if end < 0 || len(t.fields) == maxColumns {
				break
			}
			t.fields = append(t.fields, trim(rest[:end]))
			rest = rest[end+1:]
		}
		t.fields = append(t.fields, trim(rest))
	}
}

// unquoted is the field at the beginning of a row's rest, which begins with a quote, and where it ends; not ok where no quote stands before the
// separator or the end of the line. A quote inside is written twice.
func (t *tableReader) unquoted(rest []byte) (field []byte, end int, ok bool) {
	begin := len(t.scratch)
	for at := 1; ; {
		quote := bytes.IndexByte(rest[at:], '"')
		if quote < 0 {
			return nil, 0, false
		}
		t.scratch = append(t.scratch, rest[at:at+quote]...)
		switch at += quote + 1; {
		case at == len(rest) || rest[at] == byte(t.separator):
			return t.scratch[begin:], at, true
		case rest[at] != '"':
			return nil, 0, false
		}
		t.scratch = append(t.scratch, '"')
		at++
	}
}

// quoted reads a block with quotes in it.
func (t *tableReader) quoted(b block) error {
	r := csv.NewReader(bytes.NewReader(b.text))
	r.Comma = rune(t.separator)
	r.FieldsPerRecord = -1 // rows are counted by who wants them
	r.ReuseRecord = true
	r.TrimLeadingSpace = true
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		var wrong *csv.ParseError
		if errors.As(err, &wrong) {
			line, what := b.line+wrong.StartLine-1, "the quotes of this row do not match"
			if errors.Is(wrong.Err, csv.ErrBareQuote) {
				what = `a quote inside a field that is not quoted: write "" for a quote and put the field in quotes`
			}
			return t.at(line, "%s", what)
		}
		if err != nil {
			return t.failed(err)
		}
		line, _ := r.FieldPos(0)
		line += b.line - 1
		t.fields, t.scratch = t.fields[:0], t.scratch[:0]
		for _, f := range record {
			t.scratch = append(t.scratch, f...)
		}
		blank, begin := true, 0
		for _, f := range record {
			field := trim(t.scratch[begin : begin+len(f)])
			begin += len(f)
			blank = blank && len(field) == 0
			t.fields = append(t.fields, field)
		}
		switch {
		case blank && len(record) == 1: // as a blank line anywhere
		case t.header:
			t.header = false
		default:
			if err := t.each(t.fields, line); err != nil {
				return err
			}
		}
	}
}

// readTable reads a file whose columns are settled.
func (r *fileReader) readTable(ctx context.Context) error {
	r.columns = len(r.header)
	named := "rating"
	if r.rating >= 0 && r.header != nil {
		named = r.header[r.rating]
	}
	return r.rows(ctx, r.layout, text{watch: r.watch, read: r.reserve}, func(fields [][]byte, line int) error {
		r.all.file.Lines++
		if complaint := r.row(fields, line, named); complaint != "" {
			return r.at(line, "%s", complaint)
		}
		return nil
	})
}

// row reads one interaction. Rows have as many fields as the header or the first row, so that a field that holds a separator and is not quoted
// does not move the others into a wrong column in silence.
func (r *fileReader) row(fields [][]byte, line int, ratingName string) (complaint string) {
	if r.columns == 0 {
		if complaint = r.firstRow(fields); complaint != "" {
			return complaint
		}
		r.first = line
	}
	if len(fields) != r.columns {
		complaint = fmt.Sprintf("%s, but line %d has %d, separated by %s", plural(len(fields), "column"), r.first, r.columns, r.separator)
		if r.format == Pairs {
			complaint += "; with -format csv tabs alone separate"
		}
		return complaint
	}
	user, item := fields[r.user], fields[r.item]
	var rating, at []byte
	if r.rating >= 0 {
		if rating = fields[r.rating]; len(rating) == 0 {
			return "the " + ratingName + " is missing" + r.orNone("rating")
		}
	}
	if r.time >= 0 {
		if at = fields[r.time]; len(at) == 0 {
			return "the time is missing" + r.orNone("time")
		}
	}
	for _, id := range [][]byte{user, item} {
		switch {
		case len(id) == 0:
			return "the user or the item is missing"
		case bytes.IndexByte(id, '\n') >= 0:
			return fmt.Sprintf("a line break in the id %s", quoted(id))
		}
	}
	to := r.all
	if r.split >= 0 {
		switch label := string(fields[r.split]); label {
		case "0", "1", "2":
			to = r.parts[label[0]-'0']
		default:
			return fmt.Sprintf("%s %s is none of 0, 1, 2 (train, validation, test)", splitColumn, quoted(label))
		}
	}
	return r.add(to, user, item, rating, at, ratingName)
}

// firstRow holds the columns that are wanted by number against what a file without a header has.
func (r *fileReader) firstRow(fields [][]byte) (complaint string) {
	r.columns = len(fields)
	if r.optional {
		if r.rating >= r.columns {
			r.rating = -1
		}
		if r.time >= r.columns {
			r.time = -1
		}
		if r.rating < 0 && r.minRating != 0 {
			return fmt.Sprintf("no rating to hold against -min-rating %g", r.minRating)
		}
	}
	if r.width() > r.columns {
		return fmt.Sprintf("%s, so there is no column %d", plural(r.columns, "column"), r.width())
	}
	return ""
}

// orNone says how a rating or time that was found is turned off; "" for a role that is needed, and for columns that were asked for by number.
func (r *fileReader) orNone(role string) string {
	if role != "rating" && role != "time" || r.header == nil && !r.optional && r.format != Parquet {
		return ""
	}
	return fmt.Sprintf("; -columns %s=none reads the file without it", role)
}

// plural is "1 column" or "3 columns".
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%s %ss", thousands(n), what)
}
