package trainer

import (
	"slices"

	"nearfar/trainer/runfolder"
)

const trainOnBoth = "train+valid"

// Refit is what a model selected on the validation split reaches when it is trained anew on train and validation together.
type Refit struct {
	Epochs    int                `json:"epochs"`
	Test      map[string]float64 `json:"test,omitempty"`
	TrainTime float64            `json:"train_seconds"`
}

// Refitted is the folder inside a run's in which -refit trains the selected model again: an ordinary run.
const Refitted = "refit"

// OpenFinal opens the run whose embeddings a folder's run ends with: the refitted one inside it, where the run's own result is of that refit, or the run
// itself. What else is in the folder was interrupted, or is of a former result.
func OpenFinal(path string) (*runfolder.Folder, error) {
	run, err := runfolder.Open(path)
	if err != nil {
		return nil, err
	}
	var res, second Result
	if run.ReadResult(&res) != nil || res.Refit == nil {
		return run, nil
	}
	refit, err := runfolder.Open(run.File(Refitted))
	if err != nil || refit.ReadResult(&second) != nil || second.Epochs != res.Refit.Epochs {
		return run, nil
	}
	return refit, nil
}

// RefitOptions are the options by which a model selected at an epoch is trained again on train and validation together: for as many epochs, with
// nothing held out and nothing selected. An epoch has more steps then, by the share that validation had.
func RefitOptions(o Options, epoch int) Options {
	o.K = slices.Clone(o.K)
	o.Select, o.TrainOn, o.Epochs = SelectLast, trainOnBoth, epoch
	return o
}
