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

	"nearfar/engine"
	"nearfar/trainer"
	"nearfar/trainer/dataset"
	"nearfar/trainer/runfolder"
	"nearfar/trainer/sweep"
)

// renewableSweep are the options that a sweep may be given anew when it goes on: where its data and machine are, and more trials or seeds beside
// those that it has. -random keeps the trials that it has drawn.
var renewableSweep = []string{"threads", "gpu", "require-gpu", "checkpoint-every", "data", "test", "valid", "seeds", "random", "refit", "config", "resume", "out"}

// renewableTrial are the options in which a run of a sweep may differ from its trial: where its data and machine are, and what comes after its training.
var renewableTrial = []string{"threads", "gpu", "require-gpu", "checkpoint-every", "data", "test", "valid", "refit", "out", "config", "resume"}

// sweep trains every trial under every seed that has no result yet, one after another, and sums them up. What there is when it ends is printed, however
// it ends.
func (c *commandLine) sweep(ctx context.Context, s session, stdout io.Writer) error {
	trials, err := c.trials()
	if err != nil {
		return err
	}
	path, err := c.sweepFolder(s.data)
	if err != nil {
		return err
	}
	lock, err := sweep.Lock(path)
	unlocked := errors.Is(err, errors.ErrUnsupported)
	if err != nil && !unlocked {
		return err
	}
	if unlocked {
		c.warnings = append(c.warnings, fmt.Sprintf("the sweep's folder cannot be locked: start no second process on it (%v)", err))
	} else {
		defer lock.Close()
	}
	if err := c.begin(path, s.data, trials); err != nil {
		return err
	}
	fmt.Fprint(s.console, s.data.String())
	for _, warning := range append(c.warnings, s.fallback.Warning()) {
		if warning != "" {
			fmt.Fprintln(s.console, "warning:", warning)
		}
	}
	if note := s.fallback.Note(); note != "" {
		fmt.Fprintln(s.console, "device    ", s.device.Name()+", no GPU is used:", note)
	}
	fmt.Fprint(s.console, c.options())
	fmt.Fprintf(s.console, "sweep      %d runs in %s; trainer -resume %s goes on after an interruption\n", len(trials)*len(c.seeds()), path, path)
	s.quiet = true

	measured, ended := c.trainAll(ctx, s, path, trials)
	sum, unread := c.summary(path, s.data, trials)
	if ended == nil && unread == nil && c.Refit {
		ended = c.refitSelected(ctx, s, path, sum)
		sum, unread = c.summary(path, s.data, trials)
	}
	unsaved := sum.Save(path)
	sum.Fill(measured)
	_, unprinted := fmt.Fprintf(stdout, "\n%s\n%s, %s\nsweep: %s\n", sum, c.Ranking(s.data.Items()), c.Masking(s.data.Valid.Len() > 0, s.data.Test.Len() > 0), path)
	switch {
	case ended != nil && (ctx.Err() != nil || errors.Is(ended, trainer.ErrInterrupted)):
		ended = fmt.Errorf("%w: go on with -resume %s", trainer.ErrInterrupted, path)
	case ended != nil:
		ended = fmt.Errorf("%w; go on with -resume %s", ended, path)
	case sum.Failed():
		ended = fmt.Errorf("every run has failed: their errors stand in %s", filepath.Join(path, sweep.SummaryMarkdown))
	}
	return errors.Join(ended, unread, unsaved, unprinted)
}

// sweepFolder names the folder, which it makes where no option does.
func (c *commandLine) sweepFolder(data *dataset.Dataset) (path string, err error) {
	switch {
	case c.Resume != "":
		return c.Resume, nil
	case c.Out != "":
		return c.Out, nil
	}
	name := strings.TrimSuffix(runfolder.Name(c.spec.Name, data.Name, time.Now(), c.Seed), fmt.Sprintf("-s%d", c.Seed))
	return reserve("runs", name+"-sweep")
}

// begin makes the sweep in its folder, which is locked, or finds that what is there is of these options and this data and can be gone on with.
func (c *commandLine) begin(path string, data *dataset.Dataset, trials []sweep.Trial) error {
	embedded := c.Data == ""
	config, err := c.resolved()
	if err != nil {
		return err
	}
	if sweep.Is(path) {
		sum, err := sweep.Open(path)
		if err != nil {
			return err
		}
		if sum != data.Checksum() {
			return fmt.Errorf("%s: the sweep was made on other data, or on another split of it, than %s is now", path, data.Path)
		}
		changed, was, err := c.changedSince(filepath.Join(path, sweep.Config), embedded, renewableSweep)
		if err != nil {
			return err
		}
		if changed != nil {
			return misused("-%s %s: the sweep in %s was made with %q: name another folder, or give it anew as it was", changed.Name, changed.Value(), path, was)
		}
		if err := c.checkRuns(path, trials); err != nil {
			return err
		}
	}
	return sweep.Create(path, config, data.Checksum())
}

