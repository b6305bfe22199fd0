package trainer

import (
	"context"
	"errors"
	"fmt"

	"nearfar/engine"
	"nearfar/trainer/runfolder"
)

// interrupted saves what there is before an error ends the run: the parameters are those before the step that failed.
func (r *run) interrupted(err error) error {
	if saved := r.save(); saved != nil {
		if !errors.Is(err, engine.ErrDeviceLost) { // the interruption of a user, while the device fails
			err = errors.Join(err, saved)
		}
		return r.lost(err)
	}
	switch {
	case r.Folder == nil:
		return err
	case r.unkept[runfolder.LastCheckpoint] != nil:
		from := "has to start anew"
		if r.onDisk > 0 {
			from = fmt.Sprintf("goes on from step %d with -resume %s", r.onDisk, r.Folder.Path())
		}
		return fmt.Errorf("interrupted at step %d, which %w: the run %s: %w", r.position.Step, ErrUnkept, from, r.unkept[runfolder.LastCheckpoint].err)
	case r.unkept[runfolder.BestCheckpoint] != nil:
		return fmt.Errorf("interrupted at step %d; the best epoch, %d, %w: -resume %s goes on without it: %w", r.position.Step, r.position.BestEpoch, ErrUnkept,
			r.Folder.Path(), r.unkept[runfolder.BestCheckpoint].err)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%w at step %d: go on with -resume %s", ErrInterrupted, r.position.Step, r.Folder.Path())
	}
	return err
}

// lost is the error of a device that has failed: what it held cannot be read any more, and the run goes on from what is on the disk.
func (r *run) lost(err error) error {
	if r.Folder == nil {
		return err
	}
	from := "from the start, since no checkpoint had been written"
	if r.onDisk > 0 {
		from = fmt.Sprintf("from step %d, its last checkpoint", r.onDisk)
	}
	return fmt.Errorf("%w\nthe run is not lost: -resume %s goes on %s", err, r.Folder.Path(), from)
}

// ErrInterrupted says that a run was ended from outside and is saved.
var ErrInterrupted = errors.New("interrupted")
