package main

import (
	"errors"
	"flag"
	"fmt"
	"io"

	"nearfar/engine"
	"nearfar/kernels"
	"nearfar/models"
	"nearfar/trainer"
)

// explain prints the program that a training step compiles to.
func explain(args []string, stdout, stderr io.Writer) error {
	c, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return c.set.Help(stdout)
	}
	if err != nil {
		return err
	}
	data, err := trainer.LoadData(c.Options)
	if err != nil {
		return err
	}
	device, warning, err := trainer.OpenDevice(c.GPU, c.RequireGPU, c.Threads)
	if err != nil {
		return err
	}
	defer device.Close()
	if warning != "" {
		fmt.Fprintln(stderr, "trainer:", warning)
	}
	m, err := c.model.New(models.Data{Train: data.Train, Seed: c.Seed})
	if err != nil {
		return err
	}
	if m.StepsPerEpoch() == 0 {
		_, err := fmt.Fprintf(stdout, "%s has no training step\n", c.spec.Name)
		return err
	}
	store := engine.NewStore(device, kernels.Float32, c.Seed)
	defer store.Close()
	program, err := trainer.BuildTraining(store, m, c.Options)
	if err != nil {
		return err
	}
	defer program.Close()
	fmt.Fprintf(stdout, "%s on %s (%d users, %d items, %d interactions), device %s\n", c.spec.Name, data.Name, data.Users(), data.Items(), data.Train.Len(), device.Name())
	return program.Plan.Explain(stdout)
}
