package dataset

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// describe reads what lies beside the interactions: titles of items, and fields of items and users. Rows follow the final numbering.
//
//	RecBole    NAME.item and NAME.user beside NAME.inter: fields of type token and token_seq; float and float_seq are left out
//	MovieLens  movies.dat "item::title::genre|genre" and users.dat "user::gender::age::occupation::zip code" beside ratings.dat
//	CSV        movies.csv or items.csv, for a title and a column genres or categories, with | between several
//
// A file without a header in which the id is found is not about this data, and is noted; one that has it and is damaged is an error.
func (d *Dataset) describe(ctx context.Context, at location, train layout) error {
	var items, users source
	folder := at.train
	extension := filepath.Ext(strings.TrimSuffix(folder.name, ".gz"))
	switch train.format {
	case RecBole:
		name := strings.TrimSuffix(strings.TrimSuffix(folder.name, ".gz"), ".inter")
		name = strings.TrimSuffix(name, ".train")
		items, users = folder.beside(name+".item"), folder.beside(name+".user")
	case MovieLens:
		items, users = folder.beside("movies"+extension), folder.beside("users"+extension)
	case CSV:
		items = folder.beside("movies"+extension, "items"+extension)
	}
	for _, side := range []struct {
		role string
		source
		column int // of the id among those of the interactions
		ids    []string
		fields **Attributes
		titles *[]string
	}{{"items", items, train.item, d.ItemID, &d.ItemFields, &d.ItemTitle}, {"users", users, train.user, d.UserID, &d.UserFields, nil}} {
		if !side.exists() || folder.held != nil {
			continue
		}
		r := sideReader{source: side.source, titled: side.titles != nil}
		id := ""
		if train.header != nil {
			id = train.header[side.column]
		}
		if err := r.settle(ctx, train.format, id); err != nil {
			if ctx.Err() != nil {
				return err
			}
			d.Notes = append(d.Notes, fmt.Sprintf("titles and fields of %s are not read: %v", side.role, err))
			continue
		}
		if err := r.read(ctx, side.ids); err != nil {
			return err
		}
		*side.fields = r.attributes()
		if side.titles != nil {
			*side.titles = r.title
		}
		d.Files = append(d.Files, File{Role: side.role, Path: r.shown, Format: r.format, Lines: r.lines})
	}
	return nil
}

// sideReader reads a file with one row for each item or user.
type sideReader struct {
	source
	layout
	titled bool
	lines  int

	id, titleAt int
	fields      []sideField

	title  []string
	values [][]sideValue // of each row of the data set; of a row that comes twice the last one stays
}

// sideField is a categorical column.
type sideField struct {
	name    string
	at      int
	between byte // of several values in one field; 0 where there is one
}

// sideValue is a value of a field.
type sideValue struct {
	field int32
	name  string
}

func bySideValue(a, b sideValue) int {
	return cmp.Or(cmp.Compare(a.field, b.field), cmp.Compare(a.name, b.name))
}

// settle chooses the columns. The id is in the column that has the name which it has among the interactions, or else in one of a usual name.
func (r *sideReader) settle(ctx context.Context, format Format, id string) error {
	r.titleAt, r.format = -1, format
	if format == MovieLens {
		r.separator = twoColons
		if r.titled {
			r.titleAt, r.fields = 1, []sideField{{"genres", 2, '|'}}
		} else {
			r.fields = []sideField{{"gender", 1, 0}, {"age", 2, 0}, {"occupation", 3, 0}, {"zip_code", 4, 0}}
		}
		return nil
	}
	var first []byte
	err := r.blocks(ctx, text{anyBytes: true}, func(b block) error {
		for lines := b.lines(); lines.next(); {
			first, r.first = bytes.Clone(lines.whole), lines.number
			return errEnough
		}
		return nil
	})
	if first == nil {
		return err
	}
	if format == RecBole {
		return r.settleTyped(first, id)
	}
	if r.separator = separatorOf(first); r.separator == noneAtAll {
		r.separator = blanks
	}
	r.header = headerOf(first, r.separator)
	if r.id = r.idColumn(id); r.id < 0 {
		return r.at(r.first, "no column is the item: there are %s", list(r.header))
	}
	r.titleAt = usual(r.header, titleNames)
	if genres := usual(r.header, []string{"genres", "categories", "genre", "category"}); genres >= 0 {
		r.fields = []sideField{{r.header[genres], genres, '|'}}
	}
	return nil
}

