// Package option describes options once, as tagged fields of structs, and derives from that one definition the command
// line's flags, the keys of a YAML file, the help text and the saved configuration.
//
//	type Options struct {
//		_                struct{} `title:"SGL (Wu et al., SIGIR 2021)" defaults:"batch=2048 lr=0.001"`
//		lightgcn.Options `defaults:"layers=3" source:"wujcan/SGL, yelp2018"`
//		Augment          string  `flag:"augment" default:"ed" choices:"nd,ed,rw" help:"how a view is drawn"`
//		Tau              float64 `flag:"tau" default:"0.2" above:"0" help:"temperature" source:"wujcan/SGL, yelp2018"`
//	}
//
// Tags of a field:
//
//	flag      the name, on the command line and in a YAML file; a field without one is no option
//	default   as it would be written on the command line; without the tag, the value the field has at Bind
//	help      one line
//	source    where the default comes from: a paper's section, a reference implementation
//	choices   the permitted values, separated by commas
//	min, max  inclusive bounds of a number or duration, or of each element of a list
//	above, below  the same, exclusive
//	needs     when it has an effect: name=value or name!=value, several values separated by |, several conditions, of which one is enough, by spaces
//	          (CheckEffects)
//
// A field is a string, bool, int, int64, uint64, float64, time.Duration, []int (10,20,50), []string (image,text), a named type of one of
// these, or any type with MarshalText and UnmarshalText.
//
// An embedded struct is flattened. The tag `defaults` on the embedded field overrides defaults inside that struct; on a
// blank field it overrides any option bound before, so that a model can state the batch size it was published with. Entries
// are separated by spaces: "layers=3 cutoffs=10,20". A `source` beside it is recorded with the options it overrides. The tag
// `title` on a blank field names the struct's group in the help; an embedded struct without a title joins its owner's group.
//
// Precedence: default, then YAML file, then environment, then command line, whichever is read first.
package option

import (
	"errors"
	"flag"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Origin says where an option's value comes from. A higher one wins.
type Origin uint8

const (
	FromDefault Origin = iota
	FromFile
	FromEnvironment
	FromCommandLine
)

func (o Origin) String() string {
	return [...]string{"default", "file", "environment", "command line"}[o]
}

// An Option is one bound field.
type Option struct {
	Name    string
	Group   string // title of its group
	Default string // as it would be written on the command line
	Help    string
	Source  string
	Choices []string

	kind   kind
	value  reflect.Value // the field itself
	bounds []bound
	needs  []need
	origin Origin
	place  string // file:line of a value that came from a file, or its environment variable
}

// Value is the present value, as it would be written on the command line.
func (o *Option) Value() string { return o.kind.format(o.value) }

// Origin says where the present value comes from.
func (o *Option) Origin() Origin { return o.origin }

// Place is where the present value was read: file:line, or an environment variable; empty for the command line and defaults.
func (o *Option) Place() string { return o.place }

// Canonical is the option's own spelling of a value: 0.1 for .1. A value that the option cannot have, by its type, choices or bounds, is an error.
func (o *Option) Canonical(text string) (string, error) {
	other := *o
	other.value = reflect.New(o.value.Type()).Elem()
	if err := o.kind.parse(text, other.value); err != nil {
		return "", err
	}
	return other.Value(), other.check()
}

// IsBool tells whether the option is true or false, and on the command line needs no value.
func (o *Option) IsBool() bool { return o.kind.isBool }

// parses tells whether text is a value of the option's type.
func (o *Option) parses(text string) error {
	return o.kind.parse(text, reflect.New(o.value.Type()).Elem())
}

// IsWhole tells whether the option's values are whole numbers, and IsNumber whether they are numbers.
func (o *Option) IsWhole() bool {
	k := o.value.Kind()
	return !o.kind.isText && o.value.Type() != durationType && (k == reflect.Int || k == reflect.Int64 || k == reflect.Uint64)
}
func (o *Option) IsNumber() bool {
	return o.IsWhole() || !o.kind.isText && o.value.Kind() == reflect.Float64
}

// Changed tells whether the present value differs from the default.
func (o *Option) Changed() bool { return o.Value() != o.Default }

// set parses text; on an error the field keeps its value.
func (o *Option) set(text string, from Origin, place string) error {
	v := reflect.New(o.value.Type()).Elem()
	if err := o.kind.parse(text, v); err != nil {
		return err
	}
	o.value.Set(v)
	o.origin, o.place = from, place
	return nil
}

// A Set is all the options of one command, in the order of their groups.
type Set struct {
	flags   *flag.FlagSet
	options []*Option
	byName  map[string]*Option
}

// Bind sets the fields of the structs (pointers) to their defaults and registers each as a flag of fs. Its errors are
// mistakes in the structs: malformed tags, two options of one name, a default that its own bounds forbid.
func Bind(fs *flag.FlagSet, structs ...any) (*Set, error) {
	s := &Set{flags: fs, byName: map[string]*Option{}}
	for _, p := range structs {
		v := reflect.ValueOf(p)
		if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
			return nil, fmt.Errorf("option: %T is not a pointer to a struct", p)
		}
		if err := s.addStruct(v.Elem(), v.Elem().Type().Name()); err != nil {
			return nil, fmt.Errorf("option: %T: %w", p, err)
		}
	}
	var mistakes []error
	for _, o := range s.options {
		if fs.Lookup(o.Name) != nil {
			return nil, fmt.Errorf("option: flag -%s is defined twice", o.Name)
		}
		for _, n := range o.needs {
			if s.byName[n.option] == nil {
				return nil, fmt.Errorf("option: -%s needs -%s, which is no option", o.Name, n.option)
			}
		}
		err := o.set(o.Default, FromDefault, "")
		if err == nil {
			err = o.check()
		}
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("option: default of -%s, %q: %w", o.Name, o.Default, err))
			continue
		}
		o.Default = o.Value() // the canonical spelling, so that Changed compares values
		fs.Var(commandLine{o}, o.Name, o.Help)
	}
	if err := errors.Join(mistakes...); err != nil {
		return nil, err
	}
	s.gather()
	return s, nil
}

