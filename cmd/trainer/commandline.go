package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"go.yaml.in/yaml/v3"

	"nearfar/models"
	"nearfar/trainer"
	"nearfar/trainer/option"
)

const (
	defaultModel  = "lightgcn"
	defaultCutoff = 20 // of the default -metric, Recall@20
)

// choice are the options that decide which others there are.
type choice struct {
	_      struct{} `title:"Model"`
	Model  string   `flag:"model" default:"lightgcn" help:"what to train; 'trainer models' lists them"`
	Config string   `flag:"config" help:"YAML file of options by the same names; the environment and the command line win"`
	Resume string   `flag:"resume" help:"folder of a run to continue, with its own options; -epochs, -patience, -lr and a few others may be given anew. Or of a sweep"`
}

// embeddedDefaults gives a model's defaults for a run without -data. The embedded set is 40 times smaller than those that the models' defaults were
// published on: steps are smaller, and a contrast weighs less (found on its validation split). It has no features, so a model that needs them keeps its own.
func embeddedDefaults(spec models.Spec) []any {
	type training struct {
		_ struct{} `defaults:"batch=512 epochs=100 lr=0.002 eval-every=2 patience=6 warmup=10" source:"for the embedded data set"`
	}
	type sgl struct {
		_ struct{} `defaults:"lambda=0.005" source:"for the embedded data set"`
	}
	type simgcl struct {
		_ struct{} `defaults:"lambda=0.02" source:"for the embedded data set"`
	}
	type xsimgcl struct {
		_ struct{} `defaults:"lambda=0.05" source:"for the embedded data set"`
	}
	if _, needs := spec.Options().(models.Featured); needs {
		return nil
	}
	switch spec.Name {
	case "popularity", "itemknn", "ease":
		return nil
	case "sgl":
		return []any{new(training), new(sgl)}
	case "simgcl":
		return []any{new(training), new(simgcl)}
	case "xsimgcl":
		return []any{new(training), new(xsimgcl)}
	}
	return []any{new(training)}
}

// commandLine is a command line that has been read.
type commandLine struct {
	choice
	trainer.Options
	several
	spec     models.Spec
	model    models.Options
	set      *option.Set
	flags    *flag.FlagSet
	warnings []string // about the environment

	rateIsNew bool // with -resume, -lr is not what the run had
}

// environment is the prefix of the variables that are options: TRAINER_LR is -lr. It is the program's name, since NEARFAR_DATA already says to
// this project's tests where the published data sets are, which is not -data.
const environment = "TRAINER_"

// parse reads the arguments in two passes: first which model and which data, then everything. environ are variables as os.Environ has them; a
// run or sweep that is resumed has its own options, and they are not read.
func parse(args, environ []string) (*commandLine, error) {
	if err := checkEmpty(args); err != nil {
		return nil, err
	}
	peek := peekFlags(args, "model", "data", "config", "resume")
	if run := peek["resume"]; run != "" {
		environ = nil
		file, err := resumed(run)
		if err != nil {
			return nil, fmt.Errorf("-resume: %w", err)
		}
		made, err := peekYAML(file, "model")
		if err != nil {
			return nil, err
		}
		if model := peek["model"]; model != "" && model != made["model"] {
			return nil, misused("-model %s: the run in %s is of %s; leave -model out", model, run, made["model"])
		}
	}
	for _, k := range []string{"model", "data", "config"} {
		if peek[k] == "" {
			peek[k] = lookup(environ, option.Variable(environment, k))
		}
	}
	files, err := configFiles(peek)
	if err != nil {
		return nil, err
	}
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
	c, err := bind(spec, peek["data"] == "")
	if err != nil {
		return nil, err
	}
	if err := c.set.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return c, err
		}
		return nil, &usageError{c.ofOthers(err)}
	}
	for _, path := range files {
		if err := c.set.LoadYAML(path); err != nil {
			return nil, &usageError{c.ofOthers(err)}
		}
	}
	if c.warnings, err = c.set.LoadEnvironment(environment, environ); err != nil {
		return nil, &usageError{err}
	}
	if metric := c.set.Lookup("metric"); metric.Origin() == option.FromDefault && len(c.K) > 0 && !slices.Contains(c.K, defaultCutoff) { // -k 10 alone
		if err := c.set.Assign("metric", fmt.Sprintf("Recall@%d", c.K[0]), option.FromDefault, ""); err != nil {
			return nil, err
		}
	}
	if c.Resume != peek["resume"] {
		return nil, misused("resume: %s stands in a configuration or the environment; -resume belongs on the command line", c.Resume)
	}
	if c.Resume != "" {
		if err := c.checkRenewed(peek["data"] == ""); err != nil {
			return nil, err
		}
	}
	if rest := c.flags.Args(); len(rest) > 0 {
		return nil, misused("unexpected %q: options begin with a dash, and a boolean's value follows =", rest[0])
	}
	if err := c.check(); err != nil {
		return nil, &usageError{err}
	}
	if o := c.set.Lookup("random-seed"); c.Random == 0 && o.Origin() == option.FromCommandLine { // a trial has the one that it was drawn by
		return nil, misused("-random-seed is of -random, which is not given")
	}
	return c, nil
}

