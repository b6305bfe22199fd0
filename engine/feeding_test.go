package engine_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"nearfar/engine"
	"nearfar/engine/cpu"
	"nearfar/engine/op"
	"nearfar/engine/paranoid"
	"nearfar/kernels"
	kernelset "nearfar/kernels/cpu"
)

// epochs is a feed whose bytes change every `period` steps.
type epochs struct {
	name   string
	period uint64
	fills  []uint64
}

func (e *epochs) Ports() []engine.Port {
	return []engine.Port{{Name: e.name, Desc: kernels.Of(kernels.Float32, 3)}}
}
func (e *epochs) Key(t uint64) uint64 { return t / e.period }
func (e *epochs) Fill(t uint64, out []engine.Slot) error {
	e.fills = append(e.fills, t)
	for i := range 3 {
		out[0].Set(i, float64(100*(t/e.period)+uint64(i)))
	}
	return nil
}

// clock is an every-step feed that gives t, and an error from some step on.
type clock struct {
	fills  []uint64
	broken uint64
}

var errBroken = errors.New("the file is gone")

func (c *clock) Ports() []engine.Port {
	return []engine.Port{{Name: "t", Desc: kernels.Of(kernels.Float32)}}
}
func (c *clock) Fill(t uint64, out []engine.Slot) error {
	c.fills = append(c.fills, t)
	if c.broken > 0 && t >= c.broken {
		return errBroken
	}
	out[0].Set(0, float64(t))
	return nil
}

func feedModel(c *clock, es ...*epochs) model {
	return func(b *engine.Builder) engine.Step {
		var scalars []engine.Named
		for _, e := range es { // before the clock, so that places in the block are not in the order of the feeds
			scalars = append(scalars, engine.Named{Name: e.name, Value: op.Sum(b.Feed(e)[0])})
		}
		t := b.Feed(c)[0]
		s := b.State("s", engine.Zeros)
		return engine.Step{Scalars: append(scalars, engine.Named{Name: "t", Value: t}), Updates: []engine.Update{{State: s, Next: op.Add(s, t)}}}
	}
}

func TestFeeds(t *testing.T) {
	everywhere(t, func(t *testing.T, start func(model) *run) {
		c, slow, slower := &clock{}, &epochs{name: "slow", period: 3}, &epochs{name: "slower", period: 4}
		r := start(feedModel(c, slow, slower)).steps(0, 10)
		for i, row := range r.rows {
			want := []float64{float64(300*(i/3) + 3), float64(300*(i/4) + 3), float64(i)}
			close(t, fmt.Sprint("step ", i), row, want, 0)
		}
		if want := []uint64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}; !slices.Equal(c.fills, want) {
			t.Errorf("the clock is filled for %v, want each step once", c.fills)
		}
		if want := []uint64{0, 3, 6, 9}; !slices.Equal(slow.fills, want) {
			t.Errorf("the periodic feed is filled for %v, want %v", slow.fills, want)
		}
		// Back in time, and one step at a time: the same.
		for _, at := range []uint64{4, 2, 3, 11} {
			r.steps(at, 1)
			want := []float64{float64(300*(at/3) + 3), float64(300*(at/4) + 3), float64(at)}
			close(t, fmt.Sprint("step ", at, " alone"), r.rows[len(r.rows)-1], want, 0)
		}
		r.steps(20, 0)
	})
}

// What was filled ahead and never copied to the device is not taken for what the device holds.
func TestCancelBeforeANewEpoch(t *testing.T) {
	everywhere(t, func(t *testing.T, start func(model) *run) {
		slow := &epochs{name: "slow", period: 3}
		r := start(feedModel(&clock{}, slow))
		ctx, cancel := context.WithCancel(context.Background())
		err := r.program.Run(ctx, 0, 10, func(step uint64, _ []float64) {
			if step == 2 { // the inputs of step 3 are being filled
				cancel()
			}
		})
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		r.steps(4, 1)
		if !slices.Contains(slow.fills, 3) {
			t.Errorf("the fills are %v, want one for step 3", slow.fills)
		}
		close(t, "step 4", r.rows[0], []float64{303, 4}, 0)
	})
}

// spy counts what is written to the input block.
type spy struct {
	engine.Device
	writes map[int64]int // by offset
}

type spied struct {
	engine.Mem
	spy *spy
}

func (m spied) Write(off int64, b []byte) error {
	m.spy.writes[off]++
	return m.Mem.Write(off, b)
}

