package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"nearfar/engine"
	"nearfar/trainer"
	"nearfar/trainer/dataset"
	"nearfar/trainer/progress"
	"nearfar/trainer/runfolder"
)

// train runs one training, or several.
func train(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	c, err := parse(args, os.Environ())
	if errors.Is(err, flag.ErrHelp) {
		if err := usage(stdout); err != nil {
			return err
		}
		fmt.Fprintf(stdout, "\n%s: %s (%s)\n\n", c.spec.Name, c.spec.Title, c.spec.Paper)
		c.set.Lookup("model").Default = c.spec.Name // what is shown are this model's
		return c.set.Help(stdout)
	}
	if err != nil {
		return err
	}
	s := session{console: newConsole(stderr)}
	if s.data, err = trainer.LoadData(ctx, c.Options, c.model, s.console); errors.Is(err, dataset.ErrMissing) && c.Resume != "" {
		return fmt.Errorf("the run's data: %w; -data says where it is now", err)
	} else if err != nil {
		return err
	}
	if s.device, s.fallback, err = trainer.OpenDevice(c.Running, c.model); err != nil {
		return err
	}
	defer s.device.Close()
	if c.sweeps() {
		return c.sweep(ctx, s, stdout)
	}
	folder, config, err := c.create(s.data)
	if err != nil {
		return err
	}
	fmt.Fprint(s.console, s.data.String())
	res, err := c.run(ctx, s, folder, config, c.Resume != "")
	if errors.Is(err, trainer.ErrNotStarted) && c.Resume == "" {
		left := runfolder.Discard(folder.Path()) // its place is free for the next attempt
		if c.Out == "" {
			os.Remove("runs") // where it is empty
		}
		return errors.Join(err, left)
	}
	if err != nil && !isMeasured(res) {
		return err
	}
	return errors.Join(report(stdout, c, s.data, folder, res), err) // what it measured is not lost with its folder, or with a refit that fails
}

// isMeasured tells whether a run came to its end: its time is the last that it takes note of before it leaves its files.
func isMeasured(res trainer.Result) bool { return res.WallTime > 0 }

// session is what the runs of one command share.
type session struct {
	data     *dataset.Dataset
	device   engine.Device
	fallback trainer.Fallback
	console  *progress.Console
	quiet    bool // the options have been printed
}

// newConsole shows progress as a bar where w is a terminal.
func newConsole(w io.Writer) *progress.Console {
	f, ok := w.(*os.File)
	return progress.NewConsole(w, ok && progress.IsTerminal(f))
}

// run trains into a folder, which it locks: a run of its own, one of a sweep, or a refit. It goes on from the folder's checkpoint where resume is
// set.
func (c *commandLine) run(ctx context.Context, s session, folder *runfolder.Folder, config []byte, resume bool) (res trainer.Result, err error) {
	unlocked := folder.Lock()
	if unlocked != nil && !errors.Is(unlocked, errors.ErrUnsupported) {
		return res, unlocked
	}
	defer folder.Unlock()
	log, closer, err := folder.NewLogger(s.console, zapcore.InfoLevel)
	if err != nil {
		return res, err
	}
	defer closer.Close()
	for _, warning := range append(c.warnings, s.fallback.Warning()) {
		if warning != "" && !s.quiet {
			log.Warn(warning)
		}
	}
	if unlocked != nil {
		log.Warn("the run's folder cannot be locked: start no second process on it", zap.Error(unlocked))
	}
	log.Info("run", zap.String("model", c.spec.Name), zap.String("data", s.data.Name), zap.Uint64("seed", c.Seed),
		zap.String("device", s.device.Name()), zap.String("folder", folder.Path()))
	log.Debug("options", zap.Any("options", c.origins())) // for the file; people read the lines below
	if note := s.fallback.Note(); note != "" && !s.quiet {
		log.Info("no GPU is used", zap.String("reason", note))
	}
	if !s.quiet {
		fmt.Fprint(s.console, c.options())
	}
	job := trainer.Job{Options: c.Options, Name: c.spec.Name, Model: c.model, Config: config, Console: s.console, Log: log, Folder: folder, Resume: resume, RateIsNew: c.rateIsNew}
	if res, err = job.Run(ctx, s.data, s.device); err != nil {
		log.Debug("the run has ended", zap.Error(err)) // for the file; the command's end prints it
		return res, err
	}
	log.Info("done", zap.Int("epoch", res.Epoch), zap.Int("epochs", res.Epochs), zap.Float64("train_seconds", res.TrainTime), zap.Float64("wall_seconds", res.WallTime))
	if c.Refit {
		return c.refit(ctx, s, folder, res)
	}
	return res, c.dropRefit(s, folder, res)
}

