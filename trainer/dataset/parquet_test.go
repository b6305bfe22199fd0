package dataset

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
)

// parquetFile writes rows to a Parquet file.
func parquetFile[T any](t *testing.T, rows ...T) string {
	t.Helper()
	var b bytes.Buffer
	if err := parquet.Write(&b, rows); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(folder(t, map[string]string{"x.parquet": b.String()}), "x.parquet")
}

// TestParquetTypes: unsigned integers are not negative, and every way of writing a time is seconds.
func TestParquetTypes(t *testing.T) {
	type unsigned struct {
		User   uint32 `parquet:"user_id"`
		Item   uint64 `parquet:"item_id"`
		Rating uint32 `parquet:"rating"`
		Time   int32  `parquet:"timestamp,date"`
	}
	type wide struct {
		User   int32  `parquet:"user_id"`
		Item   int64  `parquet:"item_id"`
		Rating uint64 `parquet:"rating"`
		Time   int64  `parquet:"timestamp,timestamp(microsecond)"`
	}
	type plain struct {
		User   string  `parquet:"user_id"`
		Item   string  `parquet:"item_id"`
		Rating float32 `parquet:"rating"`
		Time   uint32  `parquet:"timestamp"`
	}
	type text struct {
		User string `parquet:"user_id"`
		Item string `parquet:"item_id"`
		Time string `parquet:"timestamp"`
	}
	for _, c := range []struct{ name, path, want string }{
		{"unsigned, dates", parquetFile(t, unsigned{1<<32 - 1, 1<<64 - 1, 1<<32 - 1, 16260}, unsigned{1 << 31, 1 << 63, 1, -1}),
			"2147483648:9223372036854775808 4294967295:18446744073709551615 [-86400 1.404864e+09]"},
		{"signed, microseconds", parquetFile(t, wide{-1, -1 << 63, 1<<64 - 1, 1_500_000}, wide{7, 8, 3, -1_000_000}), "-1:-9223372036854775808 7:8 [1.5 -1]"},
		{"numbers without a unit", parquetFile(t, plain{"a", "b", .5, 1<<32 - 1}, plain{"a", "c", -1, 5}), "a:b [4.294967295e+09]"},
		{"dates as text", parquetFile(t, text{"a", "b", "1970-01-02"}), "a:b [86400]"},
	} {
		d := whole(t, Options{Path: c.path})
		if got := d.text(d.Train) + " " + fmt.Sprint(d.Train.Time); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	if d := whole(t, Options{Path: parquetFile(t, text{"a", "b", "noon"}), Columns: Columns{Time: None}}); d.Train.Time != nil || d.Train.Len() != 1 {
		t.Errorf("a time that is not wanted:\n%s", d)
	}

	type dateID struct {
		User int32 `parquet:"user_id,date"`
		Item int64 `parquet:"item_id"`
	}
	type dateRating struct {
		User   int32 `parquet:"user_id"`
		Item   int64 `parquet:"item_id"`
		Rating int32 `parquet:"rating,date"`
	}
	type flag struct {
		User int32 `parquet:"user_id"`
		Item int64 `parquet:"item_id"`
		Time bool  `parquet:"timestamp"`
	}
	type optional struct {
		User int32  `parquet:"user_id"`
		Item int64  `parquet:"item_id"`
		Time *int64 `parquet:"timestamp,optional"`
	}
	for _, c := range []struct{ path, want string }{
		{parquetFile(t, dateID{1, 2}), `column "user_id", the user, is of type DATE: an id is a string or an integer`},
		{parquetFile(t, dateRating{1, 2, 3}), `column "rating", the rating, is of type DATE: a number is wanted; -columns rating=none`},
		{parquetFile(t, flag{1, 2, true}), `column "timestamp", the time, is of type BOOLEAN: a number is wanted; -columns time=none`},
		{parquetFile(t, optional{User: 1, Item: 2}), `row 1, column "timestamp": a null: every interaction needs its time; -columns time=none`},
		{parquetFile(t, text{"a", "b", "noon"}), `the time "noon" is neither a number nor a date such as 2014-07-09 or 2014-07-09T10:00:00Z; -columns time=none`},
	} {
		if _, err := Load(t.Context(), Options{Path: c.path}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one with %s", err, c.want)
		}
	}
}
