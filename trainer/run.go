// Package trainer drives models: it loads data, builds the programs, runs epochs, evaluates by full ranking, selects, and leaves a run
// on disk.
package trainer

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"go.uber.org/zap"

	"nearfar/engine"
	"nearfar/kernels"
	"nearfar/models"
	"nearfar/trainer/dataset"
	"nearfar/trainer/evaluate"
	"nearfar/trainer/progress"
	"nearfar/trainer/runfolder"
)

// Job is one training run: what to train, on what, and where to leave it.
type Job struct {
	Options Options
	Name    string         // of the model
	Model   models.Options // its options
	Config  []byte         // the resolved configuration, which a resumed run leaves in its folder
	Console *progress.Console
	Log     *zap.Logger
	// Folder receives the run; nil leaves nothing on disk.
	Folder *runfolder.Folder
	// OnStep, where not nil, is called after every step with the next step's number.
	OnStep func(next uint64)
	// Resume continues from the folder's last checkpoint, to the same bits as a run that was never interrupted.
	Resume bool
	// RateIsNew says that a resumed run is given another learning rate than it had: it is an error where no epoch is left to train with it.
	RateIsNew bool
}

// Result is what a run found.
type Result struct {
	Model string `json:"model"`
	Data  string `json:"data"`
	// Checksum is the data's, as the data report prints it: results of one checksum are of the same interactions.
	Checksum string    `json:"data_checksum"`
	Seed     uint64    `json:"seed"`
	Device   string    `json:"device"`
	Select   Selection `json:"select"`
	Epoch    int       `json:"epoch"`  // whose parameters are reported
	Epochs   int       `json:"epochs"` // that were run
	// Lost is an epoch that was better than the reported one, whose checkpoint was damaged.
	Lost      *lostBest          `json:"lost_best,omitempty"`
	Valid     map[string]float64 `json:"valid,omitempty"`
	Test      map[string]float64 `json:"test,omitempty"`
	TestUsers int                `json:"test_users,omitempty"`
	Groups    *evaluate.Groups   `json:"groups,omitempty"` // of the test split, of validation where there is none
	TrainTime float64            `json:"train_seconds"`    // in training steps alone
	WallTime  float64            `json:"wall_seconds"`     // with evaluation, and over all sessions of a resumed run, as train_seconds is
	Refit     *Refit             `json:"refit,omitempty"`
}

// run is a job under way.
type run struct {
	Job
	data    *dataset.Dataset
	model   models.Model
	store   *engine.Store
	train   *engine.Program // nil for a model that does not train
	scorer  scorer
	metrics *runfolder.Metrics
	work    *progress.Work
	started time.Time

	perUser      *runfolder.PerUser // of the test split, once it is reported
	position     position
	losses       string         // of the last epoch, for its line
	best         []engine.Saved // the State entries of the best epoch, and where the run stood
	bestPosition position
	saved        time.Time           // when a checkpoint was last tried
	onDisk       uint64              // the step of the last checkpoint; 0: there is none, or of no step
	unkept       map[string]*failure // by file
	restored     int                 // how often the folder was made again
}

// position is where a run stands: with the State entries of its Store, all that a checkpoint needs.
type position struct {
	Step      uint64    `json:"step"`       // the next step
	Sums      []float64 `json:"sums"`       // of the scalars of the epoch under way
	Best      float64   `json:"best"`       // value of the selection metric
	BestEpoch int       `json:"best_epoch"` // 0: none yet
	Worse     int       `json:"worse"`      // evaluations since, after the warm-up
	Evaluated int       `json:"evaluated"`  // the last epoch that was evaluated
	Lost      *lostBest `json:"lost_best,omitempty"`
	Device    string    `json:"device"`
	TrainTime float64   `json:"train_seconds"`
	WallTime  float64   `json:"wall_seconds"` // of the sessions before this one
	// Constants are checksums of what is rebuilt from the data, so that a resume on other data is noticed.
	Constants map[string]uint32 `json:"constants"`
	Data      uint32            `json:"data"` // checksum of the data set: not every model has a constant that shows another one
}

// Run trains. Where the context ends it writes a checkpoint and returns ErrInterrupted with what there is. ErrUnkept: the result is whole, the folder
// is not.
func (j Job) Run(ctx context.Context, data *dataset.Dataset, device engine.Device) (Result, error) {
	r := &run{Job: j, data: data, started: time.Now(), saved: time.Now(), unkept: map[string]*failure{}}
	res := Result{Model: j.Name, Data: data.Name, Seed: j.Options.Seed, Device: device.Name(), Select: j.Options.Select}
	defer r.close()
	if err := r.build(ctx, device); err != nil {
		return res, notStarted{Advised(err, TrainSmaller)}
	}
	res.Checksum = checksum(r.position.Data)
	if j.Resume {
		if err := r.resume(); err != nil {
			return res, err
		}
	} else if err := r.warmStart(); err != nil {
		return res, notStarted{err}
	}
	if err := r.loop(ctx); err != nil {
		var wrong *engine.NonFiniteError
		if errors.As(err, &wrong) && r.position.Step == 0 && !j.Resume { // no step can be made with these options
			err = notStarted{err}
		}
		return res, err
	}
	if err := r.finish(ctx, &res); err != nil {
		if errors.Is(err, engine.ErrDeviceLost) {
			err = r.lost(err)
		}
		return res, err
	}
	return res, r.unwritten()
}

