// Package progress shows how far a long work is: a bar with rate and time left on a terminal, lines elsewhere.
//
//	console := progress.NewConsole(os.Stderr, progress.IsTerminal(os.Stderr))
//	log := ... // writes to console too, so that its lines stand above the bar
//	epoch := console.Start(steps, "epoch 3")
//	for range steps { ...; epoch.Step(1) }
//	epoch.DoneWith("loss 0.412")
//
// On a terminal the bar is redrawn 7 times a second and removed at the end. Elsewhere a line is written every 10 seconds. In both,
// the end leaves one line: "epoch 3: 1024 in 12.3s, 83.3/s; loss 0.412".
package progress

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/cwriter"
	"github.com/vbauerster/mpb/v8/decor"
)

// lineInterval is short enough to see that a work lives and long enough to keep a log readable.
const lineInterval = 10 * time.Second

// IsTerminal tells whether a file is a terminal.
func IsTerminal(f *os.File) bool { return cwriter.IsTerminal(int(f.Fd())) }

// A Console is an output shared by lines and, on a terminal, one bar. It may be used by several goroutines.
type Console struct {
	terminal bool

	mu   sync.Mutex
	w    io.Writer
	bars *mpb.Progress // nil while no bar is shown
}

// NewConsole makes a console of w.
func NewConsole(w io.Writer, isTerminal bool) *Console { return &Console{w: w, terminal: isTerminal} }

// Write writes whole lines, above the bar where there is one.
func (c *Console) Write(lines []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bars != nil {
		// A line without its end would be overdrawn by the bar.
		text := lines
		if n := len(text); n > 0 && text[n-1] != '\n' {
			text = append(text[:n:n], '\n')
		}
		if _, err := c.bars.Write(text); err == nil {
			return len(lines), nil
		} // else the bar could not be drawn and is gone
	}
	return c.w.Write(lines)
}

// A Work is counted from Start to Done. Only Step may be called by several goroutines.
type Work struct {
	console *Console
	label   string
	total   int64 // 0 where it is not known
	start   time.Time
	count   atomic.Int64

	bar   *mpb.Bar      // nil where lines are written
	stop  chan struct{} // ends the goroutine that writes lines
	ended chan struct{} // it has ended
	done  bool
}

// New starts a work on a console of its own.
func New(w io.Writer, isTerminal bool, total int, label string) *Work {
	return NewConsole(w, isTerminal).Start(total, label)
}

// Start starts a work of the given number of steps; 0 where it is not known. While a bar is shown, a further work writes lines.
func (c *Console) Start(total int, label string) *Work {
	w := &Work{console: c, label: label, total: int64(max(total, 0)), start: time.Now()}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.terminal && c.bars == nil {
		c.bars = mpb.New(mpb.WithOutput(c.w), mpb.WithAutoRefresh())
		w.bar = w.addBar(c.bars)
		return w
	}
	w.stop, w.ended = make(chan struct{}), make(chan struct{})
	go w.writeLines()
	return w
}

// addBar lets the bar read the counter when it is drawn, so that Step has nothing to do with it.
func (w *Work) addBar(bars *mpb.Progress) *mpb.Bar {
	style := mpb.BarFillerBuilder(mpb.BarStyle())
	if w.total == 0 {
		style = mpb.NopStyle()
	}
	return bars.New(w.total, style,
		mpb.BarFillerMiddleware(func(filler mpb.BarFiller) mpb.BarFiller {
			return mpb.BarFillerFunc(func(out io.Writer, s decor.Statistics) error {
				s.Current = min(w.count.Load(), w.total)
				return filler.Fill(out, s)
			})
		}),
		mpb.PrependDecorators(decor.Name(w.label)),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string {
			return w.state(w.count.Load(), time.Since(w.start))
		}, decor.WC{W: 40, C: decor.DindentRight})), // a width that does not change with the text keeps the bar still
	)
}

func (w *Work) writeLines() {
	defer close(w.ended)
	ticker := time.NewTicker(lineInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			w.Message(w.label + ": " + w.state(w.count.Load(), time.Since(w.start)))
		case <-w.stop:
			return
		}
	}
}

// Step counts n steps. It is one atomic addition.
func (w *Work) Step(n int) { w.count.Add(int64(n)) }

// Message writes a line, above the bar where there is one. Lines that cannot be written are dropped: a closed terminal must
// not end a training.
func (w *Work) Message(line string) {
	_, _ = io.WriteString(w.console, strings.TrimSuffix(line, "\n")+"\n")
}

// Done ends the work, finished or not, and leaves a line that sums it up. A second call does nothing.
func (w *Work) Done() { w.DoneWith("") }

// DoneWith is Done with details at the end of the line: a loss, a metric.
func (w *Work) DoneWith(details string) {
	if w.done {
		return
	}
	w.done = true
	elapsed := time.Since(w.start)
	if w.bar != nil {
		w.bar.Abort(true) // removes the bar, at whatever count
		w.console.mu.Lock()
		w.console.bars.Wait()
		w.console.bars = nil
		w.console.mu.Unlock()
	} else {
		close(w.stop)
		<-w.ended
	}
	line := w.label + ": " + w.summary(w.count.Load(), elapsed)
	if details != "" {
		line += "; " + details
	}
	w.Message(line)
}

// state is "512/1024 (50%), 83.3/s, 6.1s left".
func (w *Work) state(count int64, elapsed time.Duration) string {
	s := fmt.Sprint(count)
	if w.total > 0 {
		s = fmt.Sprintf("%d/%d (%d%%)", count, w.total, 100*count/w.total)
	}
	if count <= 0 || elapsed <= 0 {
		return s
	}
	s += ", " + rate(count, elapsed)
	if left := w.total - count; left > 0 {
		s += ", " + span(time.Duration(float64(elapsed)*float64(left)/float64(count))) + " left"
	}
	return s
}

// summary is "1024 in 12.3s, 83.3/s", or "stopped at 512/1024 after 6.1s".
func (w *Work) summary(count int64, elapsed time.Duration) string {
	if count < w.total {
		return fmt.Sprintf("stopped at %d/%d after %s", count, w.total, span(elapsed))
	}
	s := fmt.Sprintf("%d in %s", count, span(elapsed))
	if count > 0 && elapsed > 0 {
		s += ", " + rate(count, elapsed)
	}
	return s
}

// rate has three significant digits below 1000, and no exponent.
func rate(count int64, elapsed time.Duration) string {
	r := float64(count) / elapsed.Seconds()
	switch {
	case r >= 100:
		return fmt.Sprintf("%.0f/s", r)
	case r >= 10:
		return fmt.Sprintf("%.1f/s", r)
	case r >= .1:
		return fmt.Sprintf("%.2f/s", r)
	}
	return fmt.Sprintf("%.1f/min", 60*r)
}

// span is a duration as precise as a reader wants it.
func span(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
