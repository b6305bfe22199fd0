package trainer

import (
	"context"
	"errors"
	"fmt"

	"nearfar/models"
	"nearfar/trainer/dataset"
	"nearfar/trainer/progress"
)

// LoadData reads the data set that the options name, with features of items where a model of m takes them; dataset.ErrMissing where it is not there. It is
// an error where the split that is to select an epoch has nothing to rank: a run would end with the last epoch and call it the best. The context ends a long
// reading; the console, where not nil, shows how far it is.
func LoadData(ctx context.Context, o Options, m models.Options, console *progress.Console) (*dataset.Dataset, error) {
	shown := loading{console: console}
	defer shown.close()
	d := o.dataset()
	d.Progress = shown.read
	d.Features, d.Modalities = takesFeatures(m), o.Modalities
	data, err := dataset.Load(ctx, d)
	if err == nil && o.TrainOn == trainOnBoth {
		data = data.TrainOnValid()
	}
	switch {
	case errors.Is(err, context.Canceled):
		return nil, fmt.Errorf("%w while the data was read", ErrInterrupted)
	case err != nil || o.Epochs == 0:
		return data, err
	case o.Select == SelectValid && data.Valid.Len() == 0:
		why := fmt.Sprintf("-valid-ratio %g takes nothing from any user; raise it, name a file with -valid", o.ValidRatio)
		if data.Parts.Split != dataset.SplitGiven {
			why = emptyPart(data)
		}
		return nil, fmt.Errorf("-select valid has no validation split: %s, or take the last epoch with -select last", why)
	case o.Select == SelectTest && data.Test.Len() == 0:
		why := data.Path + " holds training interactions only; split them with -split"
		if data.Parts.Split != dataset.SplitGiven {
			why = emptyPart(data)
		}
		return nil, fmt.Errorf("-select test has no test split: %s, or take the last epoch with -select last", why)
	}
	return data, nil
}

// emptyPart says why a split that was made has a part without interactions, and what gives it some.
func emptyPart(data *dataset.Dataset) string {
	switch data.Parts.Split {
	case dataset.SplitLeaveOneOut:
		return "-split leave-one-out takes none from users with fewer than three interactions, and all are such; take -split random"
	case dataset.SplitTemporal:
		return fmt.Sprintf("-split %s of %d interactions gives it nothing, since too few are left or too many have one time; give it more with -split-ratio", data.Parts, data.Len())
	}
	return fmt.Sprintf("-split %s of %d interactions gives it nothing; give it more with -split-ratio or -valid-ratio", data.Parts, data.Len())
}

const (
	megabyte = 1 << 20
	// slowToRead is the size from which reading a file takes longer than a user waits without a sign of life.
	slowToRead = 100 * megabyte
)

// loading shows how far the reading of large files is.
type loading struct {
	console *progress.Console
	file    string
	shown   int64 // megabytes
	work    *progress.Work
}

// read is a dataset.Options.Progress.
func (l *loading) read(file string, done, size int64) {
	if l.console == nil || size < slowToRead {
		return
	}
	if l.work == nil || l.file != file {
		l.close()
		l.file, l.shown = file, 0
		l.work = l.console.Start(int(size/megabyte), fmt.Sprintf("reading %s, MB", file))
	}
	now := done / megabyte
	l.work.Step(int(now - l.shown))
	l.shown = now
}

func (l *loading) close() {
	if l.work != nil {
		l.work.Done()
		l.work = nil
	}
}
