package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"nearfar/engine"
	"nearfar/trainer"
	"nearfar/trainer/option"
	"nearfar/trainer/runfolder"
	"nearfar/trainer/sweep"
)

// finished is a command about a run that has ended: its arguments are the run's folder, the command's own options, and those of training that it
// may be given anew.
type finished struct {
	name   string // of the command
	run    string
	own    *option.Set
	anew   []string // arguments that are options of training
	folder *runfolder.Folder
	line   *commandLine // the run's options
	read   []readData
}

// readFinished reads "RUN -option value ..". own is a pointer to the command's own options, whose names hide those of training.
func readFinished(name string, args []string, own any) (*finished, error) {
	f := &finished{name: name}
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	var err error
	if f.own, err = option.Bind(flags, own); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(args, func(a string) bool { return slices.Contains([]string{"-h", "--h", "-help", "--help"}, a) }) {
		return f, flag.ErrHelp
	}
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return nil, misused("%s needs a run: trainer %s RUN [options]; -help lists them", name, name)
	}
	f.run = args[0]
	mine, anew := f.divide(args[1:])
	f.anew = anew
	if err := f.own.Parse(mine); err != nil {
		return nil, &usageError{err}
	}
	if rest := flags.Args(); len(rest) > 0 {
		return nil, misused("unexpected %q: options begin with a dash, and a boolean's value follows =", rest[0])
	}
	if err := f.own.Validate(); err != nil {
		return nil, &usageError{err}
	}
	return f, nil
}

// divide tells the command's own arguments from the others.
func (f *finished) divide(args []string) (mine, anew []string) {
	to := &anew
	for i := 0; i < len(args); i++ {
		a := args[i]
		if strings.HasPrefix(a, "-") {
			name, _, joined := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(a, "-"), "-"), "=")
			to = &anew
			if o := f.own.Lookup(name); o != nil {
				to = &mine
				if !joined && !o.IsBool() && i+1 < len(args) {
					*to = append(*to, a)
					i++
					a = args[i]
				}
			} else if !joined && i+1 < len(args) && !strings.HasPrefix(args[i+1], "-") {
				*to = append(*to, a)
				i++
				a = args[i]
			}
		}
		*to = append(*to, a)
	}
	return mine, anew
}

// open finds the run and reads its options, with what the command line gives anew: options of the groups named, and of the machine. Which GPU the run
// was trained on, and that it had to be one, says nothing of the machine here. final asks for what the run ended with, a refit if there was one.
func (f *finished) open(final bool, groups ...string) (err error) {
	f.folder, err = runfolder.Open(f.run)
	if final {
		f.folder, err = trainer.OpenFinal(f.run)
	}
	switch {
	case err != nil && sweep.Is(f.run):
		return misused("%s is a sweep: name one of the runs in it", f.run)
	case err != nil:
		return &usageError{err}
	}
	if _, given := peekFlags(f.anew, "config")["config"]; given { // it would replace the run's
		return misused("-config: 'trainer %s' has the options of the run; those of data and evaluation may be given one by one", f.name)
	}
	args := []string{"-config", f.folder.File(runfolder.Config), "-gpu=auto", "-require-gpu=false"}
	if f.line, err = parse(append(args, f.anew...), nil); err != nil {
		return err
	}
	for _, o := range f.line.set.Options() {
		machine := slices.Contains([]string{"threads", "gpu", "require-gpu", "split-seed"}, o.Name) || o.Name == "config" // ours, above
		if o.Origin() == option.FromCommandLine && !machine && !slices.Contains(groups, o.Group) {
			return misused("'trainer %s' has no -%s: what is not of data or evaluation it takes from the run", f.name, o.Name)
		}
	}
	return nil
}

// scores are what a finished run ranks by, over users and items of these ids. open puts them on a device.
type scores struct {
	userID, itemID []string
	open           func(ctx context.Context, device engine.Device) (ranker, error)
}

// ranker ranks on a device. close is the caller's.
type ranker struct {
	scorer trainer.HistoryScorer
	close  func() error
}

