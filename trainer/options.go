package trainer

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"nearfar/engine"
	"nearfar/kernels"
	"nearfar/models"
	"nearfar/trainer/dataset"
	"nearfar/trainer/evaluate"
)

// Selection says which epoch's parameters a run reports.
type Selection string

const (
	SelectValid Selection = "valid" // the best epoch on a validation split that is held out of train
	SelectTest  Selection = "test"  // the best epoch on the test split itself, as most published numbers have it
	SelectLast  Selection = "last"  // the last epoch, whatever it measures
)

// Options are those of a training run, whatever the model.
type Options struct {
	_          struct{}        `title:"Data"`
	Data       string          `flag:"data" help:"folder with train.txt and test.txt or another format's files, or one file; without it, the embedded amazon-electronics"`
	Format     dataset.Format  `flag:"format" default:"auto" choices:"auto,lightgcn,pairs,recbole,movielens,csv,mmrec,parquet" help:"of the interactions; auto recognises it by content"`
	Columns    dataset.Columns `flag:"columns" help:"user=NAME,item=NAME,rating=NAME,time=NAME where the names are not the usual ones; numbers from 1 where there is no header; rating=none, time=none leave a column out"`
	MinRating  float64         `flag:"min-rating" default:"0" help:"drop interactions that are rated lower; 0: those whose rating or weight is not above 0" source:"3 or 4: RecBole, LightGCN"`
	Test       string          `flag:"test" help:"file of interactions to test on, instead of the folder's test.txt; with one file in -data, that is all train"`
	Valid      string          `flag:"valid" help:"file of interactions to take out of train for validation"`
	ValidRatio float64         `flag:"valid-ratio" default:"0.1" min:"0" below:"1" needs:"select=valid train-on=train+valid" help:"share of each user's training interactions held out for validation, with -select valid and no validation file"`
	Unseen     dataset.Unseen  `flag:"unseen" default:"keep" choices:"keep,drop" help:"test items and users without training interactions: keep them, ranked by what was initialised and mostly missed, or drop them" source:"drop: SELFRec"`
	Modalities []string        `flag:"modalities" help:"for models that take features of items: those to read, such as image,text of image_feat.npy and text_feat.npy beside the interactions; without it, all that are there"`

	Splitting
	Training
	Start
	Evaluation
	Running
}

// Splitting is what becomes of the interactions before training: which are left out, and which are tested.
type Splitting struct {
	_          struct{}       `title:"Split"`
	Split      dataset.Split  `flag:"split" default:"auto" choices:"auto,given,random,leave-one-out,temporal" help:"how train, validation and test come about; auto: given for a folder, random for one file"`
	SplitRatio dataset.Ratios `flag:"split-ratio" help:"shares of train, validation and test of a random or temporal split, such as 0.8,0.1,0.1; without it a tenth is tested, and -valid-ratio validates with -select valid"`
	SplitBy    dataset.By     `flag:"split-by" default:"all" choices:"all,user" help:"the shares are of all interactions together, or of each user's"`
	SplitSeed  uint64         `flag:"split-seed" default:"1" help:"of what a split draws, so that runs of several -seed are measured on the same one"`
	KCore      []int          `flag:"k-core" default:"" min:"0" help:"before splitting, leave out users and items with fewer interactions until none has fewer: N, or users,items"`
}

// Training is how long and by what rule.
type Training struct {
	_         struct{} `title:"Training"`
	Epochs    int      `flag:"epochs" default:"1000" min:"0" help:"at most so many passes over the interactions" source:"LightGCN-PyTorch"`
	LR        float64  `flag:"lr" default:"0.001" above:"0" help:"learning rate" source:"LightGCN-PyTorch, SELFRec, wujcan/SGL"`
	Optimiser string   `flag:"optimiser" default:"adam" choices:"adam,adamw,adam-tf,sgd,adagrad" help:"update rule as torch.optim has it; adam-tf: with epsilon where TensorFlow puts it" source:"SELFRec; adam-tf: kuandeng/LightGCN, wujcan/SGL (TF)"`
	Moments   string   `flag:"moments" default:"float32" choices:"float32,bf16" help:"what adam, adamw and adam-tf keep beside the parameters; bf16: in half the memory, rounded by chance, a step takes somewhat longer" source:"stochastic rounding: Gupta et al., ICML 2015"`
	Decay     float64  `flag:"weight-decay" default:"0" min:"0" help:"decay of every parameter by the optimiser (adamw: decoupled)"`
	Momentum  float64  `flag:"momentum" default:"0" min:"0" below:"1" needs:"optimiser=sgd" help:"of sgd"`
	Clip      float64  `flag:"clip" default:"0" min:"0" help:"largest global norm of the gradient; 0: none"`
}

// Evaluation is what is measured, when, and what it decides.
type Evaluation struct {
	_          struct{}  `title:"Evaluation"`
	Select     Selection `flag:"select" default:"valid" choices:"valid,test,last" help:"what picks the reported epoch: a validation split, the test split (as in the papers), or nothing"`
	EvalEvery  int       `flag:"eval-every" default:"5" min:"1" help:"epochs between evaluations"`
	Patience   int       `flag:"patience" default:"10" min:"0" help:"evaluations without a better one before training stops; 0: never stop early"`
	Warmup     int       `flag:"warmup" default:"20" min:"0" help:"epochs before patience counts: contrastive models fall before they rise"`
	Mask       string    `flag:"mask" default:"train+valid" choices:"train+valid,train,none" help:"interactions left out of a user's test ranking; without a validation split the first two are the same" source:"RecBole; train: LightGCN-PyTorch, SELFRec"`
	Candidates int       `flag:"candidates" default:"0" min:"0" help:"rank a user's targets among so many random items instead of all (0), as some papers do; the metrics' names then say so"`
	K          []int     `flag:"k" default:"10,20,50" min:"1" help:"cutoffs of the metrics"`
	Metric     string    `flag:"metric" default:"Recall@20" help:"the metric that picks the epoch; with -k without 20, Recall at the first of -k"`
}

