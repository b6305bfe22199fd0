package trainer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"nearfar/models"
	"nearfar/trainer/dataset"
	"nearfar/trainer/runfolder"
)

// finish puts the selected parameters back, reports on the test split, and exports.
func (r *run) finish(ctx context.Context, res *Result) error {
	steps := r.model.StepsPerEpoch()
	if r.train != nil {
		if r.unkept[runfolder.LastCheckpoint] != nil || r.unkept[runfolder.BestCheckpoint] != nil { // before the best parameters take the place of the last
			if err := r.save(); err != nil {
				return err
			}
		}
		res.Lost = r.position.Lost
		res.Epochs = int(r.position.Step) / steps
		res.Epoch = res.Epochs
		if r.position.BestEpoch > 0 {
			res.Epoch = r.position.BestEpoch
			if err := r.store.Restore(r.best, nil); err != nil {
				return err
			}
		}
	}
	for _, split := range []struct {
		name    string
		targets *dataset.Interactions
	}{{"valid", r.data.Valid}, {"test", r.data.Test}} {
		if split.targets.Len() == 0 {
			continue
		}
		report, err := r.rank(ctx, r.protocol(split.targets, true))
		if err != nil {
			return r.unreported(err)
		}
		if err := r.conclude(split.name, split.targets, report, res); err != nil {
			return err
		}
	}
	if res.Test == nil && res.Valid == nil {
		if err := r.scorer.refresh(ctx); err != nil {
			return r.unreported(err)
		}
	}
	res.TrainTime, res.WallTime = r.position.TrainTime, r.wallTime()
	return r.export(*res)
}

// export leaves what the model ranks by with its ids, and the result.
func (r *run) export(res Result) error {
	if r.Folder == nil {
		return nil
	}
	e, err := r.scorer.export()
	if err != nil {
		return err
	}
	if e.file != "" {
		r.keep(e.file, r.Folder.WriteSafetensors(e.file, map[string]string{"model": r.Name, "score": e.score}, e.tensors))
	}
	r.keep(runfolder.Users, r.Folder.WriteIDs(runfolder.Users, r.data.UserID))
	r.keep(runfolder.Items, r.Folder.WriteIDs(runfolder.Items, r.data.ItemID))
	for _, e := range r.store.Entries() {
		if models.IsAttributes(e.Name) {
			for _, p := range r.named(e.Name) {
				r.keep(p.file, r.Folder.WriteIDs(p.file, p.now))
			}
		}
	}
	r.keep(runfolder.PerUserFile, r.writePerUser())
	r.keep(runfolder.Result, r.Folder.WriteResult(res))
	r.syncMetrics()
	return nil
}

// unreported is the error of a run that has trained and could not be reported on. Its last checkpoint is complete, and not to be written
// again: the Store may hold the best epoch's parameters by now. A model that does not train has no checkpoint.
func (r *run) unreported(err error) error {
	switch {
	case r.Folder == nil || !errors.Is(err, context.Canceled):
		return err
	case r.train == nil:
		return fmt.Errorf("%w before the report of %s, of which nothing is kept: %s", ErrInterrupted, r.Name, r.anew())
	}
	return fmt.Errorf("%w after training, before the report: make it with -resume %s", ErrInterrupted, r.Folder.Path())
}

// anew says how to make a run again that has kept nothing but its folder, which no other run may have.
func (r *run) anew() string {
	if r.Folder == nil {
		return "start it anew"
	}
	return "start it anew with -resume " + r.Folder.Path()
}

// wallTime is in seconds, over all sessions of the run.
func (r *run) wallTime() float64 { return r.position.WallTime + time.Since(r.started).Seconds() }
