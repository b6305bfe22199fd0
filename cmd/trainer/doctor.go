package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"nearfar/engine/cuda"
	"nearfar/trainer"
	"nearfar/trainer/memory"
)

// doctor prints what this build and this machine have for training, and why a GPU is not used.
func doctor(args []string, w io.Writer) error {
	if len(args) > 0 {
		return misused("'trainer doctor' takes no options: it looks at the machine")
	}
	fmt.Fprintf(w, "build      %s\n", build())
	fmt.Fprintf(w, "processor  %s, %d threads\n", processor(), runtime.GOMAXPROCS(0))
	kernels, err := trainer.Kernels()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "kernels    cpu/%s\n", kernels.Name())
	if free := memory.Available(); free > 0 {
		fmt.Fprintf(w, "memory     %.1f GiB available\n", float64(free)/memory.GiB)
	}
	report := cuda.Report()
	for i, line := range strings.Split(strings.TrimRight(report, "\n"), "\n") {
		fmt.Fprintf(w, "%-10s %s\n", [...]string{"cuda", ""}[min(i, 1)], line)
	}
	device, fallback, err := trainer.OpenDevice(trainer.Running{GPU: "auto"}, nil)
	if err != nil {
		return err
	}
	defer device.Close()
	fmt.Fprintf(w, "-gpu auto  trains on %s\n", device.Name())
	if !strings.Contains(report, fallback.Reason) {
		fmt.Fprintf(w, "           %s\n", fallback.Reason)
	}
	return nil
}

// build is the program's version, compiler and target.
func build() string {
	parts := []string{runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return strings.Join(parts, ", ")
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= 12:
			parts = append(parts, "commit "+s.Value[:12])
		case s.Key == "vcs.modified" && s.Value == "true":
			parts = append(parts, "with changes")
		case s.Key == "-tags" && s.Value != "":
			parts = append(parts, "tags "+s.Value)
		}
	}
	return strings.Join(parts, ", ")
}
