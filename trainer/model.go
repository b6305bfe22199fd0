package trainer

import (
	"context"
	"errors"
	"fmt"

	"nearfar/models"
	"nearfar/trainer/dataset"
	"nearfar/trainer/progress"
)

// NewModel makes a model of the data, and has it prepare what it needs of that. The console, where not nil, shows how far it is.
func NewModel(ctx context.Context, of models.Options, data *dataset.Dataset, o Options, console *progress.Console) (models.Model, error) {
	rule, err := o.optimiser()
	if err != nil {
		return nil, err
	}
	m, err := of.New(models.Data{Train: data.Train, Seed: o.Seed, UserFields: data.UserFields, ItemFields: data.ItemFields, ItemFeatures: data.ItemFeatures,
		StateBytes: rule.StateBytes()})
	if err != nil {
		return nil, err
	}
	p, ok := m.(models.Preparer)
	if !ok {
		return m, nil
	}
	shown := counting{console: console, label: "preparing the model"}
	defer shown.close()
	how, err := fitting(o.Threads, shown.step)
	if err != nil {
		return nil, err
	}
	if err := p.Prepare(ctx, how); errors.Is(err, context.Canceled) {
		return nil, fmt.Errorf("%w before training, of which nothing is kept", ErrInterrupted)
	} else if err != nil {
		return nil, err
	}
	return m, nil
}

// fitting is by the processor's kernels.
func fitting(threads int, step func(done, total int)) (models.Fitting, error) {
	set, err := Kernels()
	return models.Fitting{Threads: threads, Kernels: set, Step: step}, err
}

// counting shows how far a computation is.
type counting struct {
	console *progress.Console // may be nil
	label   string
	work    *progress.Work
	counted int
}

// step is a models.Fitting.Step.
func (c *counting) step(done, total int) {
	if c.console == nil {
		return
	}
	if c.work == nil {
		c.work = c.console.Start(total, c.label)
	}
	c.work.Step(done - c.counted)
	c.counted = done
}

func (c *counting) close() {
	if c.work != nil {
		c.work.Done()
	}
}
