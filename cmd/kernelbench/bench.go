package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"nearfar/engine"
	"nearfar/kernels"
	"nearfar/trainer/memory"
)

// bench verifies and times what the options name.
func bench(ctx context.Context, o *options, stdout, stderr io.Writer) (err error) {
	picked, err := chosen(o.sizes, o.data)
	if err != nil {
		return err
	}
	b := &bencher{options: o, stdout: stdout, stderr: stderr}
	defer func() { err = errors.Join(err, b.closeDevices()) }()
	if o.torch != "" && o.dump == "" {
		if o.dump, err = os.MkdirTemp("", "kernelbench"); err != nil {
			return err
		}
		defer os.RemoveAll(o.dump)
	}
	for _, threads := range o.thread {
		if err := b.at(ctx, threads, picked); err != nil {
			return err
		}
	}
	if len(b.records) == 0 {
		return misused("-run %s: no kernel of that name", o.run)
	}
	return b.finish()
}

// bencher is a run under way.
type bencher struct {
	*options
	stdout, stderr io.Writer
	devices        []device
	top            *ceilings
	table          table
	records        []record
	failed         int // variants that are not what float64 says
	evict          []float32
	peers          []*peer
}

// at runs all sizes with so many threads.
func (b *bencher) at(ctx context.Context, threads int, picked []size) error {
	if err := b.closeDevices(); err != nil {
		return err
	}
	var note string
	first := threads == b.thread[0] // a GPU has no sweep over threads
	b.devices, note = openDevices(threads, b.variant, first)
	if note != "" {
		fmt.Fprintln(b.stderr, "kernelbench:", note)
	}
	if len(b.devices) == 0 && !first {
		return nil
	}
	if len(b.devices) == 0 {
		return misused("-variant %s: there is no device of that name in this build and on this machine", b.variant)
	}
	for _, d := range b.devices {
		if !d.host {
			fmt.Fprintf(b.stdout, "%s: %s\n", d.variant, d.Name())
		}
		if d.refuses != "" {
			fmt.Fprintf(b.stderr, "kernelbench: %s is verified and not timed: %s\n", d.Name(), d.refuses)
		}
	}
	if b.torch != "" {
		var err error
		if b.peers, err = startPeers(b.torch, b.script, threads); err != nil {
			return err
		}
	}
	b.top = nil
	if !b.dry {
		l2, l3 := caches()
		b.top = measureCeilings(threads, l2, l3, clockOf(b.clock, 1))
		if err := b.top.print(b.stdout); err != nil {
			return err
		}
	}
	b.table = newTable(b.stdout)
	seen := map[string]bool{}
	for _, s := range picked {
		w, err := s.open(ctx)
		if err != nil {
			return err
		}
		for _, n := range b.sweep(w.train.Items) {
			for _, p := range selected(problems(w, n), b.run, seen) {
				if err := b.problem(ctx, p); err != nil {
					return fmt.Errorf("%s, %s: %w", p.name, p.size, err)
				}
			}
			if err := b.whole(ctx, w, n, seen); err != nil {
				return err
			}
		}
	}
	return nil
}

// sweep is every combination of the dimensions, for a size of so many items.
func (o *options) sweep(items int) (all []dimensions) {
	for _, d := range o.dims {
		for _, batch := range o.batches {
			for _, n := range o.candidates {
				if n == 0 {
					n = items
				}
				all = append(all, dimensions{batch, n, d})
			}
		}
	}
	return all
}

// problem verifies and times one problem on all devices, and on the peers that compute it.
func (b *bencher) problem(ctx context.Context, p problem) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	about := specOf(p)
	if b.torch != "" && about == nil {
		return nil
	}
	in := p.in(newDraws(p.name + "|" + p.size))
	if need := 3 * bytesIn(in); need > memory.GiB {
		if available, lacks := memory.Lacks(need); lacks {
			return fmt.Errorf("it takes some %.1f GiB, and the system has %.1f GiB: take a smaller -sizes, -B, -N or -d", float64(need)/memory.GiB,
				float64(available)/memory.GiB)
		}
	}
	v, err := verify(p, in, patience)
	if err != nil {
		return err
	}
	m := &match{kernel: p.name, size: p.size, work: workOf(p, in), looked: v.String()}
	defer func() { err = errors.Join(err, m.close()) }()
	var shared *operands // of the processor's devices
	var verified []tensor
	for _, d := range b.devices {
		o := shared
		if o == nil || !d.host {
			if o, err = place(d.Device, p, in); err != nil {
				return err
			}
			m.closeLater(o.free)
			if d.host {
				shared = o
			}
		}
		c := m.enter(d)
		code := o.plan.Code[0]
		if !d.Offers(p.k, o.plan.Descs(code.Out), o.plan.Descs(code.In)) {
			c.note = "not offered"
			continue
		}
		e, err := o.load(d.Device)
		if err != nil {
			return err
		}
		m.closeLater(e.Close)
		if err := o.fill(); err != nil {
			return err
		}
		if err := e.Run(ctx); err != nil {
			return err
		}
		out, err := o.results()
		if err != nil {
			return err
		}
		if c.judge(v.check(out)); c.verified {
			verified = out
		}
		c.run = runOf(d, e)
		if err := o.fill(); err != nil {
			return err
		}
	}
	if about != nil {
		if err := b.meetPeers(m, about, in, verified, v.check); err != nil {
			return err
		}
	}
	return b.play(ctx, m)
}

