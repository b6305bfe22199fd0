// Command trainer trains recommenders.
//
//	trainer -gpu 0 -model sgl -data DATA    train, evaluate, leave a run
//	trainer -seeds 1,2,3 -grid "tau=.1,.2"  several runs, compared on the validation split
//	trainer evaluate RUN                    measure a run again
//	trainer recommend RUN -user U           the best items for a user
//	trainer models                          the models and their papers
//	trainer -model sgl -help                that model's options, defaults, sources
//	trainer explain -model sgl              the compiled program of a training step
//	trainer doctor                          what this machine has for training, and why a GPU is not used
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"nearfar/trainer"
)

// Exit statuses.
const (
	failed      = 1
	misuse      = 2
	interrupted = 130 // as shells have it for SIGINT; for SIGTERM and SIGHUP too
	unread      = 141 // as they have it for SIGPIPE
)

func main() {
	signal.Ignore(syscall.SIGPIPE) // `trainer 2>&1 | tee log`: where tee ends first, by Ctrl-C for one, the run goes on, or saves itself
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // nohup
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	context.AfterFunc(ctx, stop) // the first signal saves the run; a second one ends the process as usual
	err := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	code := status(err)
	if code != 0 && code != unread {
		fmt.Fprintf(os.Stderr, "trainer: %v\n", err)
	}
	os.Exit(code)
}

// status is the exit status of a command that ended with an error, or with none.
func status(err error) int {
	var wrong *usageError
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &wrong):
		return misuse
	case errors.Is(err, trainer.ErrInterrupted):
		return interrupted
	case isUnread(err):
		return unread
	}
	return failed
}

// isUnread tells whether nothing else is wrong than that nobody reads the output any more, as in `trainer recommend RUN -all | head`.
func isUnread(err error) bool {
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		return isUnread(e.Unwrap())
	case interface{ Unwrap() []error }:
		return !slices.ContainsFunc(e.Unwrap(), func(err error) bool { return !isUnread(err) })
	}
	return err == syscall.EPIPE
}

// usageError is a mistake on the command line.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func misused(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// command runs one command line.
func command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	name := "train"
	if len(args) > 0 && len(args[0]) > 0 && args[0][0] != '-' {
		name, args = args[0], args[1:]
	}
	switch name {
	case "train":
		return train(ctx, args, stdout, stderr)
	case "models":
		return listModels(args, stdout)
	case "evaluate":
		return repeatable(name, measure(ctx, args, stdout, stderr))
	case "recommend":
		return repeatable(name, recommend(ctx, args, stdout, stderr))
	case "explain":
		return explain(ctx, args, stdout, stderr)
	case "doctor":
		return doctor(args, stdout)
	case "help":
		return usage(stdout)
	}
	return misused("no command %q: train (the default), evaluate, recommend, explain, models, doctor, help", name)
}
