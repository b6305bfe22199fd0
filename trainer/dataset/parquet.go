package dataset

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// parquetFooter is the length of what ends a Parquet file: the length of its metadata, and PAR1.
const parquetFooter = 8

// readParquet reads a Parquet file, row group after row group.
func (r *fileReader) readParquet(ctx context.Context) (err error) {
	// The library trusts much of what a damaged file says of itself, and panics where it is wrong.
	defer func() {
		if p := recover(); p != nil {
			err = r.damaged(p)
		}
	}()
	raw, size, err := r.open()
	if err != nil {
		return err
	}
	defer raw.Close()
	at, ok := raw.(io.ReaderAt)
	if !ok {
		return fmt.Errorf("%s cannot be read from its end, as Parquet is", r.shown)
	}
	if err := r.verifyFooter(at, size); err != nil {
		return err
	}
	f, err := parquet.OpenFile(at, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return r.damaged(err)
	}
	columns, err := r.parquetColumns(f)
	if err != nil {
		return err
	}
	for n, group := range f.RowGroups() {
		if err := r.readRowGroup(ctx, group, columns); err != nil {
			return err
		}
		if r.watch != nil {
			r.watch(r.shown, int64(float64(size)*float64(n+1)/float64(len(f.RowGroups()))), size)
		}
	}
	return nil
}

// damaged says what the library found, in one line of a length to read: its errors repeat what is in the file.
func (r *fileReader) damaged(what any) error {
	const most = 300
	text := strings.ToValidUTF8(fmt.Sprint(what), "?")
	text = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}, text)
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + " .."
	}
	return fmt.Errorf("%s is a damaged Parquet file: %s", r.shown, text)
}

// verifyFooter looks at the end of the file, so that a file that is cut off is called that, and nothing is allocated for metadata that it cannot hold.
func (r *fileReader) verifyFooter(at io.ReaderAt, size int64) error {
	footer := make([]byte, parquetFooter)
	if size >= int64(len(parquetTag)+parquetFooter) {
		if _, err := at.ReadAt(footer, size-parquetFooter); err != nil && !errors.Is(err, io.EOF) {
			return r.failed(err)
		}
	}
	metadata := int64(footer[0]) | int64(footer[1])<<8 | int64(footer[2])<<16 | int64(footer[3])<<24
	if string(footer[4:]) != parquetTag || metadata > size-int64(len(parquetTag)+parquetFooter) {
		return fmt.Errorf("%s is no Parquet file, or it is cut off: it does not end in metadata and PAR1", r.shown)
	}
	return nil
}

// parquetColumn is a column that is read.
type parquetColumn struct {
	role  string
	name  string
	index int // among the leaves
	kind  parquet.Kind

	unsigned   bool
	isDate     bool    // or a timestamp: its times are in seconds
	times, per float64 // a time in seconds is its value by times / per; both are 1 where the column says no unit
}

// parquetColumns chooses the columns by their names, among those that are neither nested nor repeated.
func (r *fileReader) parquetColumns(f *parquet.File) (columns []parquetColumn, err error) {
	var names []string
	var leaves []*parquet.Column
	for _, c := range f.Root().Columns() {
		if c.Leaf() && !c.Repeated() {
			names, leaves = append(names, c.Name()), append(leaves, c)
		}
	}
	p, complaint := r.wantColumns.find(names)
	if complaint != "" {
		return nil, fmt.Errorf("%s: %s (of those that are neither nested nor repeated)", r.shown, complaint)
	}
	r.places, r.split = p, -1
	r.why = "it begins with PAR1: " + r.String(names)
	r.all.file.Why = r.why
	if r.minRating != 0 && p.rating < 0 {
		return nil, fmt.Errorf("%s has no ratings to hold against -min-rating %g (%s)", r.shown, r.minRating, r.describe())
	}
	for _, c := range []struct {
		role string
		at   int
	}{{"user", p.user}, {"item", p.item}, {"rating", p.rating}, {"time", p.time}} {
		if c.at < 0 {
			continue
		}
		column, err := parquetColumnOf(c.role, leaves[c.at])
		if err != nil {
			return nil, fmt.Errorf("%s: %w%s", r.shown, err, r.orNone(c.role))
		}
		columns = append(columns, column)
	}
	return columns, nil
}

// parquetColumnOf verifies the type of a column. Ids are strings or integers; ratings and times are numbers, or dates and timestamps.
func parquetColumnOf(role string, c *parquet.Column) (parquetColumn, error) {
	p := parquetColumn{role: role, name: c.Name(), index: int(c.Index()), kind: c.Type().Kind(), times: 1, per: 1}
	isString := p.kind == parquet.ByteArray
	isInteger := p.kind == parquet.Int32 || p.kind == parquet.Int64
	if logical := c.Type().LogicalType(); logical != nil {
		switch of := logical.Value.(type) {
		case *format.TimestampType:
			p.isDate = true
			if of.Unit.Value != nil {
				p.per = float64(time.Second / of.Unit.Value.Duration())
			}
		case *format.DateType:
			p.isDate = true
			p.times = 24 * 3600
		case *format.IntType:
			p.unsigned = !of.IsSigned
		case *format.DecimalType:
			return p, fmt.Errorf("column %q is of type %s: a decimal is neither an id nor a number here; write it as a double", p.name, c.Type())
		}
	}
	isNumber := isInteger || p.kind == parquet.Float || p.kind == parquet.Double
	switch {
	case role == "user" || role == "item":
		if isString || isInteger && !p.isDate {
			return p, nil
		}
		return p, fmt.Errorf("column %q, the %s, is of type %s: an id is a string or an integer", p.name, role, c.Type())
	case role == "time" && isString:
		return p, nil
	case !isNumber || p.isDate && role == "rating":
		return p, fmt.Errorf("column %q, the %s, is of type %s: a number is wanted", p.name, role, c.Type())
	}
	return p, nil
}