// Options lists the options in the order of the help.
func (s *Set) Options() []*Option { return slices.Clone(s.options) }

// Lookup finds an option by its name; nil where there is none.
func (s *Set) Lookup(name string) *Option { return s.byName[name] }

// Assign gives an option a value from somewhere else than a command line, a file or the environment: from another Set, say.
func (s *Set) Assign(name, text string, from Origin, place string) error {
	o := s.byName[name]
	if o == nil {
		return fmt.Errorf("there is no option %q", name)
	}
	if err := o.set(text, from, place); err != nil {
		return fmt.Errorf("-%s: %w", name, err)
	}
	return nil
}

// Changed lists the options whose value differs from the default.
func (s *Set) Changed() []*Option {
	var changed []*Option
	for _, o := range s.options {
		if o.Changed() {
			changed = append(changed, o)
		}
	}
	return changed
}

// gather brings the options of one group together; groups keep the order in which they first appear.
func (s *Set) gather() {
	rank := map[string]int{}
	for _, o := range s.options {
		if _, seen := rank[o.Group]; !seen {
			rank[o.Group] = len(rank)
		}
	}
	slices.SortStableFunc(s.options, func(a, b *Option) int { return rank[a.Group] - rank[b.Group] })
}

func (s *Set) addStruct(v reflect.Value, title string) error {
	t := v.Type()
	for i := range t.NumField() {
		if f := t.Field(i); f.Name == "_" && f.Tag.Get("title") != "" {
			title = f.Tag.Get("title")
		}
	}
	for i := range t.NumField() {
		f := t.Field(i)
		name, tagged := f.Tag.Lookup("flag")
		switch {
		case tagged && !f.IsExported():
			return fmt.Errorf("field %s has a flag but is not exported", f.Name)
		case tagged:
			if err := s.addField(v.Field(i), f, name, title); err != nil {
				return fmt.Errorf("field %s: %w", f.Name, err)
			}
		case f.Anonymous && f.Type.Kind() == reflect.Struct:
			start := len(s.options)
			if err := s.addStruct(v.Field(i), title); err != nil {
				return fmt.Errorf("%s: %w", f.Name, err)
			}
			if err := override(s.options[start:], f.Tag); err != nil {
				return fmt.Errorf("%s: %w", f.Name, err)
			}
		}
	}
	for i := range t.NumField() {
		if f := t.Field(i); f.Name == "_" {
			if err := override(s.options, f.Tag); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Set) addField(v reflect.Value, f reflect.StructField, name, title string) error {
	if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || name[0] == '-' {
		return fmt.Errorf("flag name %q: want lower-case letters, digits and hyphens", name)
	}
	if s.byName[name] != nil {
		return fmt.Errorf("flag -%s is defined twice", name)
	}
	k, err := kindOf(f.Type)
	if err != nil {
		return err
	}
	o := &Option{Name: name, Group: title, Help: f.Tag.Get("help"), Source: f.Tag.Get("source"), kind: k, value: v}
	if text, ok := f.Tag.Lookup("default"); ok {
		o.Default = text
	} else {
		o.Default = o.Value()
	}
	if text := f.Tag.Get("choices"); text != "" {
		o.Choices = strings.Split(text, ",")
	}
	if o.bounds, err = parseBounds(f, k); err != nil {
		return err
	}
	if o.needs, err = parseNeeds(f.Tag.Get("needs")); err != nil {
		return err
	}
	s.options = append(s.options, o)
	s.byName[name] = o
	return nil
}

// override applies a tag `defaults:"name=value name=value"` to the options it may reach.
func override(reach []*Option, tag reflect.StructTag) error {
	source := tag.Get("source")
	for _, entry := range strings.Fields(tag.Get("defaults")) {
		name, text, ok := strings.Cut(entry, "=")
		if !ok {
			return fmt.Errorf("defaults: %q: want name=value", entry)
		}
		i := slices.IndexFunc(reach, func(o *Option) bool { return o.Name == name })
		if i < 0 {
			return fmt.Errorf("defaults: there is no option %q to override", name)
		}
		reach[i].Default = text
		if source != "" {
			reach[i].Source = source
		}
	}
	return nil
}
