package option

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

// commandLine is an option as the flag package sees it.
type commandLine struct{ *Option }

func (c commandLine) String() string {
	if c.Option == nil { // the flag package asks a zero value
		return ""
	}
	return c.Value()
}

func (c commandLine) Set(text string) error { return c.set(text, FromCommandLine, "") }

func (c commandLine) IsBoolFlag() bool { return c.kind.isBool }

// Parse reads the command line. It prints nothing and never exits: -help gives flag.ErrHelp, and the error for a flag that does
// not exist names the nearest one that does. Arguments that are not flags are left in the FlagSet's Args.
func (s *Set) Parse(args []string) error {
	output, usage := s.flags.Output(), s.flags.Usage
	defer func() { s.flags.SetOutput(output); s.flags.Usage = usage }()
	s.flags.SetOutput(io.Discard)
	s.flags.Usage = func() {}
	s.flags.Init(s.flags.Name(), flag.ContinueOnError)

	err := s.flags.Parse(args)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return err
	}
	// The flag package has no typed error for this.
	if name, unknown := strings.CutPrefix(err.Error(), "flag provided but not defined: -"); unknown {
		var names []string
		s.flags.VisitAll(func(f *flag.Flag) { names = append(names, f.Name) })
		return &UnknownError{name, fmt.Sprintf("unknown option -%s%s; -help lists the options", name, suggestion("-", name, names))}
	}
	return err
}

// UnknownError is about a name that no option of a Set has.
type UnknownError struct {
	Name string
	text string
}

func (e *UnknownError) Error() string { return e.text }