func (s *spy) Alloc(bytes int64, what string) (engine.Mem, error) {
	m, err := s.Device.Alloc(bytes, what)
	if what != "the input block" {
		return m, err
	}
	return spied{m, s}, err
}

func (s *spy) Load(p *engine.Plan, b engine.Binding) (engine.Exec, error) {
	b.Inputs = b.Inputs.(spied).Mem
	return s.Device.Load(p, b)
}

func TestPeriodicFeedsAreUploadedWhenTheyChange(t *testing.T) {
	s := &spy{paranoid.New(1), map[int64]int{}}
	start(t, s, kernels.Float64, feedModel(&clock{}, &epochs{name: "slow", period: 3})).steps(0, 10)
	every, periodic := s.writes[0], 0
	for off, n := range s.writes {
		if off > 0 {
			periodic += n
		}
	}
	if every != 10 || periodic != 4 {
		t.Errorf("%d copies of the step's inputs and %d of the periodic feed's, want 10 and 4", every, periodic)
	}
}

func TestFillErrors(t *testing.T) {
	everywhere(t, func(t *testing.T, start func(model) *run) {
		c := &clock{broken: 3}
		r := start(feedModel(c))
		err := r.program.Run(context.Background(), 0, 10, r.keep)
		if !errors.Is(err, errBroken) || !strings.Contains(err.Error(), "step 3") {
			t.Errorf("the error is %v, want the feed's, with the step", err)
		}
		if s := r.read("s")[0]; len(r.rows) != 3 || s != 0+1+2 {
			t.Errorf("%d steps and a state of %v before the error, want 3 and 3", len(r.rows), s)
		}
		c.broken = 0
		r.steps(3, 1)
		if s := r.read("s")[0]; s != 6 {
			t.Errorf("a state of %v after the feed is well again, want 6", s)
		}
	})
}

func TestCancel(t *testing.T) {
	everywhere(t, func(t *testing.T, start func(model) *run) {
		r := start(feedModel(&clock{}))
		ctx, cancel := context.WithCancel(context.Background())
		err := r.program.Run(ctx, 0, 1000, func(step uint64, row []float64) {
			r.keep(step, row)
			if step == 4 {
				cancel()
			}
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the error is %v, want the context's", err)
		}
		if s := r.read("s")[0]; len(r.rows) != 5 || s != 10 {
			t.Errorf("%d steps and a state of %v, want five whole steps and 10", len(r.rows), s)
		}
	})
}

func TestNoGoroutineIsLeft(t *testing.T) {
	before := runtime.NumGoroutine()
	d := cpu.New(3, kernelset.Generic())
	s := engine.NewStore(d, kernels.Float32, 1)
	c := &clock{broken: 50}
	p, err := engine.Build(s, feedModel(c))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	for _, err := range []error{
		p.Run(ctx, 0, 20, nil),
		p.Run(ctx, 20, 0, nil),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	if p.Run(ctx, 40, 30, nil) == nil {
		t.Error("the broken feed is not reported")
	}
	cancel()
	if p.Run(ctx, 0, 30, nil) == nil {
		t.Error("the cancelled context is not reported")
	}
	if err := errors.Join(p.Close(), s.Close(), d.Close()); err != nil {
		t.Error(err)
	}
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<16)
			t.Fatalf("%d goroutines before and %d after:\n%s", before, runtime.NumGoroutine(), stacks[:runtime.Stack(stacks, true)])
		}
		time.Sleep(time.Millisecond)
	}
}

// A step allocates nothing: a long run allocates what a short one does.
func TestStepsAllocateNothing(t *testing.T) {
	for name, m := range gallery {
		for _, threads := range []int{1, 2} {
			t.Run(fmt.Sprint(name, "/", threads), func(t *testing.T) {
				r := start(t, cpu.New(threads, kernelset.Best()), kernels.Float32, m).steps(0, 2)
				allocations := func(n int) float64 {
					return testing.AllocsPerRun(5, func() {
						if err := r.program.Run(context.Background(), 2, n, nil); err != nil {
							t.Fatal(err)
						}
					})
				}
				if short, long := allocations(10), allocations(210); long > short+2 { // the runtime has its own now and then
					t.Errorf("10 steps make %v allocations and 210 make %v", short, long)
				}
			})
		}
	}
}

