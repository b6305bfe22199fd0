package engine

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"nearfar/kernels"
)

// Explain prints the program: each instruction with its operands' shapes, the bytes it must move, its floating-point operations, and the operators
// of the graph that it came from; then what the whole needs. With times, of Profile, it prints each one's time too, and their sums by kernel.
func (p *Plan) Explain(w io.Writer, times []time.Duration) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	clock := func(k int) string { return "" }
	head := "#\t"
	if times != nil {
		clock = func(k int) string { return milliseconds(times[k]) + "\t" }
		head = "#\tms\t"
	}
	fmt.Fprintln(t, head+"kernel\toutputs\tinputs\tMB\tMFLOP\tin place\tfrom")
	var flops, bytes int64
	for k, i := range p.Code {
		flops, bytes = flops+i.FLOPs, bytes+i.Bytes
		place := ""
		for o, in := range i.InPlace {
			if in >= 0 {
				place += fmt.Sprintf("%d:%d ", o, in)
			}
		}
		fmt.Fprintf(t, "%d\t%s%s\t%s\t%s\t%.2f\t%.2f\t%s\t%s\n", k, clock(k), i.form(), p.operands(i.Out), p.operands(i.In), float64(i.Bytes)/1e6,
			float64(i.FLOPs)/1e6, place, shorten(i.From))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "%d instructions, %.1f MB moved and %.1f MFLOP a step at least; arena %.1f MB, inputs %.2f MB\n", len(p.Code),
		float64(bytes)/1e6, float64(flops)/1e6, float64(p.Arena)/1e6, float64(p.Input)/1e6); err != nil || times == nil {
		return err
	}
	return p.explainTimes(w, times)
}

// explainTimes prints where a step's time went, by kernel, the most first.
func (p *Plan) explainTimes(w io.Writer, times []time.Duration) error {
	type sum struct {
		kernel       string
		n            int
		time         time.Duration
		bytes, flops int64
	}
	var sums []sum
	all := sum{kernel: "all"}
	for k, i := range p.Code {
		at := slices.IndexFunc(sums, func(s sum) bool { return s.kernel == i.form() })
		if at < 0 {
			at = len(sums)
			sums = append(sums, sum{kernel: i.form()})
		}
		for _, s := range []*sum{&sums[at], &all} {
			s.n, s.time, s.bytes, s.flops = s.n+1, s.time+times[k], s.bytes+i.Bytes, s.flops+i.FLOPs
		}
	}
	slices.SortStableFunc(sums, func(a, b sum) int { return cmp.Compare(b.time, a.time) })
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nkernel\tinstructions\tms\tshare\tGB/s\tGFLOP/s")
	for _, s := range append(sums, all) {
		seconds := max(s.time, 1).Seconds()
		fmt.Fprintf(t, "%s\t%d\t%s\t%.1f%%\t%.1f\t%.1f\n", s.kernel, s.n, milliseconds(s.time), 100*seconds/max(all.time, 1).Seconds(),
			float64(s.bytes)/1e9/seconds, float64(s.flops)/1e9/seconds)
	}
	return t.Flush()
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.3f", float64(d)/float64(time.Millisecond))
}

// operands prints buffers as name or kind and shape.
func (p *Plan) operands(ids []BufID) string {
	s := make([]string, len(ids))
	for i, id := range ids {
		b := p.Bufs[id]
		name := b.Name
		if name == "" {
			name = fmt.Sprintf("t%d", b.Root)
		}
		s[i] = name + strings.TrimPrefix(b.Desc.String(), b.Desc.Type.String()) // the shape alone
	}
	return strings.Join(s, " ")
}

func shorten(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:57]) + "..."
	}
	return s
}

// form is the kernel's name, and what else its cost goes by.
func (i *Instr) form() string {
	name := i.K.Name()
	if k, ok := i.K.(kernels.SpMM); ok {
		if k.Half {
			name += " half"
		}
		if k.ZeroRows {
			name += " zero rows"
		}
	}
	return name
}
