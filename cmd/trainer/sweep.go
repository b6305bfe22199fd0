package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"nearfar/trainer"
	"nearfar/trainer/dataset"
	"nearfar/trainer/option"
	"nearfar/trainer/runfolder"
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

// sweeps tells whether the options ask for several runs.
func (s *several) sweeps() bool { return len(s.Seeds) > 0 || s.Grid != "" }

// check finds mistakes in a plan before anything is read or trained, in every trial of it.
func (s *several) check(c *commandLine) error {
	if s.Refit && c.Select != trainer.SelectValid {
		return fmt.Errorf("-refit puts the validation split back into train: -select %s has none", c.Select)
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
	case o.Group == "Data", o.Name == "split-seed", o.Name == "train-on":
		return errors.New("trials of one table are trained and measured on the same data")
	case slices.Contains([]string{"eval-every", "patience", "warmup"}, o.Name):
		return nil
	case o.Group == "Evaluation":
		return errors.New("trials of one table are measured alike")
	case o.Group == "Model", o.Group == "Run", o.Group == "Several runs":
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
		if err := t.set.Assign(o.Name, o.Value(), o.Origin(), o.Place()); err != nil {
			return nil, err
		}
	}
	t.several = several{RandomSeed: t.RandomSeed}
	t.Seed, t.Out = seed, ""
	for _, s := range settings {
		if err := t.set.Assign(s.Option, s.Value, option.FromCommandLine, ""); err != nil {
			return nil, err
		}
	}
	return t, t.check()
}

// renewableSweep are the options that a sweep may be given anew when it goes on: where its data and machine are, and more trials or seeds beside
// those that it has. -random keeps the trials that it has drawn.
var renewableSweep = []string{"threads", "gpu", "require-gpu", "checkpoint-every", "data", "valid", "seeds", "random", "refit", "config", "resume", "out"}

// sweep trains every trial under every seed that has no result yet, one after another, and sums them up.
func (c *commandLine) sweep(ctx context.Context, s session, stdout io.Writer) error {
	path, err := c.sweepFolder(s.data)
	if err != nil {
		return err
	}
	trials, err := c.trials()
	if err != nil {
		return err
	}
	fmt.Fprint(s.console, s.data.String())
	for _, warning := range append(c.warnings, s.warning) {
		if warning != "" {
			fmt.Fprintln(s.console, "warning:", warning)
		}
	}
	fmt.Fprint(s.console, c.options())
	fmt.Fprintf(s.console, "sweep      %d runs in %s; trainer -resume %s goes on after an interruption\n", len(trials)*len(c.seeds()), path, path)
	s.quiet = true

	ended := c.trainAll(ctx, s, path, trials)
	sum, err := c.summary(path, s.data, trials)
	if err != nil {
		return errors.Join(ended, err)
	}
	if best := sum.Best(); ended == nil && c.Refit && best != nil {
		if ended = c.refitBest(ctx, s, path, best); ended == nil {
			sum, err = c.summary(path, s.data, trials)
		}
	}
	if err = errors.Join(err, sum.Save(path)); err != nil {
		return errors.Join(ended, err)
	}
	fmt.Fprintf(stdout, "\n%s\n%s, %s masked\nsweep: %s\n", sum, c.Ranking(s.data.Items()), strings.ReplaceAll(c.Mask, "none", "nothing"), path)
	switch {
	case ended != nil && (ctx.Err() != nil || errors.Is(ended, trainer.ErrInterrupted)):
		return fmt.Errorf("%w: go on with -resume %s", trainer.ErrInterrupted, path)
	case ended != nil:
		return fmt.Errorf("%w; go on with -resume %s", ended, path)
	case sum.Failed():
		return fmt.Errorf("every run has failed: their errors stand in %s", filepath.Join(path, sweep.SummaryMarkdown))
	}
	return nil
}

// sweepFolder makes the folder, or finds the one that this command, or -resume, goes on with.
func (c *commandLine) sweepFolder(data *dataset.Dataset) (path string, err error) {
	embedded := c.Data == ""
	config, err := c.resolved()
	if err != nil {
		return "", err
	}
	path = c.Resume
	if path == "" {
		path = c.Out
	}
	if path == "" {
		name := strings.TrimSuffix(runfolder.Name(c.spec.Name, data.Name, time.Now(), c.Seed), fmt.Sprintf("-s%d", c.Seed))
		if path, err = reserve("runs", name+"-sweep"); err != nil {
			return "", err
		}
	}
	if sweep.Is(path) {
		file := filepath.Join(path, sweep.Config)
		sum, err := sweep.Open(path)
		if err != nil {
			return "", err
		}
		if sum != data.Checksum() {
			return "", fmt.Errorf("%s: the sweep was made on other data, or on another split of it, than %s is now", path, data.Path)
		}
		changed, was, err := c.changedSince(file, embedded, renewableSweep)
		if err != nil {
			return "", err
		}
		if changed != nil {
			return "", misused("-%s %s: the sweep in %s was made with %q: name another folder, or give it anew as it was", changed.Name, changed.Value(), path, was)
		}
	}
	return path, sweep.Create(path, config, data.Checksum())
}

