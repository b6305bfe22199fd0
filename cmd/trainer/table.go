package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"nearfar/trainer"
	"nearfar/trainer/evaluate"
)

// groupTables prints whom the metrics are good for: items by popularity and users by activity, at the cutoff of the selection metric.
func groupTables(w io.Writer, c *commandLine, res trainer.Result) error {
	if res.Groups == nil {
		return nil
	}
	suffix := groupSuffix(c)
	split := "test"
	if res.Test == nil {
		split = "valid"
	}
	fmt.Fprintf(w, "\nitems by training interactions, from the tail to the head (%s; the groups add up to Recall%s)\n", split, suffix)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "items\tinteractions each\tnumber\ttargets\tRecall%s\tat most\tfound\t\n", suffix)
	for _, g := range res.Groups.Items {
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%.4f\t%.4f\t%.4f\t\n", g.Name, between(g.Degrees), g.Items, g.Targets, g.Metrics["Recall"+suffix], g.Share, g.Metrics["Found"+suffix])
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nusers by training interactions (%s, means over the group)\n", split)
	fmt.Fprintf(t, "users\tinteractions each\tnumber\tRecall%s\tNDCG%s\t\n", suffix, suffix)
	for _, g := range res.Groups.Users {
		fmt.Fprintf(t, "%s\t%s\t%d\t%.4f\t%.4f\t\n", g.Name, between(g.Degrees), g.Users, g.Metrics["Recall"+suffix], g.Metrics["NDCG"+suffix])
	}
	fmt.Fprintln(t)
	return t.Flush()
}

// groupSuffix is what follows the kind in the name of the selection metric; without one that is measured, in the first metric's.
func groupSuffix(c *commandLine) string {
	metric := c.SelectionMetric()
	if !slices.Contains(evaluate.Names(c.K, c.Candidates), metric) {
		metric = c.MetricNames()[0]
	}
	_, suffix, _ := strings.Cut(metric, "@")
	return "@" + suffix
}

func between(degrees [2]int) string {
	if degrees[0] == degrees[1] {
		return fmt.Sprint(degrees[0])
	}
	return fmt.Sprintf("%d-%d", degrees[0], degrees[1])
}
