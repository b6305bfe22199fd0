package trainer

import (
	"fmt"
	"strings"

	"nearfar/trainer/dataset"
	"nearfar/trainer/evaluate"
	"nearfar/trainer/runfolder"
)

// MetricNames lists what a run reports of each split, in the order of its table.
func (o *Options) MetricNames() []string { return evaluate.Names(o.K, o.Candidates) }

// SelectionMetric is -metric by the name that it has in reports: a sampled ranking's says so.
func (o *Options) SelectionMetric() string {
	measured, err := evaluate.Selection(o.Metric, o.K, o.Candidates)
	if err != nil {
		return o.Metric // of a run without training, which selects nothing
	}
	return measured
}

// Ranking says in words what a user's targets are ranked among.
func (o *Options) Ranking(items int) string {
	if o.Candidates > 0 {
		return fmt.Sprintf("sampled ranking of %d negatives", o.Candidates)
	}
	return fmt.Sprintf("full ranking of %d items", items)
}

// Masking says in words what is left out of the rankings of the splits that are shown.
func (o *Options) Masking(valid, test bool) string {
	atTest := strings.ReplaceAll(o.Mask, "none", "nothing") + " masked"
	switch {
	case !test:
		return "train masked"
	case valid && o.Mask != "train":
		return atTest + " (at validation train)"
	}
	return atTest
}

// sampledWarning stands in the log of every run that ranks samples.
const sampledWarning = "-candidates %d: metrics are of a sampled ranking. They are no estimate of the full ranking's and may order models differently " +
	"(Krichene and Rendle, On Sampled Metrics for Item Recommendation, KDD 2020); compare them with numbers of the same protocol alone"

// maskedTargets warns of test interactions that cannot be found, since they are in what -mask leaves out of the rankings; empty where there are none.
func (r *run) maskedTargets() string {
	n := 0
	for _, mask := range r.protocol(r.data.Test, true).Mask {
		n += r.data.Test.Overlap(mask)
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d test interactions are in what -mask %s leaves out of the rankings too: they are misses, whatever the model does", n, r.data.Test.Len(), r.Options.Mask)
}

// protocol is how a split is ranked. What is masked at test follows -mask. At validation it is always train: unmasked, what a model has learned
// by heart would crowd out the targets, and the epoch that has learned least would be selected. Diversity costs too much to be measured in every
// epoch: the final report has it, and a run that selects by it.
func (r *run) protocol(targets *dataset.Interactions, final bool) evaluate.Protocol {
	o := &r.Options
	p := evaluate.Protocol{Targets: targets, Train: r.data.Train, K: o.K, Seed: o.Seed, Threads: o.Threads, Candidates: o.Candidates,
		Diversity: final || strings.HasPrefix(o.Metric, "Diversity@")}
	atTest := targets == r.data.Test
	if o.Mask != "none" || !atTest {
		p.Mask = append(p.Mask, r.data.Train)
	}
	if o.Mask == "train+valid" && atTest {
		p.Mask = append(p.Mask, r.data.Valid)
	}
	return p
}

// conclude puts the final report of a split into the result, with its groups, and among the metrics.
func (r *run) conclude(split string, targets *dataset.Interactions, report *evaluate.Report, res *Result) error {
	values := map[string]float64{}
	// The event has no epoch, so that a resumed run, which reports again, drops it.
	event := map[string]any{"event": "report", "split": split, "selected_epoch": res.Epoch, "users": len(report.Users)}
	for _, m := range report.Metrics {
		values[m.Name] = m.Value
		event[m.Name] = m.Value
	}
	groups, err := report.Groups(targets, r.data.Train)
	if err != nil {
		return err
	}
	event["groups"] = groups
	res.Groups = groups // of test, which comes last
	if split == "test" {
		res.Test, res.TestUsers = values, len(report.Users)
		r.perUser = perUser(r.data, report)
	} else {
		res.Valid = values
	}
	r.record(event)
	return nil
}

// perUser is the table of a report's users.
func perUser(data *dataset.Dataset, report *evaluate.Report) *runfolder.PerUser {
	p := &runfolder.PerUser{}
	for _, u := range report.Users {
		p.User = append(p.User, data.UserID[u])
		p.Targets = append(p.Targets, data.Test.Degree(int(u)))
		p.Degree = append(p.Degree, data.Train.Degree(int(u)))
	}
	for _, m := range report.Metrics {
		if m.PerUser != nil {
			p.Metric = append(p.Metric, m.Name)
			p.Value = append(p.Value, m.PerUser)
		}
	}
	return p
}

// writePerUser leaves the metrics of the test split's users, where there are any.
func (r *run) writePerUser() error {
	if r.perUser == nil {
		return nil
	}
	return r.Folder.WritePerUser(r.perUser)
}
