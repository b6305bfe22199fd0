package dataset

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestNumbers holds the fast path against strconv, to the bit.
func TestNumbers(t *testing.T) {
	for _, s := range []string{"0", "-0", "1", "3.5", "4.1", "0.1", "881250949", "123456789012345", "1234567890123456", "1234567.89012345", "-7.25", "1e3", "+4",
		"8.81250949E8", "0x10", "", "-", ".", "1.", ".5", "1.2.3", "NaN", "inf", "-Infinity", "1_000", "１", "1e999", strings.Repeat("9", 70)} {
		want, err := strconv.ParseFloat(s, 64)
		valid := err == nil && want-want == 0 && len(s) <= 64
		got, ok := parseNumber([]byte(s))
		if ok != valid || ok && (got != want || strconv.FormatFloat(got, 'g', -1, 64) != strconv.FormatFloat(want, 'g', -1, 64)) {
			t.Errorf("%q: %g %t, want %g %t", s, got, ok, want, valid)
		}
	}
}

func TestDates(t *testing.T) {
	for s, layout := range map[string]string{
		"2014-07-09": time.DateOnly, "2014-07-09 10:11:12": time.DateTime, "2014-07-09T10:11:12Z": time.RFC3339, "2014-07-09T10:11:12.25+02:00": time.RFC3339,
		"1969-12-31T23:59:59-11:30": time.RFC3339, "2014-07-09 10:11": "2006-01-02 15:04", "2019-10-01 00:00:00 UTC": "2006-01-02 15:04:05 MST", "2016-02-29T00:00": "2006-01-02T15:04",
	} {
		want, err := time.Parse(layout, s)
		if err != nil {
			t.Fatal(err)
		}
		seconds := float64(want.Unix()) + float64(want.Nanosecond())/1e9
		if got, ok := parseDate([]byte(s)); !ok || got != seconds {
			t.Errorf("%q: %f %t, want %f", s, got, ok, seconds)
		}
	}
	for _, s := range []string{"", "2014", "2014-7-9", "2014-13-01", "2015-02-29", "2014-07-09T24:00", "2014-07-09T10", "2014-07-09 10:11:12 CET", "2014-07-09x", "2014-07-09T10:11:12.", "2014-07-09T10:11+2"} {
		if _, ok := parseDate([]byte(s)); ok {
			t.Errorf("%q is a date", s)
		}
	}
}
