package main

import (
	"fmt"
	"io"
	"math"
	"text/tabwriter"
)

// compare prints how many times as fast B is as A, for what both have timed: a variant against itself, and one that B does not have (a peer, a set that
// is new) against B's fastest that A does not have.
func compare(w io.Writer, a, b []record) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "kernel\tsize\tthreads\tA\tms\tB\tms\tratio\tof best\tspread")
	var logs float64
	var pairs, changed int
	for _, x := range a {
		if x.MS == nil {
			continue
		}
		y := partner(x, a, b)
		if y == nil {
			continue
		}
		ratio, apart := *x.MS / *y.MS, "beyond it"
		if overlap(x, *y) {
			apart = "within it"
		} else {
			changed++
		}
		if x.Clock != y.Clock {
			return fmt.Errorf("-compare: %s was timed by the %s clock in A and the %s clock in B: repeat one of the two with the other's -clock", x.Kernel, x.Clock, y.Clock)
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\t%s\t%s\tx%.2f\t%s\t%s\n", x.Kernel, x.Size, x.Threads, x.label(), figure(x.MS), y.label(), figure(y.MS), ratio,
			bestRatio(x, *y), apart)
		logs += math.Log(ratio)
		pairs++
	}
	if pairs == 0 {
		return fmt.Errorf("-compare: the two files have no kernel, size and number of threads in common")
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "x2 is twice as fast in B; geometric mean of %d: x%.2f; %d beyond the spread (the quartiles do not meet)\n", pairs,
		math.Exp(logs/float64(pairs)), changed)
	return err
}

// partner is what B has for a record of A.
func partner(x record, a, b []record) (fastest *record) {
	for i, y := range b {
		if y.MS == nil || !y.sameProblem(x) {
			continue
		}
		if y.sameVariant(x) {
			return &b[i]
		}
		if has(a, y) || has(b, x) {
			continue
		}
		if fastest == nil || *y.MS < *fastest.MS {
			fastest = &b[i]
		}
	}
	return fastest
}

func (r record) sameProblem(o record) bool {
	return r.Kernel == o.Kernel && r.Size == o.Size && r.Threads == o.Threads
}

func (r record) sameVariant(o record) bool { return r.Variant == o.Variant && r.Device == o.Device }

func has(list []record, r record) bool {
	for _, o := range list {
		if o.sameProblem(r) && o.sameVariant(r) && o.MS != nil {
			return true
		}
	}
	return false
}

// overlap tells whether the middle halves of two measurements meet.
func overlap(x, y record) bool {
	if x.Q1 == nil || x.Q3 == nil || y.Q1 == nil || y.Q3 == nil {
		return false
	}
	return *x.Q1 <= *y.Q3 && *y.Q1 <= *x.Q3
}

// bestRatio is that of the quickest runs, which a disturbance of one of the two leaves alone.
func bestRatio(x, y record) string {
	if x.Best == nil || y.Best == nil {
		return "-"
	}
	return fmt.Sprintf("x%.2f", *x.Best / *y.Best)
}