// scores are those of the tables that the run exported, of one of its checkpoints ("best", "last"), or of a model without either, which is fitted again
// on the run's data.
func (f *finished) scores(ctx context.Context, which string, stderr io.Writer) (s scores, err error) {
	switch {
	case which != exported:
		return f.checkpoint(ctx, which, stderr)
	case f.fits():
		return f.fit(ctx, stderr)
	}
	t, err := trainer.ReadTables(f.folder)
	return scores{t.UserID, t.ItemID, func(ctx context.Context, device engine.Device) (ranker, error) {
		return rankByTables(ctx, device, t)
	}}, err
}

// fits tells whether the run's model is one that is fitted at once and keeps no embeddings.
func (f *finished) fits() bool {
	return f.folder.Has(runfolder.Result) && !f.folder.Has(runfolder.Embeddings)
}

func (f *finished) fit(ctx context.Context, stderr io.Writer) (s scores, err error) {
	data, job, err := f.made(ctx, stderr)
	if err != nil {
		return s, err
	}
	return scores{data.UserID, data.ItemID, func(ctx context.Context, device engine.Device) (ranker, error) {
		s, err := job.Fit(ctx, data, device)
		return ranker{s, func() error { return nil }}, err
	}}, nil
}

// checkpoint are the scores of the tables of the run's checkpoint "best" or "last", computed from the data that it was made on.
func (f *finished) checkpoint(ctx context.Context, which string, stderr io.Writer) (s scores, err error) {
	file := map[string]string{"best": runfolder.BestCheckpoint, "last": runfolder.LastCheckpoint}[which]
	if !f.folder.Has(file) {
		return s, fmt.Errorf("%s has no %s", f.folder.Path(), file)
	}
	data, job, err := f.made(ctx, stderr)
	if err != nil {
		return s, err
	}
	return scores{data.UserID, data.ItemID, func(ctx context.Context, device engine.Device) (ranker, error) {
		t, err := job.CheckpointTables(ctx, data, device, file)
		if err != nil {
			return ranker{}, err
		}
		return rankByTables(ctx, device, t)
	}}, nil
}

func rankByTables(ctx context.Context, device engine.Device, t trainer.Tables) (ranker, error) {
	s, err := trainer.NewTableScorer(ctx, device, t)
	if err != nil {
		return ranker{}, err
	}
	return ranker{s, s.Close}, nil
}

// ranker opens the device that the options ask for, and puts the scores on it. A GPU takes seconds and memory: what else can go wrong comes first.
func (f *finished) ranker(ctx context.Context, of scores, stderr io.Writer) (r ranker, err error) {
	device, fallback, err := trainer.OpenDevice(f.line.Running, f.line.model)
	if err != nil {
		return r, err
	}
	if said := fallback.Said(); said != "" {
		fmt.Fprintln(stderr, "trainer:", said)
	}
	if made := trainer.DeviceOf(f.folder); made != "" && made != device.Name() {
		fmt.Fprintf(stderr, "trainer: the run was made on %s and ranks on %s: the last bits of its scores may differ\n", made, device.Name())
	}
	if r, err = of.open(ctx, device); err != nil {
		return r, errors.Join(trainer.Advised(err, trainer.RankOnCPU), device.Close())
	}
	free := r.close
	r.close = func() error { return errors.Join(free(), device.Close()) }
	return r, nil
}

// repeatable is the error of a command that keeps nothing: where a signal ended it, whatever it was at, it is to be run again.
func repeatable(name string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, trainer.ErrInterrupted) {
		return fmt.Errorf("%w: 'trainer %s' keeps nothing, run it again", trainer.ErrInterrupted, name)
	}
	return err
}

// help prints the command's own options.
func (f *finished) help(w io.Writer, about string) error {
	if _, err := fmt.Fprintf(w, "%s\n\n", about); err != nil {
		return err
	}
	return f.own.Help(w)
}

func isHelp(err error) bool { return errors.Is(err, flag.ErrHelp) }