// ErrNotStarted says that a run could not begin with these options and this data: its folder has nothing that was trained.
var ErrNotStarted = errors.New("the run has not started")

type notStarted struct{ error }

func (e notStarted) Is(target error) bool { return target == ErrNotStarted }
func (e notStarted) Unwrap() error        { return e.error }

// build makes the model's programs over one Store.
func (r *run) build(ctx context.Context, device engine.Device) (err error) {
	if err := r.Options.Check(); err != nil {
		return err
	}
	if r.model, err = NewModel(ctx, r.Model, r.data, r.Options, r.Console); err != nil {
		return fmt.Errorf("%s: %w", r.Name, err)
	}
	if d, ok := r.model.(models.Describer); ok {
		text, err := d.Describe()
		if err != nil {
			return err
		}
		r.Log.Info(text)
	}
	if n := r.Options.Candidates; n > 0 {
		r.Log.Warn(fmt.Sprintf(sampledWarning, n))
	}
	if text := r.maskedTargets(); text != "" {
		r.Log.Warn(text)
	}
	r.store = NewStore(device, r.Options)
	r.position.Device = device.Name()
	r.position.Best = math.Inf(-1)
	r.position.Data = r.data.Checksum()
	if r.model.StepsPerEpoch() > 0 && r.Options.Epochs > 0 {
		if r.train, err = BuildTraining(r.store, r.model, r.Options); err != nil {
			return fmt.Errorf("%s: %w", r.Name, err)
		}
		r.position.Sums = make([]float64, len(r.train.Scalars))
	}
	if r.scorer, err = newScorer(r.store, r.model, r.data.Train, r.Options.Threads); err != nil {
		return fmt.Errorf("%s: %w", r.Name, err)
	}
	if r.Folder != nil && !r.Resume { // a resume first drops what came after its checkpoint
		r.metrics, err = r.Folder.OpenMetrics()
	}
	return err
}

// NewStore is where a run's parameters live.
func NewStore(device engine.Device, o Options) *engine.Store {
	store := engine.NewStore(device, kernels.Float32, o.Seed)
	store.Half = o.Precision == half
	return store
}

// BuildTraining compiles a model's training step.
func BuildTraining(store *engine.Store, m models.Model, o Options) (*engine.Program, error) {
	rule, err := o.optimiser()
	if err != nil {
		return nil, err
	}
	return engine.Build(store, func(b *engine.Builder) engine.Step { return engine.Optimise(b, m.Train(b), rule) })
}

func (r *run) close() {
	if r.train != nil {
		r.train.Close()
	}
	if r.scorer != nil {
		r.scorer.close()
	}
	if r.metrics != nil {
		r.metrics.Close()
	}
	if r.store != nil {
		r.store.Close()
	}
}

// loop runs epochs until the last one, or until patience ends.
func (r *run) loop(ctx context.Context) error {
	if r.train == nil {
		return r.fit(ctx)
	}
	steps := uint64(r.model.StepsPerEpoch())
	total := steps * uint64(r.Options.Epochs)
	r.work = r.Console.Start(int(total-r.position.Step), fmt.Sprintf("training %s", r.Name))
	defer r.work.Done()
	for {
		if epoch := int(r.position.Step / steps); r.due(epoch, r.position.Step%steps == 0) {
			if err := r.evaluateEpoch(ctx, epoch); err != nil {
				return r.interrupted(err)
			}
			if err := r.save(); err != nil {
				return r.lost(err)
			}
		}
		if r.position.Step >= total {
			return nil
		}
		if r.exhausted(r.position) {
			r.Log.Info(fmt.Sprintf("training ends: no better epoch than %d in %d evaluations (-patience %d)", r.position.BestEpoch, r.position.Worse, r.Options.Patience))
			return nil
		}
		if err := r.epoch(ctx, int(steps-r.position.Step%steps)); err != nil {
			return r.interrupted(err)
		}
		r.endEpoch(int(r.position.Step/steps), int(steps))
		if r.periodic() {
			if err := r.save(); err != nil {
				return r.lost(err)
			}
		}
	}
}

// due tells whether an epoch that has ended is to be evaluated and has not been.
func (r *run) due(epoch int, ended bool) bool {
	return ended && epoch > r.position.Evaluated && (epoch%r.Options.EvalEvery == 0 || epoch == r.Options.Epochs)
}