// create makes the run's folder with its resolved configuration, or opens the one to resume.
func (c *commandLine) create(data *dataset.Dataset) (*runfolder.Folder, []byte, error) {
	config, err := c.resolved()
	if err != nil {
		return nil, nil, err
	}
	if c.Resume != "" {
		folder, err := runfolder.Open(c.Resume)
		return folder, config, err
	}
	path := c.Out
	if path == "" {
		if path, err = reserve("runs", runfolder.Name(c.spec.Name, data.Name, time.Now(), c.Seed)); err != nil {
			return nil, nil, err
		}
	}
	folder, err := runfolder.Create(path, config)
	return folder, config, err
}

// resolved is the configuration that a run keeps. Its paths are absolute, so that the run can be resumed from another working directory.
func (c *commandLine) resolved() ([]byte, error) {
	for _, path := range []*string{&c.Data, &c.Valid, &c.InitFrom} {
		if *path == "" {
			continue
		}
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return nil, fmt.Errorf("run folder: %w", err)
		}
		*path = absolute
	}
	// What names this one run does not belong to its repetition.
	out, config, resume := c.Out, c.Config, c.Resume
	c.Out, c.Config, c.Resume = "", "", ""
	defer func() { c.Out, c.Config, c.Resume = out, config, resume }()
	return c.set.Resolved()
}

// reserve makes a new folder called name, or name-2, name-3 and so on: a sweep may start several runs in one second.
func reserve(parent, name string) (string, error) {
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", fmt.Errorf("run folder: %w; -out names another place", err)
	}
	path := filepath.Join(parent, name)
	for n := 2; ; n++ {
		err := os.Mkdir(path, 0o755)
		if err == nil {
			return path, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return "", fmt.Errorf("run folder: %w; -out names another place", err)
		}
		path = filepath.Join(parent, fmt.Sprintf("%s-%d", name, n))
	}
}

// report prints the table that ends a run.
func report(w io.Writer, c *commandLine, data *dataset.Dataset, folder *runfolder.Folder, res trainer.Result) error {
	fmt.Fprintf(w, "\n%s on %s, seed %d, %s\n", c.spec.Name, data.Name, res.Seed, selected(c, res))
	if res.Lost != nil {
		fmt.Fprintf(w, "epoch %d was better (%s %.4f); its checkpoint was damaged and its parameters are lost\n", res.Lost.Epoch, c.Metric, res.Lost.Value)
	}
	users := data.Test.ActiveUsers()
	columns := []column{{"valid", res.Valid}, {"test", res.Test}}
	switch {
	case res.Test == nil && res.Valid == nil:
		_, err := fmt.Fprintf(w, "no split to evaluate on; training %.1f s, in all %.1f s\nrun: %s\n", res.TrainTime, res.WallTime, folder.Path())
		return err
	case res.Test == nil:
		columns, users = columns[:1], data.Valid.ActiveUsers()
	case res.Valid == nil:
		columns = columns[1:]
	}
	if res.Refit != nil {
		columns = append(columns, column{"refit, test", res.Refit.Test})
		fmt.Fprintf(w, "refit: trained anew on train and validation for %d epochs, as many as were selected; the run exports its embeddings\n", res.Refit.Epochs)
	}
	if err := table(w, c.MetricNames(), columns); err != nil {
		return err
	}
	if err := groupTables(w, c, res); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%s, %s, mean over %d users; training %.1f s, in all %.1f s\nrun: %s\n", c.Ranking(data.Items()),
		c.Masking(res.Valid != nil, res.Test != nil), users, res.TrainTime, res.WallTime, folder.Path())
	return err
}

// column is one split's metrics.
type column struct {
	split  string
	values map[string]float64
}

func table(w io.Writer, metrics []string, columns []column) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "metric\t")
	for _, c := range columns {
		fmt.Fprint(t, c.split, "\t")
	}
	fmt.Fprintln(t)
	for _, name := range metrics {
		fmt.Fprint(t, name, "\t")
		for _, c := range columns {
			fmt.Fprintf(t, "%.4f\t", c.values[name])
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}

// selected says in words whose parameters the numbers are of.
func selected(c *commandLine, res trainer.Result) string {
	switch {
	case res.Epochs == 0:
		return "no training"
	case c.Select == trainer.SelectLast:
		return fmt.Sprintf("the last of %d epochs", res.Epochs)
	case c.Select == trainer.SelectTest:
		return fmt.Sprintf("epoch %d of %d, SELECTED ON THE TEST SPLIT by %s, as published numbers are", res.Epoch, res.Epochs, c.SelectionMetric())
	}
	return fmt.Sprintf("epoch %d of %d, selected on the validation split by %s", res.Epoch, res.Epochs, c.SelectionMetric())
}
