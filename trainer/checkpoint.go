package trainer

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"nearfar/engine"
	"nearfar/trainer/runfolder"
)

// lostBest is an epoch that was the best one and whose parameters no checkpoint holds any more. Patience goes on counting from it, so that the run ends
// where it would have ended; an epoch that is better still is then the one that would have been selected.
type lostBest struct {
	Epoch int     `json:"epoch"`
	Value float64 `json:"value"` // of the selection metric
}

// save writes the last checkpoint: the State entries and the position. Where the best one is not in the folder it comes first, so that no last
// checkpoint speaks of a best epoch that was not there when it was written. What cannot be written is kept for later: an error is the device's.
func (r *run) save() error {
	r.saved = time.Now()
	if r.Folder == nil {
		return nil
	}
	states, constants, err := r.store.Snapshot()
	if err != nil {
		return err
	}
	r.syncMetrics()
	if r.best != nil && (r.unkept[runfolder.BestCheckpoint] != nil || !r.Folder.Has(runfolder.BestCheckpoint)) {
		r.write(runfolder.BestCheckpoint, r.bestPosition, r.best, constants)
	}
	if r.write(runfolder.LastCheckpoint, r.position, states, constants) {
		r.onDisk = r.position.Step
	}
	return nil
}

// saveBest keeps the parameters and the position of now as the best, in memory and in the folder.
func (r *run) saveBest() error {
	states, constants, err := r.store.Snapshot()
	if err != nil {
		return err
	}
	r.best, r.bestPosition = states, r.position.clone()
	if r.Folder != nil {
		r.syncMetrics()
		r.write(runfolder.BestCheckpoint, r.position, states, constants)
	}
	return nil
}

// syncMetrics comes before a checkpoint: none on the disk is ahead of its metrics.
func (r *run) syncMetrics() {
	if r.metrics != nil {
		r.keep(runfolder.MetricsFile, r.metrics.Sync())
	}
}

func (r *run) write(file string, header position, states []engine.Saved, constants map[string]uint32) (ok bool) {
	header.Constants = constants
	header.WallTime = r.wallTime()
	if math.IsInf(header.Best, 0) {
		header.Best = 0 // JSON has no infinity; BestEpoch 0 says that there is none
	}
	entries := make([]runfolder.Entry, len(states))
	for i, s := range states {
		entries[i] = runfolder.Entry(s)
	}
	err := r.Folder.WriteCheckpoint(file, header, entries)
	r.keep(file, err)
	return err == nil
}

// clone is a position that goes on by itself.
func (p position) clone() position {
	p.Sums = slices.Clone(p.Sums)
	return p
}

// A saved is a checkpoint that was read, or why it cannot be used.
type saved struct {
	file string
	position
	states []engine.Saved
	err    error
}

func (s *saved) missing() bool { return errors.Is(s.err, fs.ErrNotExist) }

// damaged tells whether the file itself is at fault. One of a newer program, or one that the system cannot read now, is not: it may be whole.
func (s *saved) damaged() bool {
	return errors.Is(s.err, runfolder.ErrCorrupt) || errors.Is(s.err, runfolder.ErrTruncated) || errors.Is(s.err, runfolder.ErrFormat)
}

func (r *run) read(file string) *saved {
	s := &saved{file: file}
	var entries []runfolder.Entry
	if entries, s.err = r.Folder.ReadCheckpoint(file, &s.position); s.err != nil {
		return s
	}
	for _, e := range entries {
		s.states = append(s.states, engine.Saved(e))
	}
	if s.BestEpoch == 0 {
		s.Best = math.Inf(-1)
	}
	return s
}

// chosen are the checkpoints that a resumed run goes on from.
type chosen struct {
	at      *saved   // nil: the run was killed before its first
	best    *saved   // with the parameters of at's best epoch; nil where it has none, or they are lost
	damaged []*saved // to be set aside
	lost    bool     // at has a best epoch, and its parameters are nowhere
}

// ErrNoCheckpoint says that a run has checkpoints and all of them are damaged.
var ErrNoCheckpoint = errors.New("no checkpoint can be used")

// choose finds the most advanced whole checkpoint. The best one is newer than the last where the run was killed between the two. Where the best
// epoch's parameters are lost, and the previous checkpoint is of before that epoch, it is the one to go on from: the epoch is trained again, to
// the same bits.
func (r *run) choose() (c chosen, err error) {
	steps := uint64(r.model.StepsPerEpoch())
	last, best := r.read(runfolder.LastCheckpoint), r.read(runfolder.BestCheckpoint)
	previous := &saved{file: runfolder.PreviousCheckpoint, err: fs.ErrNotExist}
	if last.err != nil || best.err != nil || best.BestEpoch != last.BestEpoch {
		previous = r.read(runfolder.PreviousCheckpoint)
	}
	var reasons []string
	for _, s := range []*saved{last, previous, best} {
		if s.err == nil && (c.at == nil || s.Step > c.at.Step) {
			c.at = s
		}
		switch {
		case s.err == nil || s.missing():
		case s.damaged():
			c.damaged = append(c.damaged, s)
			reasons = append(reasons, s.err.Error())
		default:
			return c, fmt.Errorf("%w: it is left as it is; where it cannot be made readable, move it away, and the run goes on from another checkpoint", s.err)
		}
	}
	switch {
	case c.at == nil && len(c.damaged) == 0:
		return c, nil
	case c.at == nil:
		return c, fmt.Errorf("%s: %w: %s; make the run again with -config %s and another -out", r.Folder.Path(), ErrNoCheckpoint,
			strings.Join(reasons, "; "), r.Folder.File(runfolder.Config))
	case last.missing() && !previous.missing():
		r.Log.Warn(fmt.Sprintf("%s is missing", r.Folder.File(runfolder.LastCheckpoint)))
	}
	if c.at.BestEpoch == 0 {
		return c, nil
	}
	switch {
	case best.err == nil && best.BestEpoch == c.at.BestEpoch:
		c.best = best
		return c, nil
	case c.at.Step == uint64(c.at.BestEpoch)*steps: // it is the best epoch's own
		c.best = c.at
		return c, nil
	}
	if best.missing() {
		r.Log.Warn(fmt.Sprintf("%s is missing", r.Folder.File(runfolder.BestCheckpoint)))
	}
	if previous.err == nil && previous.BestEpoch < c.at.BestEpoch {
		c.at = previous
	}
	c.lost = c.at.BestEpoch > 0
	return c, nil
}

