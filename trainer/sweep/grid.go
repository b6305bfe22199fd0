package sweep

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"nearfar/trainer/option"
)

// maxTrials bounds a grid: more is a slip of the keyboard.
const maxTrials = 10_000

// An Axis is an option and the values that trials give it: a list, or a range to draw from.
type Axis struct {
	Option string
	Values []string // canonical spellings; empty for a range
	Range  *Range
}

// A Range is the numbers between two bounds, both included, to be drawn uniformly, or uniformly in their logarithm.
type Range struct {
	Low, High float64
	Log       bool
	Whole     bool // whole numbers only
}

// ParseGrid reads "tau=.1,.2;layers=1..3;lr=log:1e-4..1e-2" for the options of a set. A value that itself holds a comma or a semicolon, such as a list,
// stands in brackets: "augment=ed,[nd,ed]". varies tells whether an option may differ between trials, and if not, why. Names and values are
// checked here, before anything is trained.
func ParseGrid(text string, set *option.Set, varies func(*option.Option) error) ([]Axis, error) {
	var axes []Axis
	var names []string
	for _, o := range set.Options() {
		if varies(o) == nil {
			names = append(names, o.Name)
		}
	}
	parts, err := split(text, ';')
	if err != nil {
		return nil, err
	}
	for _, part := range parts {
		if part = strings.TrimSpace(part); part == "" {
			continue // a semicolon at the end
		}
		name, list, ok := strings.Cut(part, "=")
		name = strings.TrimLeft(strings.TrimSpace(name), "-")
		if !ok || strings.TrimSpace(list) == "" {
			return nil, fmt.Errorf(`%q: want option=value,value or, with -random, option=low..high`, part)
		}
		o := set.Lookup(name)
		if o == nil {
			if near, ok := option.Nearest(name, names); ok {
				return nil, fmt.Errorf("no option %q (did you mean %s?)", name, near)
			}
			return nil, fmt.Errorf("no option %q: -help lists the options", name)
		}
		if err := varies(o); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if slices.ContainsFunc(axes, func(a Axis) bool { return a.Option == name }) {
			return nil, fmt.Errorf("%s is given twice", name)
		}
		axis, err := parseAxis(o, list)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		axes = append(axes, axis)
	}
	if len(axes) == 0 {
		return nil, fmt.Errorf(`%q has no option: want "tau=.1,.2;lambda=.05,.1"`, text)
	}
	return axes, nil
}

func parseAxis(o *option.Option, list string) (Axis, error) {
	axis := Axis{Option: o.Name}
	if low, high, ok := strings.Cut(list, ".."); ok && o.IsNumber() {
		r, err := parseRange(o, strings.TrimSpace(low), strings.TrimSpace(high))
		axis.Range = r
		return axis, err
	}
	values, err := split(list, ',')
	if err != nil {
		return axis, err
	}
	for _, v := range values {
		v = strings.TrimSpace(v)
		if strings.HasPrefix(v, "[") && strings.HasSuffix(v, "]") {
			v = v[1 : len(v)-1]
		}
		canonical, err := o.Canonical(v)
		if err != nil {
			return axis, fmt.Errorf("%q: %w", v, err)
		}
		if slices.Contains(axis.Values, canonical) {
			return axis, fmt.Errorf("%s is given twice", canonical)
		}
		axis.Values = append(axis.Values, canonical)
	}
	return axis, nil
}

func parseRange(o *option.Option, low, high string) (*Range, error) {
	r := &Range{Whole: o.IsWhole()}
	low, r.Log = strings.CutPrefix(low, "log:")
	for _, end := range []struct {
		text string
		to   *float64
	}{{low, &r.Low}, {high, &r.High}} {
		canonical, err := o.Canonical(end.text)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", end.text, err)
		}
		if *end.to, err = strconv.ParseFloat(canonical, 64); err != nil {
			return nil, fmt.Errorf("%q: %w", end.text, err)
		}
	}
	switch {
	case !(r.Low < r.High):
		return nil, fmt.Errorf("%s..%s is empty: the lower bound stands first", low, high)
	case r.Log && r.Low <= 0:
		return nil, fmt.Errorf("log:%s..%s: a logarithm needs bounds above 0", low, high)
	case r.Whole && r.High > 1<<52:
		return nil, fmt.Errorf("%s..%s: too large to draw from", low, high)
	}
	return r, nil
}

// split cuts text at a separator outside brackets.
func split(text string, separator rune) (parts []string, err error) {
	depth, start := 0, 0
	for i, r := range text {
		switch {
		case r == '[':
			depth++
		case r == ']':
			depth--
		case r == separator && depth == 0:
			parts, start = append(parts, text[start:i]), i+1
		}
		if depth < 0 {
			break
		}
	}
	if depth != 0 {
		return nil, fmt.Errorf("%q: a bracket has no partner", text)
	}
	return append(parts, text[start:]), nil
}

// Grid lists every combination of the axes' values; the last axis varies fastest.
func Grid(axes []Axis) ([]Trial, error) {
	total := 1
	for _, a := range axes {
		if a.Range != nil {
			return nil, fmt.Errorf("%s is a range: a grid needs values; -random N draws from ranges", a.Option)
		}
		if total *= len(a.Values); total > maxTrials {
			return nil, fmt.Errorf("more than %d combinations: -random N trains some of them", maxTrials)
		}
	}
	trials := make([]Trial, total)
	for n := range trials {
		trials[n] = Trial{Number: n + 1, Settings: make([]Setting, len(axes))}
		rest := n
		for i := len(axes) - 1; i >= 0; i-- {
			a := axes[i]
			trials[n].Settings[i] = Setting{a.Option, a.Values[rest%len(a.Values)]}
			rest /= len(a.Values)
		}
	}
	return trials, nil
}

// combinations is how many different trials the axes allow, +Inf for a range of real numbers.
func combinations(axes []Axis) float64 {
	n := 1.0
	for _, a := range axes {
		switch {
		case a.Range == nil:
			n *= float64(len(a.Values))
		case a.Range.Whole:
			n *= a.Range.High - a.Range.Low + 1
		default:
			return math.Inf(1)
		}
	}
	return n
}
