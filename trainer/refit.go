package trainer

import "slices"

const trainOnBoth = "train+valid"

// Refit is what a model selected on the validation split reaches when it is trained anew on train and validation together.
type Refit struct {
	Epochs    int                `json:"epochs"`
	Test      map[string]float64 `json:"test,omitempty"`
	TrainTime float64            `json:"train_seconds"`
}

// RefitOptions are the options by which a model selected at an epoch is trained again on train and validation together: for as many epochs, with
// nothing held out and nothing selected. An epoch has more steps then, by the share that validation had.
func RefitOptions(o Options, epoch int) Options {
	o.K = slices.Clone(o.K)
	o.Select, o.TrainOn, o.Epochs = SelectLast, trainOnBoth, epoch
	return o
}