// resume puts back what the folder's checkpoints hold and drops the metrics that came after them. Without a checkpoint the run begins anew.
func (r *run) resume() error {
	if n, err := r.Folder.RemoveTemporaries(); err != nil || n > 0 {
		r.Log.Info("unfinished files of a killed process are removed", zap.Int("files", n), zap.Error(err))
	}
	c, err := r.choose()
	if err != nil {
		return err
	}
	done := 0
	if c.at == nil {
		if r.train != nil {
			r.Log.Info(fmt.Sprintf("%s has no checkpoint: the run was ended before its first, and starts from the beginning", r.Folder.Path()))
		}
		if err := r.warmStart(); err != nil {
			return err
		}
	} else {
		if err := r.goOn(c); err != nil {
			return err
		}
		done = int(r.position.Step) / r.model.StepsPerEpoch()
	}
	err = r.Folder.KeepMetrics(func(event map[string]any) bool {
		var epoch int
		_, err := fmt.Sscan(fmt.Sprint(event["epoch"]), &epoch)
		return err == nil && epoch <= done && (event["event"] != "evaluate" || epoch <= r.position.Evaluated)
	})
	switch {
	case err == nil || errors.Is(err, fs.ErrNotExist):
	case errors.Is(err, runfolder.ErrCorrupt):
		r.Log.Warn(fmt.Sprintf("%v: it is set aside as %s.damaged, with the metrics of the epochs so far", err, runfolder.MetricsFile))
		if err := r.Folder.SetAside(runfolder.MetricsFile); err != nil {
			return err
		}
	default:
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

// goOn makes the chosen checkpoint the run's state.
func (r *run) goOn(c chosen) error {
	at, file := c.at.position, r.Folder.File(c.at.file)
	if at.Data != r.position.Data {
		return fmt.Errorf("%s: the run was made on other data, or on another split of it, than %s is now", r.Folder.Path(), r.data.Path)
	}
	steps := uint64(r.model.StepsPerEpoch())
	total := steps * uint64(r.Options.Epochs)
	switch {
	case at.Step > total:
		return fmt.Errorf("-epochs %d: %s is at epoch %d already: leave -epochs out to report on it, or give more to go on", r.Options.Epochs, r.Folder.Path(), (at.Step+steps-1)/steps)
	case r.RateIsNew && (at.Step == total || r.exhausted(at)):
		return fmt.Errorf("-lr %g: %s has ended, and no epoch is left to train with it: give more -epochs or -patience with it, or leave it out", r.Options.LR, r.Folder.Path())
	case r.train == nil || len(at.Sums) != len(r.position.Sums):
		return fmt.Errorf("%s reports %d losses, this model %d: is it of another configuration?", file, len(at.Sums), len(r.position.Sums))
	}
	if err := r.store.Restore(c.at.states, at.Constants); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	for _, s := range c.damaged {
		r.Log.Warn(fmt.Sprintf("%v: it is not used, and set aside as %s.damaged", s.err, s.file))
		if err := r.Folder.SetAside(s.file); err != nil {
			return err
		}
	}
	if c.at.file != runfolder.LastCheckpoint {
		r.Log.Info(fmt.Sprintf("the run goes on from %s, step %d", file, at.Step))
	}
	if at.Device != r.position.Device {
		r.Log.Warn(fmt.Sprintf("the run was made on %s and goes on on %s: the last bits may differ", at.Device, r.position.Device))
	}
	at.Device = r.position.Device
	if c.lost {
		r.Log.Warn(fmt.Sprintf("the parameters of the best epoch so far, %d with %s %.4f, are lost: the run goes on and selects among the epochs from here; "+
			"its result says so unless one of them is better still. To have them again, make the run again with -config %s and another -out",
			at.BestEpoch, r.Options.Metric, at.Best, r.Folder.File(runfolder.Config)))
		if at.Lost == nil || at.Best > at.Lost.Value {
			at.Lost = &lostBest{at.BestEpoch, at.Best}
		}
		at.Best, at.BestEpoch = math.Inf(-1), 0
		if at.Step%steps == 0 && at.Evaluated == int(at.Step/steps) { // what is there is the first candidate
			if at.Evaluated > r.Options.Warmup && at.Worse > 0 { // it has counted, and will again
				at.Worse--
			}
			at.Evaluated--
		}
	}
	if c.best != nil {
		r.best, r.bestPosition = c.best.states, c.best.position.clone()
	}
	r.position, r.onDisk = at, at.Step
	return nil
}
