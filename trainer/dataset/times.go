package dataset

import (
	"fmt"
	"slices"
)

// dating is how a file writes times.
type dating int8

const (
	unknown dating = iota
	numbers
	dates
)

// parseTime reads a number or a date. A file has one kind: numbers are in a unit that only its author knows.
func (r *fileReader) parseTime(b []byte) (t float64, complaint string) {
	if r.dated != dates {
		if t, ok := parseNumber(b); ok {
			r.dated = numbers
			return t, ""
		}
	}
	if r.dated != numbers {
		if t, ok := parseDate(b); ok {
			r.dated = dates
			return t, ""
		}
	}
	switch r.dated {
	case numbers:
		return 0, fmt.Sprintf("the time %s is not a number, as the times before it are", quoted(b))
	case dates:
		return 0, fmt.Sprintf("the time %s is not a date, as the times before it are", quoted(b))
	}
	return 0, fmt.Sprintf("the time %s is neither a number nor a date such as 2014-07-09 or 2014-07-09T10:00:00Z", quoted(b))
}

// timeUnit is what times are in, as far as they tell: Unix times from 1973 to 2286 in seconds, milliseconds, microseconds and nanoseconds have no
// value in common.
type timeUnit string

const (
	noUnit       timeUnit = ""
	seconds      timeUnit = "seconds"
	milliseconds timeUnit = "milliseconds"
	microseconds timeUnit = "microseconds"
	nanoseconds  timeUnit = "nanoseconds"
)

// unit is that of the times of a file. Dates are read in seconds.
func (p *parsed) unit() timeUnit {
	if p.dated == dates {
		return seconds
	}
	first, last := slices.Min(p.times), slices.Max(p.times)
	scale := 1.
	for _, u := range []timeUnit{seconds, milliseconds, microseconds, nanoseconds} {
		const earliest, latest = 1e8, 1e10
		if first >= earliest*scale && last < latest*scale {
			return u
		}
		scale *= 1000
	}
	return noUnit
}

// compareUnits refuses files whose times cannot be compared: in two units, or dates beside numbers that are not seconds.
func compareUnits(files []*parsed) error {
	var first *parsed
	for _, p := range files {
		switch {
		case len(p.times) == 0:
		case first == nil:
			first = p
		default:
			a, b := first.unit(), p.unit()
			if a == b || first.dated == p.dated && (a == noUnit || b == noUnit) {
				continue
			}
			return fmt.Errorf("the times of %s (%s) and of %s (%s) cannot be compared: write them in one unit, or leave them out with -columns time=none",
				first.file.Path, first.timesAre(a), p.file.Path, p.timesAre(b))
		}
	}
	return nil
}

// timesAre is "dates", "milliseconds" or "numbers".
func (p *parsed) timesAre(in timeUnit) string {
	switch {
	case p.dated == dates:
		return "dates"
	case in == noUnit:
		return "numbers"
	}
	return string(in)
}
