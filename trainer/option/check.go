package option

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
)

// A bound is one limit of a value, written by one tag.
type bound struct {
	phrase string // "at least", "above"
	text   string
	limit  reflect.Value
	allows func(order int) bool // of compare(value, limit)
}

var boundTags = []struct {
	tag, phrase string
	allows      func(order int) bool
}{
	{"above", "above", func(order int) bool { return order > 0 }},
	{"min", "at least", func(order int) bool { return order >= 0 }},
	{"below", "below", func(order int) bool { return order < 0 }},
	{"max", "at most", func(order int) bool { return order <= 0 }},
}

func parseBounds(f reflect.StructField, k kind) ([]bound, error) {
	var bounds []bound
	for _, b := range boundTags {
		text, ok := f.Tag.Lookup(b.tag)
		if !ok {
			continue
		}
		if k.compare == nil {
			return nil, fmt.Errorf("%s: values of %s have no order", b.tag, f.Type)
		}
		limit := reflect.New(f.Type).Elem()
		if err := k.parse(text, limit); err != nil {
			return nil, fmt.Errorf("%s %q: %w", b.tag, text, err)
		}
		if k.isList {
			if limit.Len() != 1 {
				return nil, fmt.Errorf("%s %q: want one number, the bound of every element", b.tag, text)
			}
			limit = limit.Index(0)
		}
		bounds = append(bounds, bound{b.phrase, text, limit, b.allows})
	}
	return bounds, nil
}

// allowed says in words which values the option takes; "" where its type is all that matters.
func (o *Option) allowed() string {
	if len(o.Choices) > 0 {
		return oneOf(o.Choices)
	}
	phrases := make([]string, len(o.bounds))
	for i, b := range o.bounds {
		phrases[i] = b.phrase + " " + b.text
	}
	return strings.Join(phrases, " and ")
}

// check compares the present value with the choices and bounds.
func (o *Option) check() error {
	if len(o.Choices) > 0 && !slices.Contains(o.Choices, o.Value()) {
		return errors.New("must be " + o.allowed() + suggestion("", o.Value(), o.Choices))
	}
	if o.value.Kind() == reflect.Float64 && !o.kind.isText {
		if x := o.value.Float(); math.IsNaN(x) || math.IsInf(x, 0) {
			return errors.New("must be a finite number" + prefixed(", ", o.allowed()))
		}
	}
	for _, b := range o.bounds {
		if !o.kind.isList {
			if !b.allows(o.kind.compare(o.value, b.limit)) {
				return errors.New("must be " + o.allowed())
			}
			continue
		}
		for i := range o.value.Len() {
			if !b.allows(o.kind.compare(o.value.Index(i), b.limit)) {
				return errors.New("every element must be " + o.allowed())
			}
		}
	}
	return nil
}

// A need is a condition on another option.
type need struct {
	option string
	not    bool
	values []string
}

// parseNeeds reads the tag `needs`.
func parseNeeds(tag string) (needs []need, err error) {
	for _, text := range strings.Fields(tag) {
		name, values, ok := strings.Cut(text, "=")
		if !ok {
			return nil, fmt.Errorf("needs %q: want name=value or name!=value", text)
		}
		name, not := strings.CutSuffix(name, "!")
		needs = append(needs, need{name, not, strings.Split(values, "|")})
	}
	return needs, nil
}

func (n need) String() string {
	if n.not {
		return fmt.Sprintf("-%s other than %s", n.option, oneOf(n.values))
	}
	return fmt.Sprintf("-%s %s", n.option, oneOf(n.values))
}

// CheckEffects refuses options of the command line whose values have no effect beside those of others, where they are not the defaults. Files and
// the environment may have options for several commands.
func (s *Set) CheckEffects() error {
	for _, o := range s.options {
		if o.origin != FromCommandLine || len(o.needs) == 0 || !o.Changed() {
			continue
		}
		holds := func(n need) bool { return slices.Contains(n.values, s.byName[n.option].Value()) != n.not }
		if slices.ContainsFunc(o.needs, holds) {
			continue
		}
		phrases := make([]string, len(o.needs))
		for i, n := range o.needs {
			phrases[i] = n.String()
		}
		return fmt.Errorf("-%s is %q: it has an effect only with %s", o.Name, o.Value(), oneOf(phrases))
	}
	return nil
}

// Validate checks every option against its choices and bounds. The error names each option that is wrong, the place its value came
// from, and what is allowed.
func (s *Set) Validate() error {
	var wrong []error
	for _, o := range s.options {
		err := o.check()
		if err == nil {
			continue
		}
		if o.place != "" {
			wrong = append(wrong, fmt.Errorf("%s: %s is %q: %w", o.place, o.Name, o.Value(), err))
		} else {
			wrong = append(wrong, fmt.Errorf("-%s is %q: %w", o.Name, o.Value(), err))
		}
	}
	return errors.Join(wrong...)
}

func oneOf(choices []string) string {
	last := len(choices) - 1
	if last == 0 {
		return choices[0]
	}
	return strings.Join(choices[:last], ", ") + " or " + choices[last]
}

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}
