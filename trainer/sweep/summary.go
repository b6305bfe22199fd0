package sweep

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"nearfar/trainer"
)

// Files of a sweep that sum it up, relative to its folder.
const (
	SummaryJSON     = "summary.json"
	SummaryMarkdown = "summary.md"
)

// A Summary is what a sweep has found so far.
type Summary struct {
	Model, Data string
	Select      trainer.Selection
	Metric      string   // that sorts the trials, on the validation split
	Metrics     []string // all, in the order of the tables
	Seeds       []uint64
	Repeat      func(Trial) string // the command that trains a trial again
	Outcomes    []Outcome          // after Sort, the best first
}

// An Outcome is a trial and its runs, one for each seed.
type Outcome struct {
	Trial
	Runs []Run
}

// count is the number of runs in a state.
func (o *Outcome) count(s State) (n int) {
	for _, r := range o.Runs {
		if r.State == s {
			n++
		}
	}
	return n
}

// complete tells whether every seed has a result: only such trials can be compared.
func (o *Outcome) complete() bool { return o.count(Done) == len(o.Runs) }

// done are the runs that have a result.
func (o *Outcome) done() []Run {
	return slices.DeleteFunc(slices.Clone(o.Runs), func(r Run) bool { return r.State != Done })
}

func ofValid(r *Run) map[string]float64 { return r.Result.Valid }
func ofTest(r *Run) map[string]float64  { return r.Result.Test }
func ofRefit(r *Run) map[string]float64 {
	if r.Result.Refit == nil {
		return nil
	}
	return r.Result.Refit.Test
}

// valid is the mean over seeds of the selection metric on the validation split.
func (s *Summary) valid(o *Outcome) float64 {
	return spreads([]string{s.Metric}, o.done(), ofValid)[s.Metric].Mean
}

// Sort puts the trials in the order of their validation metric, equals by number. Those that lack a result under some seed come last.
func (s *Summary) Sort() {
	slices.SortStableFunc(s.Outcomes, func(a, b Outcome) int {
		if x, y := a.complete(), b.complete(); x != y {
			if x {
				return -1
			}
			return 1
		} else if x {
			return cmp.Or(cmp.Compare(s.valid(&b), s.valid(&a)), cmp.Compare(a.Number, b.Number))
		}
		return cmp.Compare(a.Number, b.Number)
	})
}

// Best is the trial with the highest validation metric, of those that are complete; nil where there is none. It is for a sorted Summary.
func (s *Summary) Best() *Outcome {
	if len(s.Outcomes) == 0 || !s.Outcomes[0].complete() {
		return nil
	}
	return &s.Outcomes[0]
}

// Selected is the trial that a refit trains again: the best one, or the only one where there is no choice, some of whose runs may have failed; nil where
// no trial is complete.
func (s *Summary) Selected() *Outcome {
	if len(s.Outcomes) > 0 && !s.searches() {
		return &s.Outcomes[0]
	}
	return s.Best()
}

// Fill puts in results, by the folders of their runs, that the disk has not got: they were measured and could not be kept.
func (s *Summary) Fill(measured map[string]trainer.Result) {
	for i := range s.Outcomes {
		for k := range s.Outcomes[i].Runs {
			r := &s.Outcomes[i].Runs[k]
			if res, ok := measured[r.Folder]; ok && r.State != Done {
				r.State, r.Error, r.Result = Done, "", res
			}
		}
	}
	if s.searches() {
		s.Sort()
	}
}

// Finished tells whether every run has a result or has failed.
func (s *Summary) Finished() bool {
	for _, o := range s.Outcomes {
		if o.count(Done)+o.count(Failed) < len(o.Runs) {
			return false
		}
	}
	return true
}

// Failed tells whether every run has failed.
func (s *Summary) Failed() bool {
	return !slices.ContainsFunc(s.Outcomes, func(o Outcome) bool { return o.count(Failed) < len(o.Runs) })
}

// searches tells whether there are trials to choose from, or one configuration under several seeds.
func (s *Summary) searches() bool { return len(s.Outcomes) > 0 && len(s.Outcomes[0].Settings) > 0 }