// ofOthers adds to the error about an unknown option which models have it.
func (c *commandLine) ofOthers(err error) error {
	var unknown *option.UnknownError
	if !errors.As(err, &unknown) {
		return err
	}
	var have []string
	for _, spec := range models.All() {
		if other, err := bind(spec, true); err == nil && other.set.Lookup(unknown.Name) != nil {
			have = append(have, spec.Name)
		}
	}
	if len(have) == 0 {
		return err
	}
	return fmt.Errorf("%w (%s is an option of %s, and not of %s)", err, unknown.Name, strings.Join(have, ", "), c.spec.Name)
}

// checkEmpty refuses empty values of options that say what a run is made of: a variable of the shell that is not set would make another run of it. Where
// there is a configuration, some of them may be empty to take back what stands in it.
func checkEmpty(args []string) error {
	always := []string{"model", "config", "resume", "out", "grid", "seeds"}
	unlessConfigured := []string{"data", "test", "valid", "init-from"}
	given := peekFlags(args, slices.Concat(always, unlessConfigured)...)
	configured := given["config"] != "" || given["resume"] != ""
	for _, name := range slices.Concat(always, unlessConfigured) {
		if value, ok := given[name]; ok && value == "" && !(configured && slices.Contains(unlessConfigured, name)) {
			return misused("-%s is given and empty: is a variable of the shell not set? Without one, leave -%s out", name, name)
		}
	}
	return nil
}

// check finds values that an option cannot have, alone or beside the others.
func (c *commandLine) check() error {
	if err := c.set.Validate(); err != nil {
		return err
	}
	if err := c.Options.Check(); err != nil {
		return err
	}
	if err := c.CheckModel(c.spec.Name, c.model); err != nil {
		return err
	}
	if _, untrained := c.model.(models.Untrained); untrained {
		for _, o := range c.set.Changed() {
			if o.Group == "Training" && o.Origin() == option.FromCommandLine {
				return fmt.Errorf("-%s %s: %s is not trained in steps; leave it out", o.Name, o.Value(), c.spec.Name)
			}
		}
	}
	if !c.sweeps() { // its trials have values of their own
		if err := c.set.CheckEffects(); err != nil {
			return err
		}
	}
	if m, ok := c.model.(models.Checker); ok {
		if err := m.Check(); err != nil {
			return err
		}
	}
	return c.several.check(c)
}

// bind makes the command line of a model, with every option at its default.
func bind(spec models.Spec, embedded bool) (*commandLine, error) {
	c := &commandLine{spec: spec, model: spec.Options(), flags: flag.NewFlagSet("trainer", flag.ContinueOnError)}
	structs := []any{&c.choice, &c.Options, &c.several, c.model}
	if embedded {
		structs = append(structs, embeddedDefaults(spec)...)
	}
	var err error
	c.set, err = option.Bind(c.flags, structs...)
	return c, err
}

// lookup finds a variable of an environment.
func lookup(environ []string, name string) (value string) {
	for _, entry := range environ {
		if k, v, _ := strings.Cut(entry, "="); k == name {
			value = v
		}
	}
	return value
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

// peekYAML finds top-level string keys of a configuration before its options are known. What is wrong with the file is said later, with its place.
func peekYAML(path string, keys ...string) (map[string]string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	var all map[string]yaml.Node
	if yaml.Unmarshal(b, &all) != nil {
		return found, nil
	}
	for _, k := range keys {
		if n, ok := all[k]; ok && n.Kind == yaml.ScalarNode {
			found[k] = n.Value
		}
	}
	return found, nil
}

func suggestion(name string, names []string) string {
	if near, ok := option.Nearest(name, names); ok {
		return fmt.Sprintf(" (did you mean %s?)", near)
	}
	return ""
}

func listModels(args []string, w io.Writer) error {
	if len(args) > 0 {
		return misused("'trainer models' lists all models; 'trainer -model %s -help' has one's options", args[0])
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range models.All() {
		fmt.Fprintf(t, "%s\t%s\t%s\n", s.Name, s.Title, s.Paper)
	}
	return t.Flush()
}

func usage(w io.Writer) error {
	_, err := fmt.Fprint(w, `trainer trains recommenders.

  trainer [-model NAME] [-data PATH] [-gpu auto|N|off] [options]   train, evaluate, leave a run
  trainer -seeds 1,2,3 [-grid "tau=.1,.2;lambda=.05,.1"] ..        several runs over one data set, compared on the validation split
  trainer -resume FOLDER                                           go on with a run or a sweep that was interrupted
  trainer models                                                   the models and their papers
  trainer doctor                                                   what this machine has for training, and why a GPU is not used
  trainer -model NAME -help                                        a model's options, defaults, sources
  trainer evaluate RUN [-data PATH] [options]                      measure a run again, on its data or other data
  trainer recommend RUN -user U [options]                          the best items for users
  trainer explain -model NAME [-profile|-dot]                      the compiled program of a training step, timed, or the loss's graph

Options come from defaults, then a file (-config), then the environment (TRAINER_LR is -lr), then the command line; the last one wins.
`)
	return err
}