// n + m steps are n steps, a snapshot, another store, and m steps: bit for bit.
func TestResume(t *testing.T) {
	for name, m := range gallery {
		for _, d := range devices {
			for _, float := range []kernels.DType{kernels.Float32, kernels.Float64} {
				t.Run(fmt.Sprint(name, "/", d.name, "/", float), func(t *testing.T) {
					whole := start(t, d.make(), float, m).steps(0, 7)
					first := start(t, d.make(), float, m).steps(0, 1).steps(1, 2)
					states, constants, err := first.store.Snapshot()
					if err != nil {
						t.Fatal(err)
					}
					second := start(t, d.make(), float, m)
					if difference, err := second.store.Equal(first.store); err != nil || difference == "" {
						t.Errorf("three steps changed nothing: %v", err)
					}
					if err := second.store.Restore(states, constants); err != nil {
						t.Fatal(err)
					}
					if difference, err := second.store.Equal(first.store); err != nil || difference != "" {
						t.Errorf("%s differs after Restore: %v", difference, err)
					}
					second.rows = first.rows
					agree(t, "resumed", second.steps(3, 4), whole, 0)
				})
			}
		}
	}
}

func TestRestoreRefusesWhatDoesNotFit(t *testing.T) {
	saved := func(edit func(b *engine.Builder) engine.Step) ([]engine.Saved, map[string]uint32) {
		states, constants, err := start(t, paranoid.New(1), kernels.Float64, edit).store.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		return states, constants
	}
	build := func(n int, last string, constant float64) model {
		return func(b *engine.Builder) engine.Step {
			a, c := b.State("a", engine.Constant(5), 2), b.State(last, engine.Constant(5), n)
			k := b.Const("k", []float64{constant}, 1)
			return engine.Step{Outputs: []engine.Named{{Name: "x", Value: op.Mul(op.Add(a, op.Sum(c)), k)}}}
		}
	}
	for name, c := range map[string]struct {
		m    model
		want string
	}{
		"a shape":        {build(3, "c", 1), "another configuration"},
		"a missing name": {build(2, "d", 1), "has no c"},
		"other data":     {build(2, "c", 2), "has the data changed"},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, paranoid.New(1), kernels.Float64, build(2, "c", 1))
			if err := r.store.Write64("a", []float64{1, 2}); err != nil {
				t.Fatal(err)
			}
			err := r.store.Restore(saved(c.m))
			mustSay(t, err, c.want)
			close(t, "a after a refused Restore", r.read("a"), []float64{1, 2}, 0)
		})
	}
	r := start(t, paranoid.New(1), kernels.Float64, build(2, "c", 1))
	states, constants := saved(build(2, "c", 1))
	states[0].Data = states[0].Data[:8]
	mustSay(t, r.store.Restore(states, constants), "cut off")
}

// stuck is a feed whose Fill of one step waits until it is let go.
type stuck struct {
	clock
	at  uint64
	let chan struct{}
}

func (s *stuck) Fill(t uint64, out []engine.Slot) error {
	if t == s.at {
		<-s.let
	}
	return s.clock.Fill(t, out)
}

// A feed that does not come back keeps no cancelled run; the next one waits for it.
func TestCancelWhileAFeedIsSlow(t *testing.T) {
	for _, at := range []uint64{0, 3} {
		feed := &stuck{at: at, let: make(chan struct{})}
		r := start(t, paranoid.New(1), kernels.Float64, func(b *engine.Builder) engine.Step {
			return engine.Step{Scalars: []engine.Named{{Name: "t", Value: b.Feed(feed)[0]}}}
		})
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		if err := r.program.Run(ctx, 0, 10, r.keep); !errors.Is(err, context.DeadlineExceeded) || len(r.rows) != int(at) {
			t.Errorf("%v after %d steps, want the context's after %d", err, len(r.rows), at)
		}
		cancel()
		time.AfterFunc(20*time.Millisecond, func() { feed.let <- struct{}{} }) // to the old run; the new one fills other steps
		r.steps(5, 1)
		close(t, "step 5", r.rows[len(r.rows)-1], []float64{5}, 0)
	}
}

func TestRunsOfNoSteps(t *testing.T) {
	c := &clock{}
	r := start(t, paranoid.New(1), kernels.Float64, feedModel(c)).steps(4, 0)
	mustSay(t, r.program.Run(context.Background(), 0, -3, r.keep), "-3 steps")
	_, err := r.program.Profile(context.Background(), 0)
	mustSay(t, err, "paranoid", "no times")
	if len(c.fills) > 0 || len(r.rows) > 0 {
		t.Errorf("fills %v and reports %v of no steps", c.fills, r.rows)
	}
}