// readRowGroup reads the columns of a row group side by side.
func (r *fileReader) readRowGroup(ctx context.Context, group parquet.RowGroup, columns []parquetColumn) (err error) {
	const batch = 4096
	chunks := group.ColumnChunks()
	readers := make([]parquet.ColumnChunkValueReader, len(columns))
	values := make([][]parquet.Value, len(columns))
	for k, c := range columns {
		readers[k] = parquet.NewColumnChunkValueReader(chunks[c.index])
		defer readers[k].Close()
		values[k] = make([]parquet.Value, batch)
	}
	row := parquetRow{fileReader: r}
	for left := group.NumRows(); left > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := int(min(left, batch))
		for k, c := range columns {
			if err := readValues(readers[k], values[k][:n]); err != nil {
				return r.damaged(fmt.Sprintf("column %q ends after row %s: %v", c.name, thousands(r.all.file.Lines), err))
			}
		}
		for at := range n {
			r.all.file.Lines++
			for k, c := range columns {
				if complaint := row.set(c, values[k][at]); complaint != "" {
					return fmt.Errorf("%s: row %s, column %q: %s", r.shown, thousands(r.all.file.Lines), c.name, complaint)
				}
			}
			r.keep(r.all, row.user, row.item, row.rating, row.time)
		}
		left -= int64(n)
	}
	return nil
}

// readValues fills the values.
func readValues(r parquet.ValueReader, values []parquet.Value) error {
	for len(values) > 0 {
		n, err := r.ReadValues(values)
		values = values[n:]
		if len(values) > 0 && err != nil {
			if errors.Is(err, io.EOF) {
				return io.ErrUnexpectedEOF
			}
			return err
		}
		if n == 0 && err == nil {
			return io.ErrNoProgress
		}
	}
	return nil
}

// parquetRow is the row that is read.
type parquetRow struct {
	*fileReader
	user, item   []byte
	rating, time number
}

// set takes a value of the row.
func (r *parquetRow) set(c parquetColumn, v parquet.Value) (complaint string) {
	if v.IsNull() {
		return "a null: every interaction needs its " + c.role + r.orNone(c.role)
	}
	switch c.role {
	case "user":
		r.user, complaint = c.id(v, r.user[:0])
	case "item":
		r.item, complaint = c.id(v, r.item[:0])
	case "rating":
		r.rating, complaint = c.number(v)
	case "time":
		if c.kind != parquet.ByteArray {
			r.time, complaint = c.number(v)
			if r.dated = numbers; c.isDate {
				r.dated = dates
			}
			break
		}
		r.time.given = true
		if r.time.x, complaint = r.parseTime(v.ByteArray()); complaint != "" {
			complaint += r.orNone("time")
		}
	}
	return complaint
}

// id writes an id to a buffer.
func (c parquetColumn) id(v parquet.Value, to []byte) (id []byte, complaint string) {
	switch {
	case c.kind == parquet.Int32 && c.unsigned:
		return strconv.AppendUint(to, uint64(v.Uint32()), 10), ""
	case c.kind == parquet.Int32:
		return strconv.AppendInt(to, int64(v.Int32()), 10), ""
	case c.kind == parquet.Int64 && c.unsigned:
		return strconv.AppendUint(to, v.Uint64(), 10), ""
	case c.kind == parquet.Int64:
		return strconv.AppendInt(to, v.Int64(), 10), ""
	}
	to = append(to, v.ByteArray()...)
	switch {
	case len(to) == 0:
		return to, "the id is empty"
	case !utf8.Valid(to):
		return to, fmt.Sprintf("the id %s is not UTF-8 text", quoted(to))
	case bytes.ContainsFunc(to, unicode.IsControl):
		return to, fmt.Sprintf("a control character in the id %s", quoted(to))
	}
	return to, ""
}

// number is a rating, or a time in seconds where the column says its unit.
func (c parquetColumn) number(v parquet.Value) (x number, complaint string) {
	x.given = true
	switch {
	case c.kind == parquet.Int32 && c.unsigned:
		x.x = float64(v.Uint32())
	case c.kind == parquet.Int32:
		x.x = float64(v.Int32())
	case c.kind == parquet.Int64 && c.unsigned:
		x.x = float64(v.Uint64())
	case c.kind == parquet.Int64:
		x.x = float64(v.Int64())
	case c.kind == parquet.Float:
		x.x = float64(v.Float())
	default:
		x.x = v.Double()
	}
	if math.IsNaN(x.x) || math.IsInf(x.x, 0) {
		return x, fmt.Sprintf("the %s %g is not a number", c.role, x.x)
	}
	x.x = x.x * c.times / c.per
	return x, ""
}
