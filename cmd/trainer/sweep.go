package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"nearfar/trainer"
	"nearfar/trainer/dataset"
	"nearfar/trainer/runfolder"
	"nearfar/trainer/sweep"
)

// renewableSweep are the options that a sweep may be given anew when it goes on: where its data and machine are, and more trials or seeds beside
// those that it has. -random keeps the trials that it has drawn.
var renewableSweep = []string{"threads", "gpu", "require-gpu", "checkpoint-every", "data", "valid", "seeds", "random", "refit", "config", "resume", "out"}

// renewableTrial are the options in which a run of a sweep may differ from its trial: where its data and machine are, and what comes after its training.
var renewableTrial = []string{"threads", "gpu", "require-gpu", "checkpoint-every", "data", "valid", "refit", "out", "config", "resume"}

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
			one, err := c.with(t.Settings, seed)
			if err != nil {
				return err
			}
			_, err = one.within(ctx, s, filepath.Join(path, run.Folder))
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
		if err := one.refitLater(ctx, s, filepath.Join(path, run.Folder), run.Result); err != nil {
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