// meetPeers writes a case for peers, where somebody wants it, and enters those that are there.
func (b *bencher) meetPeers(m *match, about spec, in, out []tensor, check func(out []tensor) error) error {
	if b.dump == "" {
		return nil
	}
	folder, err := b.dumpCase(about, m.kernel, m.size, in)
	if err == nil {
		err = dumpTensors(folder, "out", out)
	}
	for _, p := range b.peers {
		if err == nil {
			m.all = append(m.all, p.contestant(folder, check))
		}
	}
	return err
}

// play times a match and notes the result.
func (b *bencher) play(ctx context.Context, m *match) error {
	for _, c := range m.all {
		if strings.HasPrefix(c.note, wrong) {
			b.failed++
		}
	}
	if !b.dry {
		if err := measure(ctx, m.all, b.each, b.chill); err != nil {
			return err
		}
	}
	for _, c := range m.all {
		top := b.top
		if c.device != "cpu" {
			top = nil
		}
		b.add(recordOf(c, m, top, b.clock))
	}
	if len(b.peers) > 0 {
		m.ratios(b.stdout, b.clock)
	}
	return nil
}

// add notes and prints a record.
func (b *bencher) add(r record) {
	r.Time = started.UTC().Format(time.RFC3339)
	r.Commit = commit()
	b.records = append(b.records, r)
	b.table.add(r)
}

func bytesIn(ts []tensor) (n int64) {
	for _, t := range ts {
		n += t.Desc.Bytes()
	}
	return n
}

// workOf counts as trainer explain does.
func workOf(p problem, in []tensor) (w work) {
	out, err := p.k.Infer(descs(in))
	if k, ok := p.k.(kernels.SpMM); err != nil || ok && k.ZeroRows { // how much is left out is the data's
		return w
	}
	w.flops, w.bytes = engine.Cost(p.k, out, descs(in))
	for _, d := range out {
		w.written += d.Bytes()
	}
	w.written = min(w.written, w.bytes/2)
	w.reach = w.bytes
	for _, d := range out[:p.inPlace] { // read and written, and one memory
		w.reach -= min(d.Bytes(), w.reach/2)
	}
	if sparse(p) {
		w.reach = in[0].Desc.Bytes() // a row of X is read for every edge
	}
	return w
}

// chill writes over more memory than the caches hold.
func (b *bencher) chill() {
	if b.evict == nil {
		_, l3 := caches()
		b.evict = make([]float32, 2*l3/4)
	}
	for i := range b.evict {
		b.evict[i]++
	}
}

// finish writes the files and says whether something was wrong.
func (b *bencher) finish() error {
	if b.json != "" {
		if err := writeJSON(b.json, b.records); err != nil {
			return err
		}
	}
	if b.plot != "" {
		if err := writePlot(b.plot, b.records); err != nil {
			return err
		}
	}
	if b.failed > 0 {
		return fmt.Errorf("%d variants are not what float64 says; they were not timed", b.failed)
	}
	return nil
}

func (b *bencher) closeDevices() error {
	var errs []error
	for _, d := range b.devices {
		errs = append(errs, d.Close())
	}
	for _, p := range b.peers {
		errs = append(errs, p.close())
	}
	b.devices, b.peers = nil, nil
	return errors.Join(errs...)
}

// commit is the one that the program was built of, where Go knows it.
func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	text := ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			text = s.Value[:min(12, len(s.Value))] + text
		case s.Key == "vcs.modified" && s.Value == "true":
			text += "+"
		}
	}
	return text
}
