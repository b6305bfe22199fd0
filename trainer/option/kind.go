package option

import (
	"cmp"
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A kind reads and writes values of one Go type. parse(format(v)) gives v again.
type kind struct {
	parse   func(text string, into reflect.Value) error // its error says what is wanted
	format  func(reflect.Value) string
	compare func(a, b reflect.Value) int // nil where values have no order
	isBool  bool
	isText  bool // written to YAML as a string, whatever it looks like; of a list, its elements are
	isList  bool // elements are separated by commas
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	textReader   = reflect.TypeFor[encoding.TextUnmarshaler]()
	textWriter   = reflect.TypeFor[encoding.TextMarshaler]()
)

func kindOf(t reflect.Type) (kind, error) {
	if reflect.PointerTo(t).Implements(textReader) {
		if !t.Implements(textWriter) {
			return kind{}, fmt.Errorf("%s has UnmarshalText but no MarshalText on its value", t)
		}
		return textKind, nil
	}
	switch {
	case t == durationType:
		return durationKind, nil
	case t.Kind() == reflect.String:
		return stringKind, nil
	case t.Kind() == reflect.Bool:
		return boolKind, nil
	case t.Kind() == reflect.Int, t.Kind() == reflect.Int64:
		return intKind, nil
	case t.Kind() == reflect.Uint64:
		return uintKind, nil
	case t.Kind() == reflect.Float64:
		return floatKind, nil
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Int:
		return listKind, nil
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.String:
		return namesKind, nil
	}
	return kind{}, fmt.Errorf("%s is not a type an option can have", t)
}

var stringKind = kind{
	parse: func(text string, into reflect.Value) error {
		if !utf8.ValidString(text) {
			return errors.New("want UTF-8 text") // YAML could not carry anything else
		}
		into.SetString(text)
		return nil
	},
	format: reflect.Value.String,
	isText: true,
}

var boolKind = kind{
	parse: func(text string, into reflect.Value) error {
		b, err := strconv.ParseBool(text)
		if err != nil {
			return errors.New("want true or false")
		}
		into.SetBool(b)
		return nil
	},
	format: func(v reflect.Value) string { return strconv.FormatBool(v.Bool()) },
	isBool: true,
}

// base is that of a whole number: as Go writes them, 0x40 and 1_000, but that 010 is ten, as people mean it.
func base(text string) int {
	digits := strings.TrimLeft(text, "+-")
	if len(digits) > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9' {
		return 10
	}
	return 0
}

var intKind = kind{
	parse: func(text string, into reflect.Value) error {
		n, err := strconv.ParseInt(text, base(text), into.Type().Bits())
		if err != nil {
			return numberError(err, "want a whole number, such as 64")
		}
		into.SetInt(n)
		return nil
	},
	format:  func(v reflect.Value) string { return strconv.FormatInt(v.Int(), 10) },
	compare: func(a, b reflect.Value) int { return cmp.Compare(a.Int(), b.Int()) },
}

var uintKind = kind{
	parse: func(text string, into reflect.Value) error {
		n, err := strconv.ParseUint(text, base(text), 64)
		if err != nil {
			return numberError(err, "want a whole number from 0, such as 42")
		}
		into.SetUint(n)
		return nil
	},
	format:  func(v reflect.Value) string { return strconv.FormatUint(v.Uint(), 10) },
	compare: func(a, b reflect.Value) int { return cmp.Compare(a.Uint(), b.Uint()) },
}

var floatKind = kind{
	parse: func(text string, into reflect.Value) error {
		x, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return numberError(err, "want a number, such as 0.2 or 1e-4")
		}
		into.SetFloat(x)
		return nil
	},
	format:  func(v reflect.Value) string { return strconv.FormatFloat(v.Float(), 'g', -1, 64) },
	compare: func(a, b reflect.Value) int { return cmp.Compare(a.Float(), b.Float()) },
}

var durationKind = kind{
	parse: func(text string, into reflect.Value) error {
		d, err := time.ParseDuration(text)
		if err != nil {
			return errors.New("want a duration with its unit, such as 30s or 1h30m")
		}
		into.SetInt(int64(d))
		return nil
	},
	format:  func(v reflect.Value) string { return time.Duration(v.Int()).String() },
	compare: intKind.compare,
}

var listKind = kind{
	parse: func(text string, into reflect.Value) error {
		if strings.TrimSpace(text) == "" {
			into.SetZero()
			return nil
		}
		fields := strings.Split(text, ",")
		list := reflect.MakeSlice(into.Type(), len(fields), len(fields))
		for i, field := range fields {
			field = strings.TrimSpace(field)
			n, err := strconv.ParseInt(field, base(field), into.Type().Elem().Bits())
			if err != nil {
				return numberError(err, "want whole numbers separated by commas, such as 10,20,50")
			}
			list.Index(i).SetInt(n)
		}
		into.Set(list)
		return nil
	},
	format: func(v reflect.Value) string {
		fields := make([]string, v.Len())
		for i := range fields {
			fields[i] = strconv.FormatInt(v.Index(i).Int(), 10)
		}
		return strings.Join(fields, ",")
	},
	compare: intKind.compare, // of elements
	isList:  true,
}

var namesKind = kind{
	parse: func(text string, into reflect.Value) error {
		if !utf8.ValidString(text) {
			return errors.New("want UTF-8 text")
		}
		if strings.TrimSpace(text) == "" {
			into.SetZero()
			return nil
		}
		names := reflect.Zero(into.Type())
		for name := range strings.SplitSeq(text, ",") {
			if name = strings.TrimSpace(name); name == "" {
				return errors.New("want names separated by commas, such as image,text")
			}
			names = reflect.Append(names, reflect.ValueOf(name).Convert(into.Type().Elem()))
		}
		into.Set(names)
		return nil
	},
	format: func(v reflect.Value) string {
		names := make([]string, v.Len())
		for i := range names {
			names[i] = v.Index(i).String()
		}
		return strings.Join(names, ",")
	},
	isText: true,
	isList: true,
}

var textKind = kind{
	parse: func(text string, into reflect.Value) error {
		if err := stringKind.parse(text, reflect.ValueOf(new(string)).Elem()); err != nil {
			return err
		}
		return into.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text))
	},
	format: func(v reflect.Value) string {
		text, err := v.Interface().(encoding.TextMarshaler).MarshalText()
		if err != nil {
			return "" // a value that cannot be written: Bind then refuses the default
		}
		return string(text)
	},
	isText: true,
}

func numberError(err error, want string) error {
	if errors.Is(err, strconv.ErrRange) {
		return errors.New("out of range: " + want)
	}
	return errors.New(want)
}
