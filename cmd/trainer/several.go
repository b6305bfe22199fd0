package main

import (
	"errors"
	"fmt"
	"slices"

	"nearfar/models"
	"nearfar/trainer"
	"nearfar/trainer/option"
	"nearfar/trainer/sweep"
)

// several are the options that make one command train more than once.
type several struct {
	_          struct{} `title:"Several runs"`
	Seeds      []int    `flag:"seeds" min:"0" help:"train once under each seed, 1,2,3, and report means and deviations"`
	Grid       string   `flag:"grid" help:"train every combination, \"tau=.1,.2;lambda=.05,.1\", and compare them on the validation split"`
	Random     int      `flag:"random" default:"0" min:"0" help:"train so many combinations drawn from -grid, which may then have ranges: \"lr=log:1e-4..1e-2;layers=1..3\""`
	RandomSeed uint64   `flag:"random-seed" default:"1" help:"of -random: the n-th combination is always the same"`
	Refit      bool     `flag:"refit" default:"false" help:"train the selected model (of a grid: the best) anew on train and validation, for the epochs that were selected"`
}

const severalRuns = "Several runs" // the group's title

// sweeps tells whether the options ask for several runs.
func (s *several) sweeps() bool { return len(s.Seeds) > 0 || s.Grid != "" }

// check finds mistakes in a plan before anything is read or trained, in every trial of it.
func (s *several) check(c *commandLine) error {
	if s.Refit && c.Select != trainer.SelectValid {
		return fmt.Errorf("-refit puts the validation split back into train: -select %s has none", c.Select)
	}
	if _, fitted := c.model.(models.Untrained); s.Refit && fitted {
		return fmt.Errorf("-refit trains again for the epochs that were selected, and %s is not trained in epochs: -train-on train+valid -select last fits it on both at once", c.spec.Name)
	}
	if s.Refit && c.Epochs == 0 {
		return errors.New("-refit trains again for the epochs that were selected, and -epochs is 0: -train-on train+valid fits on both at once")
	}
	if !s.sweeps() {
		if s.Random > 0 {
			return errors.New(`-random draws from -grid: give the options and their ranges, -grid "lr=log:1e-4..1e-2"`)
		}
		return nil
	}
	if c.set.Lookup("seed").Origin() == option.FromCommandLine && len(s.Seeds) > 0 {
		return errors.New("-seed and -seeds exclude each other")
	}
	if s.Grid != "" && c.Select != trainer.SelectValid {
		return fmt.Errorf("-grid chooses between trials by the validation split: -select %s would leave the test split to choose on; give -select valid", c.Select)
	}
	seeds := c.seeds()
	for i, n := range seeds {
		if slices.Contains(seeds[:i], n) {
			return fmt.Errorf("-seeds has %d twice", n)
		}
	}
	trials, err := c.trials()
	if err != nil {
		return err
	}
	for _, t := range trials {
		if _, err := c.with(t.Settings, seeds[0]); err != nil {
			return fmt.Errorf("-grid: trial %d, %s: %w", t.Number, t, err)
		}
	}
	return nil
}

// seeds are those that each trial is trained under.
func (c *commandLine) seeds() []uint64 {
	if len(c.Seeds) == 0 {
		return []uint64{c.Seed}
	}
	seeds := make([]uint64, len(c.Seeds))
	for i, n := range c.Seeds {
		seeds[i] = uint64(n)
	}
	return seeds
}

// trials are the plan.
func (c *commandLine) trials() ([]sweep.Trial, error) {
	if c.Grid == "" {
		return []sweep.Trial{{Number: 1}}, nil
	}
	axes, err := sweep.ParseGrid(c.Grid, c.set, varies)
	if err != nil {
		return nil, fmt.Errorf("-grid: %w", err)
	}
	var trials []sweep.Trial
	if c.Random > 0 {
		trials, err = sweep.Random(axes, c.Random, c.RandomSeed)
	} else {
		trials, err = sweep.Grid(axes)
	}
	if err != nil {
		return nil, fmt.Errorf("-grid: %w", err)
	}
	return trials, nil
}

// varies tells why an option may not differ between the trials of a grid: their numbers would not be comparable, or it is not about a trial.
func varies(o *option.Option) error {
	switch {
	case o.Name == "seed":
		return errors.New("seeds are no choice: -seeds 1,2,3 trains each trial under several")
	case o.Name == "model":
		return errors.New("a grid is over the options of one model")
	case o.Group == "Data", o.Group == "Split", o.Name == "train-on":
		return errors.New("trials of one table are trained and measured on the same data")
	case slices.Contains([]string{"eval-every", "patience", "warmup"}, o.Name):
		return nil
	case o.Group == "Evaluation":
		return errors.New("trials of one table are measured alike")
	case o.Group == "Model", o.Group == "Run", o.Group == severalRuns:
		return errors.New("it is not an option of a trial")
	}
	return nil
}

// with is the command line of one run: this one's options, some of them set anew, under one seed.
func (c *commandLine) with(settings []sweep.Setting, seed uint64) (*commandLine, error) {
	t, err := bind(c.spec, c.Data == "")
	if err != nil {
		return nil, err
	}
	for _, o := range c.set.Options() {
		if o.Group == severalRuns && o.Name != "random-seed" {
			continue
		}
		if err := t.set.Assign(o.Name, o.Value(), o.Origin(), o.Place()); err != nil {
			return nil, err
		}
	}
	t.Seed, t.Out = seed, ""
	for _, s := range settings {
		if err := t.set.Assign(s.Option, s.Value, option.FromCommandLine, ""); err != nil {
			return nil, err
		}
	}
	return t, t.check()
}
