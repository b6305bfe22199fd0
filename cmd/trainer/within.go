package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"nearfar/trainer"
	"nearfar/trainer/runfolder"
)

// within trains a run in a folder of its own inside another: a trial's in its sweep's, a refit in its run's. It begins there, or goes on with what was
// begun with these options. Damaged checkpoints cost their time, and change nothing else: a run without one to go on from, or that has lost its best
// epoch, begins anew and ends with the same bits.
func (c *commandLine) within(ctx context.Context, s session, path string) (trainer.Result, error) {
	config, err := c.resolved()
	if err != nil {
		return trainer.Result{}, err
	}
	folder, resume, err := c.reopen(path, config)
	if err != nil {
		return trainer.Result{}, err
	}
	res, err := c.run(ctx, s, folder, config, resume)
	if lost := err == nil && res.Lost != nil; resume && (lost || errors.Is(err, trainer.ErrNoCheckpoint)) {
		why := "the parameters of its best epoch are lost"
		if !lost {
			why = err.Error()
		}
		fmt.Fprintf(s.console, "%s begins anew: %s\n", filepath.Base(path), why)
		if folder, err = runfolder.Renew(path, config); err != nil {
			return trainer.Result{}, err
		}
		res, err = c.run(ctx, s, folder, config, false)
	}
	if errors.Is(err, trainer.ErrUnkept) { // a result says that a run is whole: this one lacks something, which going on gives it
		os.Remove(folder.File(runfolder.Result))
	}
	return res, err
}

// reopen finds the run that was begun in a folder with these options and has a checkpoint to go on from. What is there of other options, or was
// killed before its first checkpoint, is begun anew: nothing of it would be used.
func (c *commandLine) reopen(path string, config []byte) (folder *runfolder.Folder, resume bool, err error) {
	if folder := c.begun(path); folder != nil && (folder.Has(runfolder.LastCheckpoint) || folder.Has(runfolder.PreviousCheckpoint)) {
		return folder, true, nil
	}
	folder, err = runfolder.Renew(path, config)
	return folder, false, err
}

// begun opens the run that was begun in a folder with these options; nil where there is none.
func (c *commandLine) begun(path string) *runfolder.Folder {
	folder, err := runfolder.Open(path)
	if err != nil {
		return nil
	}
	changed, _, err := c.changedSince(folder.File(runfolder.Config), c.Data == "", renewableTrial)
	if err != nil || changed != nil {
		return nil
	}
	return folder
}

// ended reads what a run of these options has left in a folder; an error where it has not come to its end, or has lost part of it.
func (c *commandLine) ended(path string) (res trainer.Result, meta map[string]string, tensors []runfolder.Entry, err error) {
	folder := c.begun(path)
	if folder == nil {
		return res, nil, nil, fmt.Errorf("%s is no run of these options", path)
	}
	if err := folder.ReadResult(&res); err != nil {
		return res, nil, nil, err
	}
	meta, tensors, err = runfolder.ReadSafetensors(folder.File(runfolder.Embeddings))
	return res, meta, tensors, err
}