// Save writes summary.json and summary.md into the sweep's folder.
func (s *Summary) Save(path string) error {
	text, err := json.MarshalIndent(s.export(), "", "  ")
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(path, SummaryJSON), err)
	}
	return errors.Join(
		replace(filepath.Join(path, SummaryJSON), append(text, '\n')),
		replace(filepath.Join(path, SummaryMarkdown), []byte(s.text(markdown))))
}

// String is the summary for a terminal.
func (s *Summary) String() string { return s.text(plain) }

type exported struct {
	Model  string            `json:"model"`
	Data   string            `json:"data"`
	Select trainer.Selection `json:"select"`
	Metric string            `json:"metric"`
	Seeds  []uint64          `json:"seeds"`
	Best   int               `json:"best,omitempty"` // the number of the trial
	Trials []exportedTrial   `json:"trials"`         // best first
}

type exportedTrial struct {
	Number   int               `json:"trial"`
	Settings []Setting         `json:"settings,omitempty"`
	Valid    map[string]Spread `json:"valid,omitempty"`
	Test     map[string]Spread `json:"test,omitempty"`
	Refit    map[string]Spread `json:"refit_test,omitempty"`
	Runs     []exportedRun     `json:"runs"`
}

type exportedRun struct {
	Run
	Epoch  int                `json:"epoch"`
	Epochs int                `json:"epochs"`
	Valid  map[string]float64 `json:"valid,omitempty"`
	Test   map[string]float64 `json:"test,omitempty"`
	Refit  map[string]float64 `json:"refit_test,omitempty"`
}

func (s *Summary) export() exported {
	e := exported{Model: s.Model, Data: s.Data, Select: s.Select, Metric: s.Metric, Seeds: s.Seeds}
	if best := s.Best(); best != nil && s.searches() {
		e.Best = best.Number
	}
	for _, o := range s.Outcomes {
		done := o.done()
		t := exportedTrial{Number: o.Number, Settings: o.Settings, Valid: spreads(s.Metrics, done, ofValid),
			Test: spreads(s.Metrics, done, ofTest), Refit: spreads(s.Metrics, done, ofRefit)}
		for i := range o.Runs {
			r := &o.Runs[i]
			t.Runs = append(t.Runs, exportedRun{*r, r.Result.Epoch, r.Result.Epochs, r.Result.Valid, r.Result.Test, ofRefit(r)})
		}
		e.Trials = append(e.Trials, t)
	}
	return e
}

// text is the whole summary, its tables in a style.
func (s *Summary) text(style func([][]string) string) string {
	var b strings.Builder
	if !s.searches() {
		o := &s.Outcomes[0]
		fmt.Fprintf(&b, "%s on %s, %s, %s\n\n", s.Model, s.Data, s.seeds(o.done()), s.selected(o.done()))
		b.WriteString(style(s.metrics(o)))
		s.failures(&b)
		return b.String()
	}
	n := 0
	for _, o := range s.Outcomes {
		if o.complete() {
			n++
		}
	}
	fmt.Fprintf(&b, "%d of %d trials of %s on %s, %s, sorted by %s on the validation split\n\n", n, len(s.Outcomes), s.Model, s.Data, s.seedsOf(s.Seeds), s.Metric)
	b.WriteString(style(s.trials()))
	s.failures(&b)
	best := s.Best()
	if best == nil {
		return b.String()
	}
	so := ""
	if !s.Finished() {
		so = " so far"
	}
	fmt.Fprintf(&b, "\nbest on the validation split%s: trial %d, %s, %s\n\n", so, best.Number, strings.ReplaceAll(best.String(), ",", ", "), s.selected(best.Runs))
	b.WriteString(style(s.metrics(best)))
	fmt.Fprintf(&b, "\nagain: %s\n", s.Repeat(best.Trial))
	return b.String()
}

// trials is the table of trials: settings, the selection metric on the validation split, and the epochs that it selected. Test numbers are not for
// choosing, and stand beside the best alone.
func (s *Summary) trials() [][]string {
	header := []string{"trial"}
	for _, x := range s.Outcomes[0].Settings {
		header = append(header, x.Option)
	}
	rows := [][]string{append(header, "valid "+s.Metric, "epoch")}
	for _, o := range s.Outcomes {
		row := []string{fmt.Sprint(o.Number)}
		for _, x := range o.Settings {
			row = append(row, x.Value)
		}
		value, epoch := "not run", ""
		switch done := o.done(); {
		case o.complete():
			value, epoch = spreads([]string{s.Metric}, done, ofValid)[s.Metric].String(), epochs(done)
		case o.count(Failed) > 0:
			value = "failed"
		case len(done) > 0:
			value = fmt.Sprintf("%d of %d seeds", len(done), len(o.Runs))
		case o.count(Saved)+o.count(Started) > 0:
			value = "interrupted"
		}
		rows = append(rows, append(row, value, epoch))
	}
	return rows
}