// periodic tells whether -checkpoint-every has passed.
func (r *run) periodic() bool {
	return r.Options.CheckpointEvery > 0 && time.Since(r.saved) >= r.Options.CheckpointEvery
}

// epoch runs the steps that are left of an epoch. The checkpoint behind its last step is the caller's: the epoch's losses come first.
func (r *run) epoch(ctx context.Context, left int) error {
	start, before := time.Now(), r.position.TrainTime
	trained := func() { r.position.TrainTime = before + time.Since(start).Seconds() }
	last := r.position.Step + uint64(left)
	var unsaved error
	err := r.train.Run(ctx, r.position.Step, left, func(t uint64, scalars []float64) {
		for i, v := range scalars {
			r.position.Sums[i] += v
		}
		r.position.Step = t + 1
		r.work.Step(1)
		if r.OnStep != nil {
			r.OnStep(t + 1)
		}
		if t+1 < last && unsaved == nil && r.periodic() {
			trained()
			begin := time.Now()
			unsaved = r.save()
			start = start.Add(time.Since(begin)) // the time of training steps alone
		}
	})
	trained()
	return errors.Join(err, unsaved)
}

// endEpoch reports the epoch's mean losses.
func (r *run) endEpoch(epoch, steps int) {
	event := map[string]any{"event": "epoch", "epoch": epoch, "train_seconds": r.position.TrainTime}
	text := ""
	for i, name := range r.train.Scalars {
		mean := r.position.Sums[i] / float64(steps)
		r.position.Sums[i] = 0
		event[name] = mean
		text += fmt.Sprintf("  %s %.4f", name, mean)
	}
	r.record(event)
	r.losses = text
}

func (r *run) record(event map[string]any) {
	if r.metrics == nil {
		return
	}
	r.keep(runfolder.MetricsFile, r.metrics.Append(event))
}

// exhausted tells whether patience has ended.
func (r *run) exhausted(at position) bool {
	return r.Options.Patience > 0 && at.Worse >= r.Options.Patience
}

// targets are the interactions that select an epoch.
func (r *run) targets() (split string, targets *dataset.Interactions) {
	if r.Options.Select == SelectValid {
		return "valid", r.data.Valid
	}
	return "test", r.data.Test
}

// rank evaluates the parameters of now.
func (r *run) rank(ctx context.Context, p evaluate.Protocol) (*evaluate.Report, error) {
	if err := r.scorer.refresh(ctx); err != nil {
		return nil, err
	}
	return evaluate.Rank(ctx, r.scorer, p)
}

// evaluateEpoch ranks, measures the embeddings' geometry, and keeps the best epoch.
func (r *run) evaluateEpoch(ctx context.Context, epoch int) error {
	split, targets := r.targets()
	if targets.Len() == 0 {
		r.position.Evaluated = epoch
		return nil
	}
	report, err := r.rank(ctx, r.protocol(targets, false))
	if err != nil {
		return err
	}
	event := map[string]any{"event": "evaluate", "epoch": epoch, "split": split}
	for _, m := range report.Metrics {
		event[m.Name] = m.Value
	}
	geometry, err := r.geometry()
	if err != nil {
		return err
	}
	for name, v := range geometry {
		event[name] = v
	}
	r.record(event)
	metric := r.Options.SelectionMetric()
	value, _ := report.Value(metric)
	r.position.Evaluated = epoch
	mark := ""
	switch {
	case r.Options.Select == SelectLast:
	case value > r.position.Best:
		mark = "  best"
		r.position.Best, r.position.BestEpoch = value, epoch
		switch lost := r.position.Lost; {
		case lost == nil || value > lost.Value:
			r.position.Lost, r.position.Worse = nil, 0
		case epoch > r.Options.Warmup:
			r.position.Worse++
		}
		if err := r.saveBest(); err != nil {
			return err
		}
	case epoch > r.Options.Warmup:
		r.position.Worse++
	}
	r.work.Message(fmt.Sprintf("epoch %d%s  %s %s %.4f%s", epoch, r.losses, split, metric, value, mark))
	return nil
}

// geometry measures the embeddings that rank; nothing where there are none, or one user or one item, which have no pairs.
func (r *run) geometry() (map[string]float64, error) {
	tables, ok := r.scorer.(*tableScorer)
	if !ok {
		return nil, nil
	}
	users, items, err := tables.read()
	if err != nil {
		return nil, err
	}
	if users.N < 2 || items.N < 2 {
		return nil, nil
	}
	g, err := evaluate.Measure(users, items, r.data.Train, r.Options.Seed)
	return map[string]float64{"alignment": g.Alignment, "user_uniformity": g.UserUniformity, "item_uniformity": g.ItemUniformity,
		"user_mean_cosine": g.UserCosine, "item_mean_cosine": g.ItemCosine}, err
}