// Running is where and with what.
type Running struct {
	_               struct{}      `title:"Run"`
	Seed            uint64        `flag:"seed" default:"1" help:"of every random number of the run"`
	Threads         int           `flag:"threads" default:"0" min:"0" help:"threads of the CPU; 0: all. Results do not depend on it"`
	GPU             string        `flag:"gpu" default:"auto" help:"auto, the index of a GPU, or off"`
	RequireGPU      bool          `flag:"require-gpu" default:"false" help:"end with an error where the GPU cannot be used"`
	Precision       string        `flag:"precision" default:"float32" choices:"float32,half" help:"of the numbers; half: what the graph propagates is kept in 16 bits where that is faster (CPU), all else in float32"`
	CheckpointEvery time.Duration `flag:"checkpoint-every" default:"5m" min:"0s" help:"time between checkpoints, beside those of every evaluation; 0s: these alone. Results do not depend on it"`
	Out             string        `flag:"out" help:"folder of the run; default runs/<model>-<data>-<time>-s<seed>"`
}

// Check finds what the options' own bounds cannot see.
func (o *Options) Check() error {
	if len(o.K) == 0 {
		return fmt.Errorf("-k is empty: give at least one cutoff")
	}
	for i, k := range o.K {
		if slices.Contains(o.K[:i], k) {
			return fmt.Errorf("-k has %d twice", k)
		}
	}
	if _, err := evaluate.Selection(o.Metric, o.K, o.Candidates); o.Epochs > 0 && err != nil {
		return fmt.Errorf("-metric %w", err)
	}
	for i, name := range o.Modalities {
		if slices.Contains(o.Modalities[:i], name) {
			return fmt.Errorf("-modalities has %s twice", name)
		}
	}
	return errors.Join(o.checkMoments(), o.checkSplit(), o.Start.check(o), checkGPU(o.GPU, o.RequireGPU))
}

// moments16 is -moments for half the memory.
const moments16 = "bf16"

func (o *Options) checkMoments() error {
	if o.Moments == moments16 && !strings.HasPrefix(o.Optimiser, "adam") {
		return fmt.Errorf("-moments %s is for adam, adamw and adam-tf: leave it out with -optimiser %s", moments16, o.Optimiser)
	}
	return nil
}

// CheckModel finds options that the model has no use for.
func (o *Options) CheckModel(name string, m models.Options) error {
	if len(o.Modalities) > 0 && !takesFeatures(m) {
		return fmt.Errorf("-modalities %s: %s takes no features of items; leave it out, or name a model that does", strings.Join(o.Modalities, ","), name)
	}
	return nil
}

// takesFeatures tells whether a model of these options wants the features of items.
func takesFeatures(m models.Options) bool {
	_, takes := m.(models.Featured)
	return takes
}

// checkSplit finds what is wrong with the split whatever the data is.
func (o *Options) checkSplit() error {
	if len(o.KCore) > 2 {
		return fmt.Errorf("-k-core has %d numbers: want one for users and items, or two, users,items", len(o.KCore))
	}
	if err := o.dataset().CheckSplit(); err != nil {
		return err
	}
	switch r := o.SplitRatio; {
	case r == (dataset.Ratios{}) || o.Epochs == 0:
	case o.Select == SelectValid && r.Valid == 0:
		return fmt.Errorf("-select valid needs a validation split, and -split-ratio %s has none: give it a share, or take the last epoch with -select last", r)
	case o.Select == SelectTest && r.Test == 0:
		return fmt.Errorf("-select test needs a test split, and -split-ratio %s has none: give it a share, or take the last epoch with -select last", r)
	}
	return nil
}

// dataset is what to load.
func (o *Options) dataset() dataset.Options {
	const none = -1 // 0 would be the default share
	d := dataset.Options{Path: o.Data, Format: o.Format, Columns: o.Columns, MinRating: o.MinRating, Test: o.Test, Valid: o.Valid, Unseen: o.Unseen, ValidRatio: none,
		Split: o.Split, By: o.SplitBy, Ratio: o.SplitRatio, Seed: o.SplitSeed}
	if (o.Select == SelectValid || o.TrainOn == trainOnBoth) && o.ValidRatio > 0 {
		d.ValidRatio = o.ValidRatio
	}
	if n := len(o.KCore); n > 0 {
		d.KCore = dataset.KCore{Users: o.KCore[0], Items: o.KCore[n-1]}
	}
	return d
}

// optimiser is the update rule that the options name.
func (o *Options) optimiser() (engine.Optimiser, error) {
	r, err := engine.NewOptimiser(o.Optimiser, o.LR, o.Decay, o.Momentum)
	if adam, ok := r.Kernel.(kernels.Adam); ok {
		adam.Moments16 = o.Moments == moments16
		r.Kernel = adam
	}
	r.Clip = o.Clip
	return r, err
}
