package option

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Variable is the environment variable of an option: the prefix, then its name in capitals with underscores for hyphens.
func Variable(prefix, name string) string {
	return prefix + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// LoadEnvironment reads options from the variables of environ ("NAME=value", as os.Environ has them) that begin with the prefix. Options that
// the command line has set keep their value. A value of the wrong type is an error that names its variable; all that are found are reported, and
// then no option is changed. A variable that belongs to no option gives a warning: it may be meant for another command.
func (s *Set) LoadEnvironment(prefix string, environ []string) (warnings []string, err error) {
	byVariable, names := map[string]*Option{}, make([]string, len(s.options))
	for i, o := range s.options {
		variable := Variable(prefix, o.Name)
		byVariable[variable], names[i] = o, variable[len(prefix):] // what all have in common says nothing of which is near
	}
	type assignment struct {
		option          *Option
		variable, value string
	}
	var assignments []assignment
	var wrong []error
	for _, entry := range slices.Sorted(slices.Values(environ)) {
		variable, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(variable, prefix) {
			continue
		}
		o := byVariable[variable]
		if o == nil {
			warnings = append(warnings, fmt.Sprintf("the environment variable %s is no option%s: it has no effect", variable, suggestion(prefix, variable[len(prefix):], names)))
			continue
		}
		if err := o.parses(value); err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", variable, err))
			continue
		}
		assignments = append(assignments, assignment{o, variable, value})
	}
	if err := errors.Join(wrong...); err != nil {
		return warnings, err
	}
	for _, a := range assignments {
		if a.option.origin > FromEnvironment {
			continue
		}
		if err := a.option.set(a.value, FromEnvironment, a.variable); err != nil {
			return warnings, fmt.Errorf("%s: %w", a.variable, err)
		}
	}
	return warnings, nil
}
