package dataset

import (
	"math"
	"strconv"
	"time"
)

// parseNumber reads a finite decimal number. Digits with at most one point, as nearly all are written, are converted exactly without
// a string: both the digits and the power of ten are below 2^53, so that one division rounds once.
func parseNumber(b []byte) (x float64, ok bool) {
	digits, point := uint64(0), -1
	s := b
	if len(s) > 0 && s[0] == '-' {
		s = s[1:]
	}
	if n := len(s); n > 0 && n <= 15 && s[n-1] != '.' {
		for k, c := range s {
			switch {
			case c >= '0' && c <= '9':
				digits = digits*10 + uint64(c-'0')
				continue
			case c == '.' && point < 0 && k > 0:
				point = k
				continue
			}
			return parseAnyNumber(b)
		}
		x = float64(digits)
		if point >= 0 {
			x /= powersOfTen[len(s)-1-point]
		}
		if len(s) < len(b) {
			x = -x
		}
		return x, true
	}
	return parseAnyNumber(b)
}

var powersOfTen = [16]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

func parseAnyNumber(b []byte) (float64, bool) {
	if len(b) > 64 { // no number of a data set, and its copy would be as long as the line
		return 0, false
	}
	x, err := strconv.ParseFloat(string(b), 64)
	return x, err == nil && !math.IsNaN(x) && !math.IsInf(x, 0)
}

// parseDate reads an ISO 8601 date, with or without a time of day: "2014-07-09", "2014-07-09 10:00", "2014-07-09T10:00:00.25+02:00",
// "2014-07-09 10:00:00 UTC". It is in UTC unless it says otherwise; x is in seconds since 1970.
func parseDate(b []byte) (x float64, ok bool) {
	d := dateScanner{rest: b, ok: true}
	year := d.digits(4)
	d.sign('-')
	month := d.digits(2)
	d.sign('-')
	day := d.digits(2)
	var hour, minute, second, offset int
	var fraction float64
	if d.ok && len(d.rest) > 0 {
		if !d.skip('T') {
			d.sign(' ')
		}
		hour = d.digits(2)
		d.sign(':')
		minute = d.digits(2)
		if d.skip(':') {
			second = d.digits(2)
			if d.skip('.') {
				fraction = d.fraction()
			}
		}
		offset = d.zone()
	}
	if !d.ok || len(d.rest) > 0 || hour > 23 || minute > 59 || second > 59 {
		return 0, false
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC)
	if t.Day() != day || int(t.Month()) != month { // February 30
		return 0, false
	}
	return float64(t.Unix()-int64(offset)) + fraction, true
}

// dateScanner cuts the parts of a date off its front. Once something else stands there, it is not ok any more.
type dateScanner struct {
	rest []byte
	ok   bool
}

func (d *dateScanner) digits(n int) (x int) {
	if len(d.rest) < n {
		d.ok = false
		return 0
	}
	for _, c := range d.rest[:n] {
		d.ok = d.ok && c >= '0' && c <= '9'
		x = x*10 + int(c-'0')
	}
	d.rest = d.rest[n:]
	return x
}

func (d *dateScanner) skip(c byte) bool {
	if len(d.rest) == 0 || d.rest[0] != c {
		return false
	}
	d.rest = d.rest[1:]
	return true
}

func (d *dateScanner) sign(c byte) { d.ok = d.skip(c) && d.ok }

func (d *dateScanner) fraction() (x float64) {
	n := 0
	for n < len(d.rest) && d.rest[n] >= '0' && d.rest[n] <= '9' {
		n++
	}
	x, ok := parseNumber(d.rest[:min(n, 9)])
	d.ok = d.ok && ok
	d.rest = d.rest[n:]
	return x / powersOfTen[min(n, 9)]
}

// zone is the offset from UTC in seconds.
func (d *dateScanner) zone() int {
	switch {
	case len(d.rest) == 0, d.skip('Z'):
		return 0
	case string(d.rest) == " UTC":
		d.rest = nil
		return 0
	}
	sign := 1
	if d.skip('-') {
		sign = -1
	} else {
		d.sign('+')
	}
	hours, minutes := d.digits(2), 0
	if len(d.rest) > 0 {
		d.skip(':')
		minutes = d.digits(2)
	}
	d.ok = d.ok && hours < 24 && minutes < 60
	return sign * (hours*3600 + minutes*60)
}
