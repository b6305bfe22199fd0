package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"nearfar/trainer"
	"nearfar/trainer/evaluate"
)

// evaluateOptions are those of 'trainer evaluate' beside those of training.
type evaluateOptions struct {
	_          struct{} `title:"Evaluate a run"`
	Split      string   `flag:"split" default:"test" choices:"test,valid" help:"what is ranked"`
	Checkpoint string   `flag:"checkpoint" default:"export" choices:"export,best,last" help:"whose parameters: what the run exported, or one of its checkpoints"`
}

const exported = "export" // of evaluateOptions.Checkpoint

const aboutEvaluate = `trainer evaluate RUN [-data PATH] [-test FILE] [options] measures a run by full ranking, on the data that it was made on or on other data, whose ids are
matched as they are written; with -test on the interactions of a file, of users whom the run's data describes. Options of training about data and evaluation (-data, -format, -k, -mask ..) may be given; without them they are the run's.`

// measure is 'trainer evaluate'.
func measure(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var o evaluateOptions
	f, err := readFinished("evaluate", args, &o)
	if isHelp(err) {
		return f.help(stdout, aboutEvaluate)
	}
	if err != nil {
		return err
	}
	// The run's selection metric selects nothing here, and other cutoffs may not have it.
	if anew := peekFlags(f.anew, "k", "metric"); anew["k"] != "" && anew["metric"] == "" {
		k, _, _ := strings.Cut(anew["k"], ",")
		f.anew = append(f.anew, "-metric", "Recall@"+strings.TrimSpace(k))
	}
	if err := f.open(o.Checkpoint == exported, "Data", "Split", "Evaluation"); err != nil {
		return err
	}
	if o.Split == "valid" && f.folder.Path() != f.run {
		return misused("-split valid: the refit in %s has trained on the validation split; 'trainer evaluate %s -checkpoint best -split valid' measures the model that was selected on it",
			f.folder.Path(), f.run)
	}
	of, err := f.scores(ctx, o.Checkpoint, stderr)
	if err != nil {
		return err
	}
	data, err := f.data(ctx, stderr)
	if err != nil {
		return err
	}
	if f.namesData() {
		fmt.Fprint(stderr, data.String())
	}
	ranker, err := f.ranker(ctx, of, stderr)
	if err != nil {
		return err
	}
	defer ranker.close()
	var scorer evaluate.Scorer = ranker.scorer
	match := trainer.MatchIDs(data, of.userID, of.itemID)
	if !match.Identical(of.userID, of.itemID) {
		scorer = match.Scorer(ranker.scorer)
		fmt.Fprintf(stdout, "the run does not know %d users of %d, who are left out, and %d items of %d, which come behind all others; %d of its items are not in the data\n",
			match.UnknownUsers, data.Users(), match.UnknownItems, data.Items(), match.UnrankedItems)
		before := trainer.Targets(data, o.Split)
		if data = match.Known(data); before.Len() > 0 && trainer.Targets(data, o.Split).Len() == 0 {
			return fmt.Errorf("none of the %d users with %s interactions is known to the run: ids are compared as they are written", before.ActiveUsers(), o.Split)
		}
	}
	report, err := trainer.Evaluate(ctx, scorer, data, o.Split, f.line.Options)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s of %s on %s, seed %d, %s split\n", f.line.spec.Name, f.folder.Path(), data.Name, f.line.Seed, o.Split)
	values := map[string]float64{}
	var names []string
	for _, m := range report.Metrics {
		values[m.Name] = m.Value
		names = append(names, m.Name)
	}
	if err := table(stdout, names, []column{{o.Split, values}}); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s, %s, mean over %d users\n", f.line.Ranking(data.Items()), f.line.Masking(o.Split == "valid", o.Split == "test"), len(report.Users))
	return err
}
