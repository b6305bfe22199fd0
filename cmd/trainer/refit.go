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
// (trainer.Refitted), and gives the run, which is locked, its embeddings. It goes on where an earlier call was interrupted.
func (c *commandLine) refit(ctx context.Context, s session, run *runfolder.Folder, res trainer.Result) (trainer.Result, error) {
	again, err := c.refitted(res)
	if err != nil {
		return res, err
	}
	path := run.File(trainer.Refitted)
	second, meta, tensors, err := again.ended(path)
	if err != nil {
		fmt.Fprintf(s.console, "refit on train and validation, %d epochs\n", res.Epoch)
		s.data, s.quiet = s.data.TrainOnValid(), true
		if _, err = again.within(ctx, s, path); err == nil {
			second, meta, tensors, err = again.ended(path)
		}
	}
	if errors.Is(err, trainer.ErrInterrupted) {
		return res, fmt.Errorf("%w at the refit: go on with -resume %s", trainer.ErrInterrupted, run.Path())
	} else if err != nil {
		return res, fmt.Errorf("refit: %w", err)
	}
	res.Refit = &trainer.Refit{Epochs: second.Epochs, Test: second.Test, TrainTime: second.TrainTime}
	res.WallTime += second.WallTime
	meta["refit"] = "trained on train and validation"
	if err := run.WriteSafetensors(runfolder.Embeddings, meta, tensors); err != nil {
		return res, err // without the result, which says that the embeddings are the refit's
	}
	return res, run.WriteResult(res)
}

// refitLater refits a run that ended before.
func (c *commandLine) refitLater(ctx context.Context, s session, path string, res trainer.Result) error {
	run, err := runfolder.Open(path)
	if err != nil {
		return err
	}
	if err := run.Lock(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	defer run.Unlock()
	_, err = c.refit(ctx, s, run, res)
	return err
}

// dropRefit removes the refit inside a run, which is locked, where it is of another result than the run has now: of another epoch, say, when the run
// was gone on with for longer. One that is of this result stays, for -refit to find.
func (c *commandLine) dropRefit(s session, run *runfolder.Folder, res trainer.Result) error {
	path := run.File(trainer.Refitted)
	if _, err := os.Stat(path); err != nil {
		return nil
	}
	again, err := c.refitted(res)
	if err != nil {
		return err
	}
	if again.begun(path) != nil {
		return nil
	}
	fmt.Fprintf(s.console, "%s was of another result than the run has now, and is removed\n", path)
	return runfolder.Discard(path)
}

// refitted is the command line of a run's refit.
func (c *commandLine) refitted(res trainer.Result) (*commandLine, error) {
	again, err := c.with(nil, c.Seed)
	if err != nil {
		return nil, err
	}
	again.Options = trainer.RefitOptions(again.Options, res.Epoch)
	_, err = again.resolved() // its paths are absolute then, as those of the file that it is compared with
	return again, err
}
