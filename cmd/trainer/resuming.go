package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"nearfar/trainer/option"
	"nearfar/trainer/runfolder"
	"nearfar/trainer/sweep"
)

// renewable are the options that a resumed run may be given anew: how long it lasts, what it prints, where its data and machine are. With
// another value of any other, what is in its checkpoint would mean something else: a step another batch, the best epoch another metric.
var renewable = []string{"epochs", "patience", "warmup", "eval-every", "k", "lr", "threads", "gpu", "require-gpu", "checkpoint-every", "data", "test", "valid", "refit", "config", "resume"}

// checkRenewed refuses a resumed run's or sweep's options that differ from those it was made with and are not renewable.
func (c *commandLine) checkRenewed(embedded bool) error {
	file, err := resumed(c.Resume)
	if err != nil {
		return fmt.Errorf("-resume: %w", err)
	}
	may := renewable
	if sweep.Is(c.Resume) {
		may = renewableSweep
	}
	changed, was, err := c.changedSince(file, embedded, may)
	if err != nil {
		return &usageError{err}
	}
	if changed != nil {
		return misused("-%s %s: what is in %s was made with %q and keeps it; only these may be given anew: %s", changed.Name, changed.Value(), c.Resume, was, strings.Join(may, ", "))
	}
	return nil
}

// changedSince is the first option whose value is not what a file has, those that may differ left out, with the file's value; nil where there is
// none. It notes whether the learning rate does.
func (c *commandLine) changedSince(file string, embedded bool, may []string) (changed *option.Option, was string, err error) {
	made, err := bind(c.spec, embedded)
	if err != nil {
		return nil, "", err
	}
	if err := made.set.LoadYAML(file); err != nil {
		return nil, "", err
	}
	c.rateIsNew = made.LR != c.LR
	for _, o := range c.set.Options() {
		was := made.set.Lookup(o.Name).Value()
		if was == o.Value() || slices.Contains(may, o.Name) && (o.Name != "random" || c.Random > 0 && made.Random > 0) {
			continue
		}
		return o, was, nil
	}
	return nil, "", nil
}

// resumed is the file that has the options of a run or a sweep.
func resumed(path string) (file string, err error) {
	if sweep.Is(path) {
		_, err := sweep.Open(path)
		return filepath.Join(path, sweep.Config), err
	}
	folder, err := runfolder.Open(path)
	if err != nil {
		return "", err
	}
	return folder.File(runfolder.Config), nil
}

// configFiles are the YAML files that a command line names: a run to resume brings its own.
func configFiles(peek map[string]string) (files []string, err error) {
	if run := peek["resume"]; run != "" {
		file, err := resumed(run)
		if err != nil {
			return nil, fmt.Errorf("-resume: %w", err)
		}
		files = append(files, file)
	}
	if path := peek["config"]; path != "" {
		files = append(files, path)
	}
	return files, nil
}
