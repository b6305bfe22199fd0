package dataset

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"nearfar/trainer/option"
)

// Columns say which columns of a file are the user, the item, the rating and the time: by the names in its header, or, for a file without
// one, by their numbers from 1. What is empty is found by the usual names; a rating or time that is None is not read.
type Columns struct{ User, Item, Rating, Time string }

// None as a rating or time is no column.
const None = "none"

// ParseColumns reads "user=uid,item=sku,time=ts,rating=stars", in any order.
func ParseColumns(s string) (c Columns, err error) {
	err = c.UnmarshalText([]byte(s))
	return c, err
}

// UnmarshalText is ParseColumns.
func (c *Columns) UnmarshalText(text []byte) error {
	*c = Columns{}
	if len(text) == 0 {
		return nil
	}
	roles := []string{"user", "item", "rating", "time"}
	for part := range strings.SplitSeq(string(text), ",") {
		role, name, ok := strings.Cut(part, "=")
		role, name = strings.TrimSpace(role), strings.TrimSpace(name)
		if !ok || name == "" {
			return fmt.Errorf("%q is not ROLE=COLUMN: want for example user=uid,item=sku,time=ts,rating=stars", part)
		}
		k := slices.Index(roles, role)
		if k < 0 {
			return fmt.Errorf("no column is a %q%s: want user, item, rating or time", role, nearest(role, roles))
		}
		of := []*string{&c.User, &c.Item, &c.Rating, &c.Time}[k]
		if *of != "" {
			return fmt.Errorf("%s is given twice", role)
		}
		if name == None && k < 2 {
			return fmt.Errorf("%s=none: an interaction needs a user and an item; only rating and time may be none", role)
		}
		*of = name
	}
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (c Columns) MarshalText() ([]byte, error) {
	var parts []string
	for _, p := range []struct{ role, name string }{{"user", c.User}, {"item", c.Item}, {"rating", c.Rating}, {"time", c.Time}} {
		if p.name != "" {
			parts = append(parts, p.role+"="+p.name)
		}
	}
	return []byte(strings.Join(parts, ",")), nil
}

// given tells whether any column is named.
func (c Columns) given() bool { return c != Columns{} }

// numbered tells whether columns are given by number, and none by name: the file has no header.
func (c Columns) numbered() bool { return c.anyIs(isColumnNumber) && !c.named() }

// named tells whether columns are given by name.
func (c Columns) named() bool { return c.anyIs(func(s string) bool { return !isColumnNumber(s) }) }

// anyIs tells whether the name or number of a column that is to be read passes.
func (c Columns) anyIs(passes func(string) bool) bool {
	for _, s := range []string{c.User, c.Item, c.Rating, c.Time} {
		if s != "" && s != None && passes(s) {
			return true
		}
	}
	return false
}

func isColumnNumber(s string) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n >= 1
}

func nearest(misspelt string, names []string) string {
	if near, ok := option.Nearest(misspelt, names); ok {
		return fmt.Sprintf(" (did you mean %s?)", near)
	}
	return ""
}

// The usual names of columns, the most telling first, as plain writes them.
var (
	userNames   = []string{"userid", "user", "uid", "u", "username", "customerid", "customer", "reviewerid", "visitorid", "memberid", "accountid"}
	itemNames   = []string{"itemid", "item", "iid", "i", "parentasin", "asin", "sku", "productid", "product", "movieid", "artistid", "trackid", "songid", "bookid", "isbn", "businessid", "gameid", "articleid", "videoid"}
	ratingNames = []string{"rating", "ratings", "stars", "score", "overall", "weight", "playcount", "count"}
	timeNames   = []string{"timestamp", "time", "ts", "datetime", "date", "unixreviewtime", "unixtime", "eventtime", "reviewtime", "createdat"}
	titleNames  = []string{"title", "movietitle", "itemtitle", "itemname", "productname", "name"}
)

// splitColumn holds 0, 1 or 2 for train, validation and test in the files of MMRec.
const splitColumn = "x_label"

// plain is a column's name without case and punctuation: user_id, userId and "User-ID" are one.
func plain(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case strings.ContainsRune("_- :.", r):
			return -1
		}
		return r
	}, name)
}