// idColumn finds the column of the id; -1 where there is none.
func (r *sideReader) idColumn(id string) int {
	if k := slices.Index(r.header, id); id != "" && k >= 0 { // none of numbered columns; pandas leaves the index's name empty
		return k
	}
	if r.titled {
		return usual(r.header, itemNames)
	}
	return usual(r.header, userNames)
}

// settleTyped chooses the columns of a RecBole file by their types.
func (r *sideReader) settleTyped(first []byte, id string) error {
	typed, by := typedHeader(first)
	if typed == nil {
		return r.at(r.first, `no header of RecBole: "item_id:token<TAB>title:token_seq .." is wanted`)
	}
	r.header, r.separator = typed, by
	if r.id = r.idColumn(id); r.id < 0 {
		return r.at(r.first, "no column is the id: there are %s", list(typed))
	}
	if r.titled {
		r.titleAt = usual(typed, titleNames)
	}
	kinds := splitHeader(string(first), by)
	for k, name := range typed {
		if slices.Index(typed, name) < k {
			return r.at(r.first, "two columns are named %q: rename one", name)
		}
		_, kind, _ := strings.Cut(kinds[k], ":")
		switch {
		case k == r.id || k == r.titleAt:
		case kind == "token":
			r.fields = append(r.fields, sideField{name, k, 0})
		case kind == "token_seq":
			r.fields = append(r.fields, sideField{name, k, ' '})
		}
	}
	return nil
}

// read gathers the titles and values of the ids; rows of others are passed over.
func (r *sideReader) read(ctx context.Context, ids []string) error {
	row := make(map[string]int, len(ids))
	for k, id := range ids {
		row[id] = k
	}
	if r.titleAt >= 0 {
		r.title = make([]string, len(ids))
	}
	r.values = make([][]sideValue, len(ids))
	interned := map[string]string{}
	columns := len(r.header)
	return r.rows(ctx, r.layout, text{anyBytes: true}, func(fields [][]byte, line int) error {
		r.lines++
		if columns == 0 {
			columns, r.first = len(fields), line
		}
		if len(fields) != columns {
			return r.at(line, "%s, but line %d has %d, separated by %s", plural(len(fields), "column"), r.first, columns, r.separator)
		}
		k, ok := row[string(fields[r.id])]
		if !ok {
			return nil
		}
		if r.titleAt >= 0 && r.titleAt < columns {
			r.title[k] = strings.ReplaceAll(utf8Text(fields[r.titleAt]), "\n", " ")
		}
		r.values[k] = nil
		for f, field := range r.fields {
			if field.at >= columns {
				continue
			}
			for _, value := range field.split(fields[field.at]) {
				name, ok := interned[string(value)]
				if !ok {
					name = utf8Text(value)
					interned[string(value)] = name
				}
				r.values[k] = append(r.values[k], sideValue{int32(f), name})
			}
		}
		return nil
	})
}

// split cuts a field into its values; empty ones are none.
func (f sideField) split(b []byte) (values [][]byte) {
	if f.between == 0 {
		if len(b) > 0 {
			values = append(values, b)
		}
		return values
	}
	for v := range bytes.SplitSeq(b, []byte{f.between}) {
		if v = trim(v); len(v) > 0 {
			values = append(values, v)
		}
	}
	return values
}

// utf8Text is a text that is UTF-8, or else ISO 8859-1, as MovieLens has its titles.
func utf8Text(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	runes := make([]rune, len(b))
	for k, c := range b {
		runes[k] = rune(c)
	}
	return string(runes)
}

// attributes numbers the values by field and name, so that neither the order of rows nor items outside the data matter; nil without fields.
func (r *sideReader) attributes() *Attributes {
	if len(r.fields) == 0 {
		return nil
	}
	a := &Attributes{Ptr: make([]int32, 1, len(r.values)+1)}
	for _, f := range r.fields {
		a.Fields = append(a.Fields, f.name)
	}
	var all []sideValue
	for _, values := range r.values {
		all = append(all, values...)
	}
	slices.SortFunc(all, bySideValue)
	all = slices.Compact(all)
	number := make(map[sideValue]int32, len(all))
	for k, v := range all {
		number[v] = int32(k)
		a.Field, a.Name = append(a.Field, v.field), append(a.Name, v.name)
	}
	for _, values := range r.values {
		begin := len(a.Value)
		for _, v := range values {
			a.Value = append(a.Value, number[v])
		}
		slices.Sort(a.Value[begin:])
		a.Value = a.Value[:begin+len(slices.Compact(a.Value[begin:]))]
		a.Ptr = append(a.Ptr, int32(len(a.Value)))
	}
	return a
}