// checkRuns refuses to go on with a run that has not its trial's options: resumed by hand with more epochs, say, it is not to be compared with the
// others, and what it has taken is not to be thrown away unasked.
func (c *commandLine) checkRuns(path string, trials []sweep.Trial) error {
	for _, t := range trials {
		for _, seed := range c.seeds() {
			run, err := sweep.Inspect(path, t.Folder(seed), seed)
			if err != nil {
				return err
			}
			if run.State != sweep.Done && run.State != sweep.Saved {
				continue
			}
			one, err := c.with(t.Settings, seed)
			if err != nil {
				return err
			}
			if _, err := one.resolved(); err != nil { // its paths, absolute
				return err
			}
			at := filepath.Join(path, run.Folder)
			changed, was, err := one.changedSince(filepath.Join(at, runfolder.Config), c.Data == "", renewableTrial)
			if err != nil {
				return err
			}
			if changed != nil {
				return fmt.Errorf("%s was trained with -%s %s, and its trial has %s: the table cannot compare it; move it out of the sweep, or delete it, and the trial is trained anew",
					at, changed.Name, was, changed.Value())
			}
		}
	}
	return nil
}

// trainAll trains what has no result yet. A run that fails is recorded, and the others go on; an interruption, a disk or a device that fails, or another process that
// has a run ends the sweep. What it has measured is given by the folder of the run, also where the disk could not keep it.
func (c *commandLine) trainAll(ctx context.Context, s session, path string, trials []sweep.Trial) (measured map[string]trainer.Result, err error) {
	seeds := c.seeds()
	measured = map[string]trainer.Result{}
	for i, t := range trials {
		for k, seed := range seeds {
			run, err := sweep.Inspect(path, t.Folder(seed), seed)
			if err != nil {
				return measured, err
			}
			if run.Damaged != nil {
				fmt.Fprintf(s.console, "warning: %v: the run is taken for one that has not ended\n", run.Damaged)
			}
			if run.State == sweep.Done || run.State == sweep.Failed {
				continue
			}
			if err := ctx.Err(); err != nil {
				return measured, err
			}
			fmt.Fprintf(s.console, "run %d of %d: %s\n", i*len(seeds)+k+1, len(trials)*len(seeds), run.Folder)
			one, err := c.with(t.Settings, seed)
			if err != nil {
				return measured, err
			}
			res, err := one.within(ctx, s, filepath.Join(path, run.Folder))
			if isMeasured(res) {
				measured[run.Folder] = res
			}
			var disk *fs.PathError
			switch {
			case err == nil:
			case ctx.Err() != nil, errors.Is(err, trainer.ErrInterrupted), errors.Is(err, trainer.ErrUnkept), errors.Is(err, runfolder.ErrLocked), errors.Is(err, runfolder.ErrVersion), errors.Is(err, engine.ErrDeviceLost), errors.As(err, &disk):
				return measured, err
			default:
				fmt.Fprintf(s.console, "%s failed: %v\n", run.Folder, err)
				if err := sweep.Fail(path, run.Folder, err); err != nil {
					return measured, err
				}
			}
			sum, err := c.summary(path, s.data, trials)
			if err != nil {
				return measured, err
			}
			if err := sum.Save(path); err != nil {
				return measured, err
			}
		}
	}
	return measured, nil
}

// refitSelected refits every run of the selected trial that has ended, and says which has not.
func (c *commandLine) refitSelected(ctx context.Context, s session, path string, sum *sweep.Summary) error {
	selected := sum.Selected()
	if selected == nil {
		fmt.Fprintln(s.console, "warning: nothing is refitted: no trial has a result under every seed, and so none is selected")
		return nil
	}
	for _, run := range selected.Runs {
		if run.State != sweep.Done {
			fmt.Fprintf(s.console, "warning: %s is not refitted: it has failed\n", run.Folder)
			continue
		}
		if run.Result.Refit != nil {
			continue
		}
		one, err := c.with(selected.Settings, run.Seed)
		if err != nil {
			return err
		}
		if err := one.refitLater(ctx, s, filepath.Join(path, run.Folder), run.Result); err != nil {
			return err
		}
	}
	return nil
}

// summary reads from the folders how far every run is. There is one, with what can be read, also beside an error.
func (c *commandLine) summary(path string, data *dataset.Dataset, trials []sweep.Trial) (sum *sweep.Summary, err error) {
	sum = &sweep.Summary{Model: c.spec.Name, Data: data.Name, Select: c.Select, Metric: c.SelectionMetric(), Metrics: c.MetricNames(), Seeds: c.seeds(), Repeat: c.repeat}
	for _, t := range trials {
		o := sweep.Outcome{Trial: t}
		for _, seed := range sum.Seeds {
			run, unread := sweep.Inspect(path, t.Folder(seed), seed)
			err = errors.Join(err, unread)
			o.Runs = append(o.Runs, run)
		}
		sum.Outcomes = append(sum.Outcomes, o)
	}
	if c.Grid != "" {
		sum.Sort()
	}
	return sum, err
}
