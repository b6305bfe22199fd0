package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"time"
)

// A record is one line of a run's result. What was not measured is null in JSON: everything of a device that refuses to be timed, the share where no
// ceiling was measured, a rate of nothing.
type record struct {
	Kernel  string `json:"kernel"`
	Variant string `json:"variant"`
	Device  string `json:"device"`
	Size    string `json:"size"`
	Threads int    `json:"threads"`

	MS      *float64 `json:"ms"` // the median with warm caches, by Clock
	GFlops  *float64 `json:"gflops"`
	GBps    *float64 `json:"gbps"`
	Ceiling string   `json:"ceiling"` // that the kernel meets first
	Share   *float64 `json:"share"`   // of the ceiling

	Verified     bool   `json:"verified"`
	VerifiedRows string `json:"verified_rows,omitempty"`

	Clock  string   `json:"clock,omitempty"` // wall or cpu
	Q1     *float64 `json:"ms_q1,omitempty"` // the quartiles
	Q3     *float64 `json:"ms_q3,omitempty"`
	Best   *float64 `json:"ms_best,omitempty"`
	CPU    *float64 `json:"ms_cpu,omitempty"`  // of one thread, all threads' together divided by their number
	Wall   *float64 `json:"ms_wall,omitempty"` // the other of the two clocks is ms
	Cold   *float64 `json:"ms_cold,omitempty"` // the median with empty caches
	Runs   int      `json:"runs,omitempty"`    // looks at the clock
	Note   string   `json:"note,omitempty"`    // why something is missing
	Commit string   `json:"commit,omitempty"`
	Time   string   `json:"time,omitempty"`
}

func number(v float64) *float64 {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

func milliseconds(d time.Duration) *float64 { return number(float64(d) / 1e6) }

// recordOf is what there is to say of a contestant.
func recordOf(c *contestant, m *match, top *ceilings, clock string) record {
	w := m.work
	r := record{Kernel: c.named(m.kernel), Variant: c.variant, Device: c.device, Size: m.size, Threads: c.threads, Verified: c.verified, VerifiedRows: m.looked, Note: c.note,
		Ceiling: notMeasured}
	if len(c.warm) == 0 {
		return r
	}
	by := clockOf(clock, c.threads)
	ms := median(c.warm, by)
	r.Clock, r.Runs = clock, len(c.warm)
	r.MS, r.Q1, r.Q3, r.Best = milliseconds(ms), milliseconds(quantile(c.warm, by, .25)), milliseconds(quantile(c.warm, by, .75)), milliseconds(quantile(c.warm, by, 0))
	r.CPU, r.Wall = milliseconds(median(c.warm, cpuOf)/time.Duration(c.threads)), milliseconds(median(c.warm, wallOf))
	r.Cold = milliseconds(median(c.cold, by))
	r.GFlops, r.GBps = number(float64(w.flops)/float64(ms)), number(float64(w.bytes)/float64(ms))
	if w == (work{}) { // of a whole step the parts are counted, not the sum
		return r
	}
	name, share := top.bound(w, ms.Seconds())
	r.Ceiling, r.Share = name, number(share)
	return r
}

// clockOf reads one of the two clocks of a timing.
func clockOf(clock string, threads int) func(timing) time.Duration {
	if clock == "cpu" {
		return func(t timing) time.Duration { return t.cpu / time.Duration(threads) }
	}
	return wallOf
}

// table prints records as they come, in columns that are wide enough for most.
type table struct{ w io.Writer }

const line = "%-27s %-33s %7s  %-19s %9s %6s %9s %6s %6s  %-11s %5s  %s\n"

func newTable(w io.Writer) table {
	fmt.Fprintf(w, line, "kernel", "size", "threads", "variant", "ms", "spread", "cold ms", "GF/s", "GB/s", "ceiling", "share", "verified")
	return table{w}
}

func (t table) add(r record) {
	fmt.Fprintf(t.w, line, r.Kernel, r.Size, fmt.Sprint(r.Threads), r.label(), figure(r.MS), r.spread(), figure(r.Cold), figure(r.GFlops), figure(r.GBps),
		r.ceiling(), percent(r.Share), r.state())
}

// label tells a variant in a table. The GPU has its name in a line of its own.
func (r record) label() string {
	if version, ok := strings.CutPrefix(r.Device, "torch "); ok {
		return "torch " + version + " " + r.Variant
	}
	return r.Variant
}

// spread is half the distance of the quartiles, of the median.
func (r record) spread() string {
	if r.MS == nil || r.Q1 == nil || r.Q3 == nil {
		return "-"
	}
	return fmt.Sprintf("±%.0f%%", 50*(*r.Q3-*r.Q1) / *r.MS)
}

func (r record) ceiling() string {
	if r.MS == nil {
		return "-"
	}
	return r.Ceiling
}

func (r record) state() string {
	switch {
	case r.Verified && r.Note != "":
		return r.VerifiedRows + "; not timed"
	case r.Verified:
		return r.VerifiedRows
	}
	return r.Note
}

// figure has three digits.
func figure(v *float64) string {
	switch {
	case v == nil:
		return "-"
	case *v >= 100:
		return fmt.Sprintf("%.0f", *v)
	case *v >= 10:
		return fmt.Sprintf("%.1f", *v)
	case *v >= 1:
		return fmt.Sprintf("%.2f", *v)
	}
	return fmt.Sprintf("%.3g", *v)
}

func percent(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.0f%%", 100**v)
}

// writeJSON writes an array of records.
func writeJSON(path string, records []record) error {
	if records == nil {
		records = []record{} // an array, though nothing is in it
	}
	text, err := json.MarshalIndent(records, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o666); err != nil {
		return fmt.Errorf("-json: %w", err)
	}
	return nil
}

func readJSON(path string) (records []record, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("-compare: %w", err)
	}
	if err := json.Unmarshal(text, &records); err != nil {
		return nil, fmt.Errorf("-compare: %s is not what -json writes: %w", path, err)
	}
	return records, nil
}
