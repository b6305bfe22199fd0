package dataset

import (
	"bytes"
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"unicode/utf8"
)

// A Format is the way in which a file writes interactions. Columns are separated by spaces or tabs; blank lines are skipped; CRLF line
// ends and a UTF-8 byte order mark are accepted.
type Format string

const (
	Auto     Format = "auto"     // recognised by content
	LightGCN Format = "lightgcn" // a user a line: "user item item .."; a user without items is legal
	Pairs    Format = "pairs"    // an interaction a line: "user item" or "user item weight"
)

// File is what was read from one file.
type File struct {
	Role   string // train, test, valid; all for a single file that is split
	Path   string
	Format Format
	Lines  int // lines that are not blank
	Pairs  int // interactions on them, repetitions included
}

// source is a file to read: its place in a file system, and the path that errors show.
type source struct {
	fsys        fs.FS
	name, shown string
}

// content is the text of a file.
type content struct {
	shown string
	text  []byte
}

// read returns a file's text without its byte order mark. A file that is empty or is not text is an error.
func (s source) read() (content, error) {
	text, err := fs.ReadFile(s.fsys, s.name)
	if err != nil {
		return content{}, fmt.Errorf("cannot read %s: %w", s.shown, err)
	}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	if len(bytes.TrimSpace(text)) == 0 {
		return content{}, fmt.Errorf("%s is empty", s.shown)
	}
	c := content{s.shown, text}
	return c, c.verifyText()
}

// at is an error at a line of the file, which counts from 1.
func (c content) at(line int, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %s", c.shown, line, fmt.Sprintf(format, args...))
}

// verifyText refuses control characters and anything that is not UTF-8: a compressed or binary file, or UTF-16.
func (c content) verifyText() error {
	line, ascii := 1, true
	for i, b := range c.text {
		switch {
		case b == '\n':
			line++
		case b == '\r' && (i+1 == len(c.text) || c.text[i+1] == '\n'), b == '\t':
		case b < ' ' || b == 0x7f:
			return c.at(line, "not text: it has the control character %#02x; a data file is UTF-8 text, unpacked", b)
		case b >= utf8.RuneSelf:
			ascii = false
		}
	}
	if ascii || utf8.Valid(c.text) {
		return nil
	}
	for lines := (scanner{rest: c.text}); lines.next(); {
		if !utf8.Valid(lines.line) {
			return c.at(lines.number, "not UTF-8 text: save the file as UTF-8")
		}
	}
	return nil
}

// scanner walks over the lines that are not blank, without copying them.
type scanner struct {
	rest   []byte
	line   []byte
	number int // of line, from 1
}

func (s *scanner) next() bool {
	for len(s.rest) > 0 {
		s.line, s.rest, _ = bytes.Cut(s.rest, []byte{'\n'})
		s.number++
		if s.line = bytes.Trim(s.line, " \t\r"); len(s.line) > 0 {
			return true
		}
	}
	return false
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

// recognition is the format a file seems to have, and the evidence.
type recognition struct {
	format Format // Auto where the content fits both
	why    string
}

// recognise tells the formats apart: LightGCN has one line a user, so a user on two lines means pairs. Where no user comes twice, a line
// that is too long or too short for a pair means LightGCN.
func (c content) recognise() recognition {
	seen := map[string]int{}
	found := recognition{format: Auto}
	for lines := (scanner{rest: c.text}); lines.next(); {
		user, rest := column(lines.line)
		if first, ok := seen[string(user)]; ok {
			return recognition{Pairs, fmt.Sprintf("user %q is on lines %d and %d", user, first, lines.number)}
		}
		seen[string(user)] = lines.number
		columns := 1
		for ; len(rest) > 0 && columns < 4; columns++ {
			_, rest = column(rest)
		}
		if columns == 1 || columns > 3 {
			found.format = LightGCN
		}
	}
	return found
}

// parsed is the content of a file in the numbers of its identifiers.
type parsed struct {
	file        File
	pairs       []Pair
	times       []float64 // parallel to pairs, in the unit of the file, seconds for dates; nil where the file has no times
	noItems     int       // lines that name a user and no item
	nonPositive int       // lines dropped because their weight is zero or negative
}

// parse reads the interactions of a file and numbers its ids.
func (c content) parse(seems recognition, users, items *identifiers) (p parsed, err error) {
	p = parsed{file: File{Path: c.shown, Format: seems.format}, pairs: make([]Pair, 0, len(c.text)/8)}
	read := p.lightGCN
	if seems.format == Pairs {
		read = p.pair
	}
	for lines := (scanner{rest: c.text}); lines.next(); {
		p.file.Lines++
		if complaint := read(lines.line, users, items); complaint != "" {
			if seems.why != "" {
				complaint += fmt.Sprintf(" (read as pairs since %s; -format lightgcn reads it as one user a line)", seems.why)
			}
			return p, c.at(lines.number, "%s", complaint)
		}
	}
	p.file.Pairs = len(p.pairs)
	if len(p.pairs) == 0 {
		hint := `a line is "user item item .." or "user item weight", separated by spaces or tabs`
		if comma := bytes.IndexByte(c.text, ','); comma >= 0 {
			return p, c.at(1+bytes.Count(c.text[:comma], []byte{'\n'}), "no interactions: columns are separated by commas, but %s", hint)
		}
		return p, fmt.Errorf("%s has no interactions: %s", c.shown, hint)
	}
	if len(users.name) > math.MaxInt32 || len(items.name) > math.MaxInt32 {
		return p, fmt.Errorf("%s: more than %d users or items", c.shown, math.MaxInt32)
	}
	return p, nil
}

// lightGCN reads "user item item ..".
func (p *parsed) lightGCN(line []byte, users, items *identifiers) (complaint string) {
	user, rest := column(line)
	u := users.of(user)
	if len(rest) == 0 {
		p.noItems++
	}
	for len(rest) > 0 {
		var item []byte
		item, rest = column(rest)
		p.pairs = append(p.pairs, Pair{u, items.of(item)})
	}
	return ""
}

// pair reads "user item" or "user item weight". The set is binary, so a weight only tells whether there was an interaction: a line whose
// weight is zero or negative is dropped, and its ids with it.
func (p *parsed) pair(line []byte, users, items *identifiers) (complaint string) {
	user, rest := column(line)
	if len(rest) == 0 {
		return fmt.Sprintf(`%q stands alone: a pair is "user item" or "user item weight"`, user)
	}
	item, rest := column(rest)
	if len(rest) > 0 {
		weight, more := column(rest)
		if len(more) > 0 {
			return fmt.Sprintf(`%d columns: a pair is "user item" or "user item weight"`, len(bytes.Fields(line)))
		}
		w, err := strconv.ParseFloat(string(weight), 64)
		if err != nil || math.IsNaN(w) || math.IsInf(w, 0) {
			return fmt.Sprintf("the weight %q is not a number", weight)
		}
		if w <= 0 {
			p.nonPositive++
			return ""
		}
	}
	p.pairs = append(p.pairs, Pair{users.of(user), items.of(item)})
	return ""
}
