// Command kernelbench verifies and times every kernel, in every variant of every device of the build.
//
//	kernelbench                              on a synthetic graph of 20k nodes, one thread
//	kernelbench -run 'SpMM|Adam' -d 32,64    some kernels, a sweep
//	kernelbench -data yelp2018 -N 2048,0     on a data set; a contrast with all its items too
//	kernelbench -json B.json -plot B.svg     for programs, for eyes
//	kernelbench -compare A.json B.json       what has changed
//	kernelbench -torch python3 -data DATA    against PyTorch on the same inputs
//
// docs/benchmarks.md says how numbers are counted.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	var wrong *usageError
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return
	case errors.As(err, &wrong):
		fmt.Fprintf(os.Stderr, "kernelbench: %v\n", err)
		os.Exit(2)
	}
	fmt.Fprintf(os.Stderr, "kernelbench: %v\n", err)
	os.Exit(1)
}

// usageError is a mistake on the command line.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }

func misused(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// command runs one command line.
func command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if o.compare {
		a, err := readJSON(o.files[0])
		if err != nil {
			return err
		}
		b, err := readJSON(o.files[1])
		if err != nil {
			return err
		}
		return compare(stdout, a, b)
	}
	return bench(ctx, o, stdout, stderr)
}
