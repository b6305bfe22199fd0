package main

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"
)

// A match is the contestants of one problem, and what is open for them.
type match struct {
	kernel, size string
	work         work
	looked       string // what verification looked at
	all          []*contestant
	open         []func() error
}

// enter adds a device to the match.
func (m *match) enter(d device) *contestant {
	c := &contestant{device: "cpu", variant: d.variant, threads: d.threads, note: d.refuses, refuses: d.refuses != "", gpu: !d.host}
	if !d.host {
		c.device = d.Name()
	}
	m.all = append(m.all, c)
	return c
}

func (m *match) closeLater(f func() error) { m.open = append(m.open, f) }

// close closes what is open, the last first: programs before their memory.
func (m *match) close() error {
	var errs []error
	for _, f := range slices.Backward(m.open) {
		errs = append(errs, f())
	}
	debug.FreeOSMemory()
	return errors.Join(errs...)
}

const wrong = "WRONG: "

// judge notes what verification has found.
func (c *contestant) judge(err error) {
	if c.verified = err == nil; !c.verified {
		c.note = wrong + err.Error()
	}
}

// ratios prints how many times as long the peers take as the fastest of ours, and as the fastest in half precision.
func (m *match) ratios(w io.Writer, clock string) {
	for _, half := range []bool{false, true} {
		var ours *contestant
		for _, c := range m.all {
			if c.device == "cpu" && c.half == half && len(c.warm) > 0 && (ours == nil || median(c.warm, clockOf(clock, c.threads)) < median(ours.warm, clockOf(clock, ours.threads))) {
				ours = c
			}
		}
		for _, c := range m.all {
			if ours == nil || len(c.warm) == 0 || c.peer() == "" {
				continue
			}
			by := clockOf(clock, c.threads)
			of := func(q float64) float64 { return float64(quantile(c.warm, by, q)) / float64(quantile(ours.warm, by, q)) }
			fmt.Fprintf(w, "  %s: x%.2f of %s (best of each: x%.2f)  %s\n", ours.named(ours.variant), of(.5), c.peer(), of(0), c.about)
		}
	}
}

// named is the name of what a contestant computes, which in half precision is another thing than in float32.
func (c *contestant) named(kernel string) string {
	if c.half {
		return kernel + " half"
	}
	return kernel
}

// peer is the name of a contestant that is a peer.
func (c *contestant) peer() string {
	if strings.HasPrefix(c.device, "torch") {
		return c.device + " " + c.variant
	}
	return ""
}
