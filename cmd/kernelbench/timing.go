package main

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"time"
)

var started = time.Now()

// timing is how long something took, and the time of the processors in it.
type timing struct{ wall, cpu time.Duration }

// clocked times f by the host's clocks.
func clocked(f func() error) (timing, error) {
	cpu, wall := processorTime(), time.Now()
	err := f()
	return timing{time.Since(wall), processorTime() - cpu}, err
}

// hostClocked runs f by the host's clocks.
func hostClocked(f func(context.Context) error) func(context.Context, int) (timing, error) {
	return func(ctx context.Context, times int) (timing, error) {
		return clocked(func() error {
			for range times {
				if err := f(ctx); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// A contestant is one variant of one kernel, ready to run, a peer's too.
type contestant struct {
	device, variant string
	threads         int
	run             func(ctx context.Context, times int) (timing, error)
	verified        bool
	note            string // why it is not verified or not timed
	refuses         bool   // to be timed
	gpu             bool   // its caches are not the processor's
	half            bool   // it computes less precisely than the others of the match
	about           string // how it does it, of a peer

	times      int // runs between two looks at the clock
	warm, cold []timing
}

// What a measurement takes: few runs of what is slow, many of what is quick.
const (
	shortest  = time.Millisecond // between two looks at the clock
	leastRuns = 9
	leastSlow = 3 // of what takes longer than slow
	slow      = 100 * time.Millisecond
	mostRuns  = 600
	inTurn    = 3 // looks at the clock
	coldRuns  = 3 // one of what is slow: it fills the caches many times over by itself
)

// measure times contestants in turn, so that a disturbance meets all of them: first with warm caches until each has had its time, then with cold ones.
// chill empties the caches.
func measure(ctx context.Context, all []*contestant, each time.Duration, chill func()) error {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	var timed []*contestant
	for _, c := range all {
		if c.refuses || !c.verified || c.run == nil {
			continue
		}
		t, err := c.run(ctx, 1) // warm-up, and how many runs a look at the clock is worth
		if err != nil {
			return fmt.Errorf("%s %s: %w", c.device, c.variant, err)
		}
		c.times = int(max(1, shortest/max(t.wall, 1)))
		timed = append(timed, c)
	}
	for busy := true; busy; {
		busy = false
		for _, c := range timed {
			if c.done(each) {
				continue
			}
			busy = true
			if err := c.turn(ctx); err != nil {
				return fmt.Errorf("%s %s: %w", c.device, c.variant, err)
			}
		}
	}
	for round := range coldRuns {
		for _, c := range timed {
			if c.gpu || round > 0 && median(c.warm, wallOf) > slow {
				continue
			}
			chill()
			t, err := c.run(ctx, 1)
			if err != nil {
				return fmt.Errorf("%s %s: %w", c.device, c.variant, err)
			}
			c.cold = append(c.cold, t)
		}
	}
	return nil
}

// turn looks at the clock a few times, behind a run that finds the caches as the one before has left them.
func (c *contestant) turn(ctx context.Context) error {
	looks := inTurn
	if len(c.warm) > 0 && c.warm[0].wall > slow {
		looks = 1 // it fills the caches by itself
	} else if _, err := c.run(ctx, 1); err != nil {
		return err
	}
	for range looks {
		t, err := c.run(ctx, c.times)
		if err != nil {
			return err
		}
		n := time.Duration(c.times)
		c.warm = append(c.warm, timing{t.wall / n, t.cpu / n})
	}
	return nil
}

// done tells whether a contestant has had its time.
func (c *contestant) done(each time.Duration) bool {
	var spent time.Duration
	for _, t := range c.warm {
		spent += t.wall * time.Duration(c.times)
	}
	least := leastRuns
	if len(c.warm) > 0 && c.warm[0].wall > slow {
		least = leastSlow
	}
	return len(c.warm) >= least && spent >= each || len(c.warm) >= mostRuns
}

func wallOf(t timing) time.Duration { return t.wall }
func cpuOf(t timing) time.Duration  { return t.cpu }

// quantile q of the timings, by the nearest one.
func quantile(ts []timing, of func(timing) time.Duration, q float64) time.Duration {
	if len(ts) == 0 {
		return 0
	}
	d := make([]time.Duration, len(ts))
	for i, t := range ts {
		d[i] = of(t)
	}
	slices.Sort(d)
	return d[int(q*float64(len(d)-1)+.5)]
}

func median(ts []timing, of func(timing) time.Duration) time.Duration { return quantile(ts, of, .5) }
