package trainer

import (
	"errors"
	"fmt"
	"io/fs"
	"math"

	"nearfar/engine"
	"nearfar/trainer/runfolder"
)

// checkpoint writes the State entries and the position.
func (r *run) checkpoint(file string) error {
	if r.Folder == nil {
		return nil
	}
	states, constants, err := r.store.Snapshot()
	if err != nil {
		return err
	}
	header := r.position
	header.Constants = constants
	header.WallTime = r.wallTime()
	if math.IsInf(header.Best, 0) {
		header.Best = 0 // JSON has no infinity; BestEpoch 0 says that there is none
	}
	entries := make([]runfolder.Entry, len(states))
	for i, s := range states {
		entries[i] = runfolder.Entry(s)
	}
	return runfolder.WriteCheckpoint(r.Folder.File(file), header, entries)
}

// resume puts back what the folder's checkpoints hold and drops the metrics that came after them.
func (r *run) resume() error {
	last, states, err := r.readCheckpoint(runfolder.LastCheckpoint)
	if err != nil {
		return err
	}
	if len(last.Sums) != len(r.position.Sums) {
		return fmt.Errorf("%s reports %d losses, this model %d: is it of another configuration?", r.Folder.File(runfolder.LastCheckpoint), len(last.Sums), len(r.position.Sums))
	}
	if last.Data != r.position.Data {
		return fmt.Errorf("%s: the run was made on other data, or on another split of it, than %s is now", r.Folder.Path(), r.data.Path)
	}
	if err := r.store.Restore(states, last.Constants); err != nil {
		return fmt.Errorf("%s: %w", r.Folder.File(runfolder.LastCheckpoint), err)
	}
	if last.BestEpoch == 0 {
		last.Best = math.Inf(-1)
	} else {
		best, states, err := r.readCheckpoint(runfolder.BestCheckpoint)
		if err != nil {
			return err
		}
		// A kill between the two files leaves one older than the other: the best epoch is the one whose parameters are there.
		r.best, last.Best, last.BestEpoch = states, best.Best, best.BestEpoch
	}
	if last.Device != r.position.Device {
		r.Log.Warn(fmt.Sprintf("the run was made on %s and goes on on %s: the last bits may differ", last.Device, r.position.Device))
	}
	last.Device = r.position.Device
	r.position = last
	done := int(last.Step) / r.model.StepsPerEpoch()
	err = r.Folder.KeepMetrics(func(event map[string]any) bool {
		var epoch int
		_, err := fmt.Sscan(fmt.Sprint(event["epoch"]), &epoch)
		return err == nil && epoch <= done && (event["event"] != "evaluate" || epoch <= last.Evaluated)
	})
	if err != nil {
		return err
	}
	if len(r.Config) > 0 { // a second interruption goes on with the options of this one
		if err := r.Folder.WriteConfig(r.Config); err != nil {
			return err
		}
	}
	r.metrics, err = r.Folder.OpenMetrics()
	return err
}

func (r *run) readCheckpoint(file string) (p position, states []engine.Saved, err error) {
	entries, err := runfolder.ReadCheckpoint(r.Folder.File(file), &p)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil, fmt.Errorf("%s has no %s: the run ended before its first evaluation, or its model does not train; start it anew", r.Folder.Path(), file)
	}
	for _, e := range entries {
		states = append(states, engine.Saved(e))
	}
	return p, states, err
}