// usual finds the column that bears the most telling of the names; -1 where none does.
func usual(header, names []string) int {
	for _, name := range names {
		for k, h := range header {
			if plain(h) == name {
				return k
			}
		}
	}
	return -1
}

// places are the columns of a file by position from 0; -1 where the file has none.
type places struct{ user, item, rating, time, split int }

var noPlaces = places{-1, -1, -1, -1, -1}

// find settles the columns of a header. The complaint names what is there.
func (c Columns) find(header []string) (p places, complaint string) {
	p = noPlaces
	for _, s := range []struct {
		role, name string
		names      []string
		to         *int
	}{
		{"user", c.User, userNames, &p.user}, {"item", c.Item, itemNames, &p.item},
		{"rating", c.Rating, ratingNames, &p.rating}, {"time", c.Time, timeNames, &p.time},
	} {
		if s.name == None {
			continue
		}
		if s.name == "" {
			*s.to = usual(header, s.names)
		} else if *s.to = slices.Index(header, s.name); *s.to < 0 {
			return p, fmt.Sprintf("no column %q for the %s%s: there are %s", s.name, s.role, nearest(s.name, header), list(header))
		}
	}
	p.split = slices.Index(header, splitColumn)
	for _, at := range []int{p.user, p.item, p.rating, p.time, p.split} {
		if at < 0 {
			continue
		}
		if again := slices.Index(header[at+1:], header[at]); again >= 0 {
			return p, fmt.Sprintf("column %s is there twice, as number %d and number %d", quoted(header[at]), at+1, at+1+again+1)
		}
	}
	return p, p.verify(header)
}

// byNumber settles the columns of a file without a header; user and item are the first two unless they are given.
func (c Columns) byNumber() places {
	number := func(s string, unless int) int {
		if n, err := strconv.Atoi(s); err == nil {
			return n - 1
		}
		return unless
	}
	return places{number(c.User, 0), number(c.Item, 1), number(c.Rating, -1), number(c.Time, -1), -1}
}

// without is p, but for what is not to be read.
func (c Columns) without(p places) places {
	if c.Rating == None {
		p.rating = -1
	}
	if c.Time == None {
		p.time = -1
	}
	return p
}

// verify refuses a header without a user or an item, and a column with two roles.
func (p places) verify(header []string) (complaint string) {
	for _, s := range []struct {
		role string
		at   int
	}{{"user", p.user}, {"item", p.item}} {
		if s.at < 0 {
			return fmt.Sprintf("no column is the %s: there are %s; name it with -columns %s=NAME, or without a header by its number, %s=1", s.role, list(header), s.role, s.role)
		}
	}
	all := []int{p.user, p.item, p.rating, p.time, p.split}
	for k, at := range all {
		if at >= 0 && slices.Contains(all[:k], at) {
			return fmt.Sprintf("column number %d has two roles", at+1)
		}
	}
	return ""
}

// list writes names in quotes, the first ones of many.
func list(names []string) string {
	const most = 12
	var b strings.Builder
	for k, n := range names {
		if k == most {
			fmt.Fprintf(&b, " and %d more", len(names)-most)
			break
		}
		if k > 0 {
			b.WriteString(", ")
		}
		b.WriteString(quoted(n))
	}
	return b.String()
}

// String is `user "uid", item "sku"` with the names of a header, or `user 1, item 2` without.
func (p places) String(header []string) string {
	var parts []string
	for _, s := range []struct {
		role string
		at   int
	}{{"user", p.user}, {"item", p.item}, {"rating", p.rating}, {"time", p.time}, {"split", p.split}} {
		switch {
		case s.at < 0:
		case header == nil:
			parts = append(parts, fmt.Sprintf("%s %d", s.role, s.at+1))
		default:
			parts = append(parts, fmt.Sprintf("%s %s", s.role, quoted(header[s.at])))
		}
	}
	return strings.Join(parts, ", ")
}

// width is how many columns a row has at least.
func (p places) width() int { return 1 + max(p.user, p.item, p.rating, p.time, p.split) }
