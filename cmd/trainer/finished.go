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
			return misused("-%s says how a model is trained: 'trainer %s' takes it from the run", o.Name, f.name)
		}
	}
	return nil
}

// device opens the device that the options ask for.
func (f *finished) device(stderr io.Writer) (engine.Device, error) {
	device, fallback, err := trainer.OpenDevice(f.line.GPU, f.line.RequireGPU, f.line.Threads)
	if said := fallback.Said(); err == nil && said != "" {
		fmt.Fprintln(stderr, "trainer:", said)
	}
	return device, err
}

// ranker is what a finished run scores by, over users and items of these ids.
type ranker struct {
	trainer.HistoryScorer
	userID, itemID []string
	close          func() error
}

// ranker opens the run's scores: those of the tables that it exported, of one of its checkpoints ("best", "last"), or of a model without either, which
// is fitted again on the run's data.
func (f *finished) ranker(ctx context.Context, which string, device engine.Device, stderr io.Writer) (r ranker, err error) {
	var t trainer.Tables
	switch {
	case which != exported:
		t, err = f.checkpoint(ctx, which, device, stderr)
	case f.fits():
		return f.fit(ctx, device, stderr)
	default:
		t, err = trainer.ReadTables(f.folder)
	}
	if err != nil {
		return r, err
	}
	s, err := trainer.NewTableScorer(ctx, device, t)
	if err != nil {
		return r, err
	}
	return ranker{s, t.UserID, t.ItemID, s.Close}, nil
}

// fits tells whether the run's model is one that is fitted at once and keeps no embeddings.
func (f *finished) fits() bool {
	return f.folder.Has(runfolder.Result) && !f.folder.Has(runfolder.Embeddings)
}

func (f *finished) fit(ctx context.Context, device engine.Device, stderr io.Writer) (r ranker, err error) {
	data, job, err := f.made(ctx, stderr)
	if err != nil {
		return r, err
	}
	s, err := job.Fit(ctx, data, device)
	return ranker{s, data.UserID, data.ItemID, func() error { return nil }}, err
}

// checkpoint computes the tables of the run's checkpoint "best" or "last", from the data that it was made on.
func (f *finished) checkpoint(ctx context.Context, which string, device engine.Device, stderr io.Writer) (trainer.Tables, error) {
	file := map[string]string{"best": runfolder.BestCheckpoint, "last": runfolder.LastCheckpoint}[which]
	if !f.folder.Has(file) {
		return trainer.Tables{}, fmt.Errorf("%s has no %s", f.folder.Path(), file)
	}
	data, job, err := f.made(ctx, stderr)
	if err != nil {
		return trainer.Tables{}, err
	}
	return job.CheckpointTables(ctx, data, device, file)
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
