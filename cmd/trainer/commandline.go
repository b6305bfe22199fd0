package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"nearfar/models"
	"nearfar/trainer"
	"nearfar/trainer/option"
	"nearfar/trainer/runfolder"
)

const defaultModel = "lightgcn"

// choice are the options that decide which others there are.
type choice struct {
	_      struct{} `title:"Model"`
	Model  string   `flag:"model" default:"lightgcn" help:"what to train; 'trainer models' lists them"`
	Config string   `flag:"config" help:"YAML file of options by the same names; the command line wins"`
	Resume string   `flag:"resume" help:"folder of a run to continue, with its own options; -epochs and others may be given anew"`
}

// embeddedDefaults are for a run without -data: the embedded set is 40 times smaller than those that the models' defaults were published on, so
// steps are smaller, and a contrast weighs less.
type embeddedDefaults struct {
	_ struct{} `defaults:"batch=512 epochs=100 lr=0.002 eval-every=2" source:"for the embedded data set"`
}

// commandLine is a command line that has been read.
type commandLine struct {
	choice
	trainer.Options
	spec  models.Spec
	model models.Options
	set   *option.Set
	flags *flag.FlagSet
}

// parse reads the arguments in two passes: first which model and which data, then everything.
func parse(args []string) (*commandLine, error) {
	c := &commandLine{}
	peek := peekFlags(args, "model", "data", "config", "resume")
	files := configFiles(peek)
	for _, path := range files {
		fromFile, err := peekYAML(path, "model", "data")
		if err != nil {
			return nil, &usageError{err}
		}
		for k, v := range fromFile {
			if peek[k] == "" {
				peek[k] = v
			}
		}
	}
	name := peek["model"]
	if name == "" {
		name = defaultModel
	}
	spec, ok := models.Find(name)
	if !ok {
		return nil, misused("no model %q%s: 'trainer models' lists them", name, suggestion(name, models.Names()))
	}
	c.spec, c.model = spec, spec.Options()
	c.flags = flag.NewFlagSet("trainer", flag.ContinueOnError)
	structs := []any{&c.choice, &c.Options, c.model}
	if peek["data"] == "" && c.hasTraining() {
		structs = append(structs, embedded(name))
	}
	var err error
	if c.set, err = option.Bind(c.flags, structs...); err != nil {
		return nil, err
	}
	if err := c.set.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return c, err
		}
		return nil, &usageError{err}
	}
	for _, path := range files {
		if err := c.set.LoadYAML(path); err != nil {
			return nil, &usageError{err}
		}
	}
	if rest := c.flags.Args(); len(rest) > 0 {
		return nil, misused("unexpected %q: options begin with a dash, and a boolean's value follows =", rest[0])
	}
	if err := c.set.Validate(); err != nil {
		return nil, &usageError{err}
	}
	if err := c.Options.Check(); err != nil {
		return nil, &usageError{err}
	}
	return c, nil
}

// hasTraining tells models that train from those that count.
func (c *commandLine) hasTraining() bool { return c.spec.Name != "popularity" }

// configFiles are the YAML files that a command line names: a run to resume brings its own.
func configFiles(peek map[string]string) (files []string) {
	if run := peek["resume"]; run != "" {
		files = append(files, filepath.Join(run, runfolder.Config))
	}
	if path := peek["config"]; path != "" {
		files = append(files, path)
	}
	return files
}

// peekFlags finds string flags before their set is known: -name value, -name=value, with one dash or two.
func peekFlags(args []string, names ...string) map[string]string {
	found := map[string]string{}
	for i, a := range args {
		if a == "--" {
			break
		}
		name, value, joined := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(a, "-"), "-"), "=")
		if !strings.HasPrefix(a, "-") {
			continue
		}
		for _, n := range names {
			switch {
			case name != n:
			case joined:
				found[n] = value
			case i+1 < len(args):
				found[n] = args[i+1]
			}
		}
	}
	return found
}

func suggestion(name string, names []string) string {
	if near, ok := option.Nearest(name, names); ok {
		return fmt.Sprintf(" (did you mean %s?)", near)
	}
	return ""
}

func listModels(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range models.All() {
		fmt.Fprintf(t, "%s\t%s\t%s\n", s.Name, s.Title, s.Paper)
	}
	return t.Flush()
}

func usage(w io.Writer) error {
	_, err := fmt.Fprint(w, `trainer trains recommenders.

  trainer [-model NAME] [-data PATH] [-gpu auto|N|off] [options]   train, evaluate, leave a run
  trainer models                                                   the models and their papers
  trainer -model NAME -help                                        a model's options, defaults, sources
  trainer explain -model NAME                                      the compiled program of a training step
`)
	return err
}