// metrics is the table of every metric of a trial: mean and deviation over seeds, and with several seeds each one's own.
func (s *Summary) metrics(o *Outcome) [][]string {
	runs := o.done()
	type column struct {
		title string
		cell  func(metric string) string
	}
	var columns []column
	last := ofValid
	lastTitle := "valid"
	for _, c := range []struct {
		title string
		of    func(*Run) map[string]float64
	}{{"valid", ofValid}, {"test", ofTest}, {"refit, test", ofRefit}} {
		values := spreads(s.Metrics, runs, c.of)
		if len(values) == 0 {
			continue
		}
		title, n := c.title, 0
		for i := range runs {
			if c.of(&runs[i]) != nil {
				n++
			}
		}
		if n < len(runs) { // a refit that was interrupted, or has failed
			title = fmt.Sprintf("%s (%d of %d seeds)", title, n, len(runs))
		}
		columns = append(columns, column{title, func(metric string) string { return values[metric].String() }})
		last, lastTitle = c.of, c.title
	}
	if len(runs) > 1 {
		for i := range runs {
			columns = append(columns, column{fmt.Sprintf("%s s%d", lastTitle, runs[i].Seed), func(metric string) string {
				v, ok := last(&runs[i])[metric]
				if !ok {
					return "-"
				}
				return fmt.Sprintf("%.4f", v)
			}})
		}
	}
	rows := [][]string{{"metric"}}
	for _, c := range columns {
		rows[0] = append(rows[0], c.title)
	}
	for _, metric := range s.Metrics {
		row := []string{metric}
		for _, c := range columns {
			row = append(row, c.cell(metric))
		}
		rows = append(rows, row)
	}
	return rows
}

// failures lists the errors of failed runs.
func (s *Summary) failures(b *strings.Builder) {
	before := "\n"
	for _, o := range s.Outcomes {
		for _, r := range o.Runs {
			if r.State == Failed {
				fmt.Fprintf(b, "%s%s failed: %s\n", before, r.Folder, strings.ReplaceAll(r.Error, "\n", "; "))
				before = ""
			}
		}
	}
}

// selected says in words whose parameters the numbers are of.
func (s *Summary) selected(runs []Run) string {
	trained := slices.ContainsFunc(runs, func(r Run) bool { return r.Result.Epochs > 0 })
	switch {
	case len(runs) == 0:
		return "no run has ended"
	case !trained:
		return "no training"
	case s.Select == trainer.SelectLast:
		return "epoch " + epochs(runs) + ", the last"
	case s.Select == trainer.SelectTest:
		return "epoch " + epochs(runs) + ", SELECTED ON THE TEST SPLIT by " + s.Metric + ", as published numbers are"
	}
	return "epoch " + epochs(runs) + ", selected on the validation split by " + s.Metric
}

// epochs are the runs' reported epochs, in the order of the seeds.
func epochs(runs []Run) string {
	text := make([]string, len(runs))
	for i, r := range runs {
		text[i] = fmt.Sprint(r.Result.Epoch)
	}
	return strings.Join(text, ",")
}

// seeds names those of the runs.
func (s *Summary) seeds(runs []Run) string {
	var seeds []uint64
	for _, r := range runs {
		seeds = append(seeds, r.Seed)
	}
	text := s.seedsOf(seeds)
	if len(runs) < len(s.Seeds) {
		text += fmt.Sprintf(" of %d", len(s.Seeds))
	}
	return text
}

func (s *Summary) seedsOf(seeds []uint64) string {
	text := make([]string, len(seeds))
	for i, n := range seeds {
		text[i] = fmt.Sprint(n)
	}
	switch len(seeds) {
	case 0:
		return "no seed"
	case 1:
		return "seed " + text[0]
	}
	return "mean ± sample deviation of seeds " + strings.Join(text, ", ")
}
