package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"

	"nearfar/engine"
	"nearfar/engine/op"
	"nearfar/models"
	"nearfar/trainer"
)

// explain prints the program that a training step compiles to, or with -dot the loss's expression graph in Graphviz's language.
func explain(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	isDot := func(a string) bool { return a == "-dot" || a == "--dot" }
	dot := slices.ContainsFunc(args, isDot)
	c, err := parse(slices.DeleteFunc(slices.Clone(args), isDot), os.Environ())
	if errors.Is(err, flag.ErrHelp) {
		return c.set.Help(stdout)
	}
	if err != nil {
		return err
	}
	data, err := trainer.LoadData(ctx, c.Options, nil)
	if err != nil {
		return err
	}
	m, err := c.model.New(models.Data{Train: data.Train, Seed: c.Seed, UserFields: data.UserFields, ItemFields: data.ItemFields})
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
	return program.Plan.Explain(stdout)
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
