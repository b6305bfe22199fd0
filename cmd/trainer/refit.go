package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"nearfar/trainer"
	"nearfar/trainer/runfolder"
)

// refit trains what a run has selected anew on train and validation together, for as many epochs, in an ordinary run's folder inside the run's
// (trainer.Refitted), and gives the run its embeddings. It goes on where an earlier call was interrupted.
func (c *commandLine) refit(ctx context.Context, s session, run *runfolder.Folder, res trainer.Result) (trainer.Result, error) {
	again, err := c.with(nil, c.Seed)
	if err != nil {
		return res, err
	}
	again.Options = trainer.RefitOptions(again.Options, res.Epoch)
	config, err := again.resolved()
	if err != nil {
		return res, err
	}
	path := run.File(trainer.Refitted)
	folder, resume, err := again.reopen(path, config)
	if err != nil {
		return res, err
	}
	var second trainer.Result
	if folder.Has(runfolder.Result) {
		err = folder.ReadResult(&second)
	} else {
		fmt.Fprintf(s.console, "refit on train and validation, %d epochs\n", res.Epoch)
		s.data, s.quiet = s.data.TrainOnValid(), true
		second, err = again.run(ctx, s, folder, config, resume)
	}
	if errors.Is(err, trainer.ErrInterrupted) {
		return res, fmt.Errorf("%w at the refit: go on with -resume %s", trainer.ErrInterrupted, run.Path())
	} else if err != nil {
		return res, fmt.Errorf("refit: %w", err)
	}
	res.Refit = &trainer.Refit{Epochs: second.Epochs, Test: second.Test, TrainTime: second.TrainTime}
	res.WallTime += second.WallTime
	_, tensors, err := runfolder.ReadSafetensors(folder.File(runfolder.Embeddings))
	if err != nil {
		return res, err
	}
	meta := map[string]string{"model": c.spec.Name, "refit": "trained on train and validation", "score": "inner product of a row of users and a row of items; ids in users.txt and items.txt"}
	return res, errors.Join(runfolder.WriteSafetensors(run.File(runfolder.Embeddings), meta, tensors), run.WriteResult(res))
}

// reopen finds the run that was begun in a folder with these options and tells whether it has a checkpoint to go on from. What is there of
// other options, or was killed before its first checkpoint, is begun anew: nothing of it would be used.
func (c *commandLine) reopen(path string, config []byte) (folder *runfolder.Folder, resume bool, err error) {
	if folder, err := runfolder.Open(path); err == nil {
		changed, _, err := c.changedSince(folder.File(runfolder.Config), c.Data == "", []string{"threads", "gpu", "require-gpu", "checkpoint-every", "data", "valid", "out", "config", "resume"})
		if err == nil && changed == nil && (folder.Has(runfolder.Result) || folder.Has(runfolder.LastCheckpoint) || folder.Has(runfolder.PreviousCheckpoint)) {
			return folder, true, nil
		}
	}
	folder, err = begin(path, config)
	return folder, false, err
}

// begin makes a run in a folder of its own; what is there is removed.
func begin(path string, config []byte) (*runfolder.Folder, error) {
	if err := os.RemoveAll(path); err != nil {
		return nil, fmt.Errorf("run folder: %w", err)
	}
	return runfolder.Create(path, config)
}
