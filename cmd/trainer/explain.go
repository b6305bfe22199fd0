package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"time"

	"nearfar/engine"
	"nearfar/engine/op"
	"nearfar/models"
	"nearfar/trainer"
)

const aboutExplain = `trainer explain [-profile|-dot] [options of training] prints the program that a training step compiles to: its instructions, their shapes, bytes and FLOPs.
  -profile   runs some steps first, and gives the time of each instruction
  -dot       prints the expression graph of the loss instead, in Graphviz's language`

// explain prints the program that a training step compiles to, with -profile after some steps and with each instruction's time, or with -dot the
// loss's expression graph in Graphviz's language.
func explain(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	args, dot := without(args, "dot")
	args, profiled := without(args, "profile")
	c, err := parse(args, os.Environ())
	if errors.Is(err, flag.ErrHelp) {
		if _, err := fmt.Fprintf(stdout, "%s\n\n", aboutExplain); err != nil {
			return err
		}
		return c.set.Help(stdout)
	}
	if err != nil {
		return err
	}
	data, err := trainer.LoadData(ctx, c.Options, c.model, nil)
	if err != nil {
		return err
	}
	m, err := trainer.NewModel(ctx, c.model, data, c.Options, nil)
	if err != nil {
		return err
	}
	if m.StepsPerEpoch() == 0 {
		_, err := fmt.Fprintf(stdout, "%s has no training step\n", c.spec.Name)
		return err
	}
	on := c.Running
	if dot { // what a model minimises is the same on every device
		on = trainer.Running{GPU: "off"}
	}
	device, fallback, err := trainer.OpenDevice(on, c.model)
	if err != nil {
		return err
	}
	defer device.Close()
	if said := fallback.Said(); said != "" {
		fmt.Fprintln(stderr, "trainer:", said)
	}
	store := trainer.NewStore(device, c.Options)
	defer store.Close()
	if dot {
		return drawLoss(stdout, store, m)
	}
	program, err := trainer.BuildTraining(store, m, c.Options)
	if err != nil {
		return trainer.Advised(err, trainer.TrainSmaller)
	}
	defer program.Close()
	fmt.Fprintf(stdout, "%s on %s (%d users, %d items, %d interactions), device %s\n", c.spec.Name, data.Name, data.Users(), data.Items(), data.Train.Len(), device.Name())
	var times []time.Duration
	if profiled {
		if times, err = profile(ctx, program); err != nil {
			return err
		}
	}
	return program.Plan.Explain(stdout, times)
}

// without takes a flag of explain's own out of the arguments, and tells whether it was there.
func without(args []string, name string) (rest []string, found bool) {
	is := func(a string) bool { return a == "-"+name || a == "--"+name }
	return slices.DeleteFunc(slices.Clone(args), is), slices.ContainsFunc(args, is)
}

// profile gives each instruction's time in the fastest of some steps: what disturbs a step makes it slower only.
func profile(ctx context.Context, program *engine.Program) (fastest []time.Duration, err error) {
	const warm, timed = 2, 5
	least := time.Duration(math.MaxInt64)
	for t := range uint64(warm + timed) {
		times, err := program.Profile(ctx, t)
		if err != nil {
			return nil, err
		}
		total := time.Duration(0)
		for _, d := range times {
			total += d
		}
		if t >= warm && total < least {
			least, fastest = total, times
		}
	}
	return fastest, nil
}

// drawLoss writes the graph of what a model minimises.
func drawLoss(w io.Writer, store *engine.Store, m models.Model) error {
	var text string
	program, err := engine.Build(store, func(b *engine.Builder) engine.Step {
		total := m.Train(b).Total()
		text = op.Dot(total)
		return engine.Step{Scalars: []engine.Named{{Name: "loss", Value: total}}}
	})
	if err != nil {
		return err
	}
	defer program.Close()
	_, err = io.WriteString(w, text)
	return err
}
