package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"

	"go.uber.org/zap/zapcore"

	"nearfar/trainer"
	"nearfar/trainer/dataset"
	"nearfar/trainer/option"
	"nearfar/trainer/runfolder"
)

// made is the run as it was made: its data and its job.
func (f *finished) made(ctx context.Context, stderr io.Writer) (data *dataset.Dataset, job trainer.Job, err error) {
	own, err := parse([]string{"-config", f.folder.File(runfolder.Config)}, nil)
	if err != nil {
		return nil, job, err
	}
	own.Threads = f.line.Threads
	job = trainer.Job{Options: own.Options, Name: own.spec.Name, Model: own.model, Folder: f.folder, Console: newConsole(stderr),
		Log: runfolder.NewConsoleLogger(stderr, zapcore.WarnLevel)}
	data, err = f.origin(ctx, own.Options, stderr)
	return data, job, err
}

// origin loads the data that the run was made on. It may have moved: what the command line names comes first, and is taken for it where it has the
// run's checksum; then the place where it was.
func (f *finished) origin(ctx context.Context, own trainer.Options, stderr io.Writer) (*dataset.Dataset, error) {
	want := trainer.MadeOn(f.folder)
	var other error // why what the command line names is not it
	if f.namesData() {
		moved := own
		moved.Data, moved.Format, moved.Columns, moved.Test, moved.Valid = f.line.Data, f.line.Format, f.line.Columns, f.line.Test, f.line.Valid
		data, err := f.load(ctx, moved, stderr)
		switch {
		case errors.Is(err, trainer.ErrInterrupted):
			return nil, err
		case err != nil:
			other = err
		case want == "":
			other = fmt.Errorf("the run keeps no checksum by which %s could be recognised", data.Path)
		case trainer.Checksum(data) != want:
			other = fmt.Errorf("%s has the checksum %s, the run's data has %s", data.Path, trainer.Checksum(data), want)
		default:
			return data, nil
		}
	}
	data, err := f.load(ctx, own, stderr)
	if err == nil && want != "" && trainer.Checksum(data) != want {
		err = fmt.Errorf("%s: the run was made on other data, or on another split of it, than %s is now", f.folder.Path(), data.Path)
	}
	switch {
	case err == nil:
		return data, nil
	case errors.Is(err, trainer.ErrInterrupted):
		return nil, err
	case other != nil:
		return nil, fmt.Errorf("the run's data: %w; what the command line names is not it: %w", err, other)
	}
	return nil, fmt.Errorf("the run's data: %w; -data says where it is now", err)
}

// data loads what the options name.
func (f *finished) data(ctx context.Context, stderr io.Writer) (*dataset.Dataset, error) {
	data, err := f.load(ctx, f.line.Options, stderr)
	if err == nil || errors.Is(err, trainer.ErrInterrupted) || f.namesData() {
		return data, err
	}
	return nil, fmt.Errorf("the run's data: %w; -data says where it is now", err)
}

// namesData tells whether the command line says what data is read, or how.
func (f *finished) namesData() bool {
	for _, o := range f.line.set.Options() {
		if o.Origin() == option.FromCommandLine && (o.Group == "Data" || o.Group == "Split") {
			return true
		}
	}
	return false
}

// readData is data that was read, and the options that say what it is.
type readData struct {
	by   trainer.Options
	data *dataset.Dataset
}

// load reads what options name, once: mostly the data that is ranked is the run's own.
func (f *finished) load(ctx context.Context, o trainer.Options, stderr io.Writer) (*dataset.Dataset, error) {
	by := o
	by.Evaluation, by.Running = trainer.Evaluation{Select: o.Select}, trainer.Running{} // the rest of them changes no data
	for _, r := range f.read {
		if reflect.DeepEqual(r.by, by) {
			return r.data, nil
		}
	}
	data, err := trainer.LoadData(ctx, o, f.line.model, newConsole(stderr))
	if err == nil {
		f.read = append(f.read, readData{by, data})
	}
	return data, err
}
