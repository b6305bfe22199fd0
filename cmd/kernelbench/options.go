package main

import (
	"flag"
	"fmt"
	"io"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

	kernelset "nearfar/kernels/cpu"
)

// options are a command line's.
type options struct {
	run, variant                      *regexp.Regexp
	sizes                             []string
	data                              string
	batches, candidates, dims, thread []int
	each                              time.Duration
	clock                             string
	dry                               bool

	json, plot, dump, torch, script string
	compare                         bool
	files                           []string
}

func parse(args []string, stderr io.Writer) (*options, error) {
	o := &options{}
	f := flag.NewFlagSet("kernelbench", flag.ContinueOnError)
	f.SetOutput(stderr)
	run := f.String("run", "", "regular expression of the kernels' `NAMES`; empty: all")
	variant := f.String("variant", "", "regular expression of the `VARIANTS`: generic, avx2, avx512, cuda; empty: all, with -torch the fastest")
	names := f.String("sizes", "", "comma-separated sizes: tiny, embedded, 20k, 70k, 300k, 1m, or the data's name (default 20k, or with -data that)")
	f.StringVar(&o.data, "data", "", "`FOLDER` of a data set (yelp2018), as trainer -data has it")
	batch := f.String("B", "2048", "rows of a batch, several by commas")
	candidates := f.String("N", "2048", "candidates of a contrast, several by commas; 0: as many as the size has items")
	dim := f.String("d", "64", "length of a row, several by commas")
	threads := f.String("threads", "1", "threads of the processor, several by commas; 0: all")
	f.DurationVar(&o.each, "time", 20*time.Millisecond, "how long each variant is timed, at least")
	f.StringVar(&o.clock, "clock", "wall", "what ms and the rates are of: wall, or cpu (steadier on a machine that others use)")
	f.BoolVar(&o.dry, "verify", false, "verify only, time nothing")
	f.StringVar(&o.json, "json", "", "write the result as a JSON array to `FILE`")
	f.StringVar(&o.plot, "plot", "", "draw the shares of the ceilings as SVG in `FILE`")
	f.StringVar(&o.dump, "dump", "", "write inputs and verified outputs, for peers, into `FOLDER`")
	f.StringVar(&o.torch, "torch", "", "`PYTHON` with PyTorch, to time what it can on the same inputs in turn")
	f.StringVar(&o.script, "peer", "docs/peers/torch_cpu.py", "the peer's script")
	f.BoolVar(&o.compare, "compare", false, "compare two results of -json: kernelbench -compare A.json B.json")
	if err := f.Parse(args); err != nil {
		if err == flag.ErrHelp {
			return nil, err
		}
		return nil, &usageError{err}
	}
	o.files = f.Args()
	if o.compare && len(o.files) != 2 {
		return nil, misused("-compare: want two files that -json has written, got %d", len(o.files))
	}
	if !o.compare && len(o.files) > 0 {
		return nil, misused("%s: there are options only; -compare takes two files", o.files[0])
	}
	var err error
	if o.run, err = regexp.Compile(*run); err != nil {
		return nil, misused("-run: %v", err)
	}
	if *variant == "" && o.torch != "" {
		*variant = "^(" + kernelset.Best().Name() + "|cuda)$"
	}
	if o.variant, err = regexp.Compile(*variant); err != nil {
		return nil, misused("-variant: %v", err)
	}
	for _, l := range []struct {
		flag, text string
		least      int
		to         *[]int
	}{{"-B", *batch, 1, &o.batches}, {"-N", *candidates, 0, &o.candidates}, {"-d", *dim, 1, &o.dims}, {"-threads", *threads, 0, &o.thread}} {
		if *l.to, err = list(l.text, l.least); err != nil {
			return nil, misused("%s %s: %v", l.flag, l.text, err)
		}
	}
	for i, t := range o.thread {
		if t == 0 {
			o.thread[i] = runtime.GOMAXPROCS(0)
		}
	}
	if o.clock != "wall" && o.clock != "cpu" {
		return nil, misused("-clock %s: want wall or cpu", o.clock)
	}
	switch {
	case *names != "":
		o.sizes = strings.Split(*names, ",")
	case o.data != "":
		o.sizes = []string{dataName(o.data)}
	default:
		o.sizes = []string{"20k"}
	}
	return o, nil
}

// list reads numbers between commas.
func list(text string, least int) (numbers []int, err error) {
	for _, s := range strings.Split(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil || n < least {
			return nil, fmt.Errorf("want numbers from %d on, separated by commas", least)
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}