// trainAll trains what has no result yet. A run that fails is recorded, and the others go on; an interruption or a disk that fails ends the sweep.
func (c *commandLine) trainAll(ctx context.Context, s session, path string, trials []sweep.Trial) error {
	seeds := c.seeds()
	for i, t := range trials {
		for k, seed := range seeds {
			run, err := sweep.Inspect(path, t.Folder(seed), seed)
			if err != nil {
				return err
			}
			if run.State == sweep.Done || run.State == sweep.Failed {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			fmt.Fprintf(s.console, "run %d of %d: %s\n", i*len(seeds)+k+1, len(trials)*len(seeds), run.Folder)
			err = c.trainOne(ctx, s, path, t, run)
			var disk *fs.PathError
			switch {
			case err == nil:
			case ctx.Err() != nil, errors.Is(err, trainer.ErrInterrupted), errors.Is(err, trainer.ErrUnkept), errors.As(err, &disk):
				return err
			default:
				fmt.Fprintf(s.console, "%s failed: %v\n", run.Folder, err)
				if err := sweep.Fail(path, run.Folder, err); err != nil {
					return err
				}
			}
			sum, err := c.summary(path, s.data, trials)
			if err != nil {
				return err
			}
			if err := sum.Save(path); err != nil {
				return err
			}
		}
	}
	return nil
}

// trainOne begins a run of a trial, or goes on with it. Damaged checkpoints cost their time, and change nothing else: a run without one to go on from,
// or that has lost its best epoch, begins anew and ends with the same bits.
func (c *commandLine) trainOne(ctx context.Context, s session, path string, t sweep.Trial, run sweep.Run) error {
	one, err := c.with(t.Settings, run.Seed)
	if err != nil {
		return err
	}
	config, err := one.resolved()
	if err != nil {
		return err
	}
	at := filepath.Join(path, run.Folder)
	folder, resume, err := one.reopen(at, config)
	if err != nil {
		return err
	}
	res, err := one.run(ctx, s, folder, config, resume)
	if lost := err == nil && res.Lost != nil; resume && (lost || errors.Is(err, trainer.ErrNoCheckpoint)) {
		why := "the parameters of its best epoch are lost"
		if !lost {
			why = err.Error()
		}
		fmt.Fprintf(s.console, "%s begins anew: %s\n", run.Folder, why)
		if folder, err = begin(at, config); err != nil {
			return err
		}
		_, err = one.run(ctx, s, folder, config, false)
	}
	return err
}

// refitBest refits every run of the best trial.
func (c *commandLine) refitBest(ctx context.Context, s session, path string, best *sweep.Outcome) error {
	for _, run := range best.Runs {
		if run.Result.Refit != nil {
			continue
		}
		one, err := c.with(best.Settings, run.Seed)
		if err != nil {
			return err
		}
		folder, err := runfolder.Open(filepath.Join(path, run.Folder))
		if err != nil {
			return err
		}
		if _, err := one.refit(ctx, s, folder, run.Result); err != nil {
			return err
		}
	}
	return nil
}

// summary reads from the folders how far every run is.
func (c *commandLine) summary(path string, data *dataset.Dataset, trials []sweep.Trial) (*sweep.Summary, error) {
	sum := &sweep.Summary{Model: c.spec.Name, Data: data.Name, Select: c.Select, Metric: c.SelectionMetric(), Metrics: c.MetricNames(), Seeds: c.seeds(), Repeat: c.repeat}
	for _, t := range trials {
		o := sweep.Outcome{Trial: t}
		for _, seed := range sum.Seeds {
			run, err := sweep.Inspect(path, t.Folder(seed), seed)
			if err != nil {
				return nil, err
			}
			o.Runs = append(o.Runs, run)
		}
		sum.Outcomes = append(sum.Outcomes, o)
	}
	if c.Grid != "" {
		sum.Sort()
	}
	return sum, nil
}

// repeat is the command that trains a trial again: every option that is not at its default.
func (c *commandLine) repeat(t sweep.Trial) string {
	one, err := c.with(t.Settings, c.Seed)
	if err != nil {
		return err.Error() // every trial was checked before
	}
	words := []string{"trainer", "-model", c.spec.Name}
	for _, o := range one.set.Changed() {
		switch {
		case slices.Contains([]string{"model", "out", "config", "resume", "seed"}, o.Name):
		case o.IsBool():
			words = append(words, "-"+o.Name+"="+o.Value())
		default:
			words = append(words, "-"+o.Name, quoted(o.Value()))
		}
	}
	switch {
	case len(c.Seeds) > 0:
		words = append(words, "-seeds", c.set.Lookup("seeds").Value())
	case c.Seed != 1:
		words = append(words, "-seed", strconv.FormatUint(c.Seed, 10))
	}
	if c.Refit {
		words = append(words, "-refit")
	}
	return strings.Join(words, " ")
}

// quoted is a word as shells take it.
func quoted(word string) string {
	special := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-+=,/:@%", r))
	}
	if word != "" && !strings.ContainsFunc(word, special) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
