// Command compile makes the images of the kernels, and their manifest.
//
//	go run ./kernels/cuda/images/compile            compiles what was changed
//	go run ./kernels/cuda/images/compile -check     compiles everything and compares: the same compiler gives the same bytes
//
// Run it at the root of the repository.
package main

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"nearfar/kernels/cuda/images"
)

const (
	sources = "kernels/cuda"
	folder  = "kernels/cuda/images"
	toolkit = "kernels/cuda/toolkit"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("images: ")
	check := flag.Bool("check", false, "compile everything, compare, and write nothing")
	flag.Parse()
	stale, err := build(*check)
	if err != nil {
		log.Fatal(err)
	}
	if *check && stale > 0 {
		log.Fatalf("%d images are not what nvcc %s makes of the sources: make images", stale, images.Release)
	}
}

// build compiles the stale images, or all where it only checks, and returns how many differ from what is there.
func build(check bool) (int, error) {
	out, err := exec.Command(toolkit, "nvcc", images.Release).Output()
	if err != nil {
		return 0, stderrOf(err)
	}
	nvcc := strings.TrimSpace(string(out))
	version, err := versionOf(nvcc)
	if err != nil {
		return 0, err
	}
	old, err := images.Read(folder)
	if err != nil {
		return 0, err
	}
	names, err := images.Names(sources)
	if err != nil {
		return 0, err
	}
	work, err := os.MkdirTemp("", "images")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(work)

	made := &images.Manifest{Compiler: version, Flags: images.Flags, Targets: images.Targets, Images: make([]images.Image, len(names))}
	failed := make([]error, len(names))
	var stale []string
	var group sync.WaitGroup
	free := make(chan struct{}, runtime.NumCPU())
	for i, name := range names {
		if old.Compiler == version && !check && old.Stale(name, folder, sources) == "" {
			made.Images[i] = *old.Image(name)
			continue
		}
		stale = append(stale, name)
		group.Go(func() {
			free <- struct{}{}
			made.Images[i], failed[i] = compile(nvcc, name, filepath.Join(work, name+".fatbin"))
			<-free
		})
	}
	group.Wait()
	for i, err := range failed {
		if err != nil {
			return 0, fmt.Errorf("%s.cu: %w", names[i], err)
		}
	}
	if err := distinct(made); err != nil {
		return 0, err
	}
	if check {
		return compare(old, made), nil
	}
	report(made, stale)
	return 0, write(made, stale, work)
}

// compile makes the image of a .cu file, with its entry of the manifest.
func compile(nvcc, name, to string) (images.Image, error) {
	i := images.Image{Name: name}
	flags := strings.Fields(images.Flags)
	run := func(args ...string) (string, error) {
		cmd := exec.Command(nvcc, slices.Concat(flags, args, []string{name + ".cu"})...)
		cmd.Dir = sources
		out, err := cmd.CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("%w\n%s", err, out)
		}
		return string(out), nil
	}
	if _, err := run(append(generate(images.Targets), "-fatbin", "-o", to)...); err != nil {
		return i, err
	}
	// A run of its own for ptxas's words, since PTX in a fatbin keeps ptxas's options. It also shows that the PTX compiles.
	words, err := run(append(generate(strings.ReplaceAll(images.Targets, "compute_", "sm_")), "-Xptxas", "-v", "-fatbin", "-o", to+".words")...)
	if err != nil {
		return i, err
	}
	if i.Kernels, err = resources(words); err != nil {
		return i, err
	}
	included, err := run("-MM")
	if err != nil {
		return i, err
	}
	for _, s := range includes(included) {
		hash, err := images.Hash(filepath.Join(sources, s))
		if err != nil {
			return i, err
		}
		i.Sources = append(i.Sources, images.Source{Name: s, Hash: hash})
	}
	i.Hash, err = images.Hash(to)
	return i, err
}

// generate are nvcc's options for targets, as "compute_70 sm_80 compute_80": PTX for compute_, machine code for sm_.
func generate(targets string) []string {
	var args []string
	fields := strings.Fields(targets)
	slices.Sort(fields)
	for _, t := range slices.Compact(fields) {
		_, number, _ := strings.Cut(t, "_")
		args = append(args, "-gencode", "arch=compute_"+number+",code="+t)
	}
	return args
}

var (
	compiling  = regexp.MustCompile(`Compiling entry function '(\w+)' for '(\w+)'`)
	stack      = regexp.MustCompile(`(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads`)
	registers  = regexp.MustCompile(`Used (\d+) registers`)
	sharedSize = regexp.MustCompile(`(\d+) bytes smem`)
)

// resources reads what ptxas -v says of each kernel.
func resources(words string) ([]images.Kernel, error) {
	var ks []images.Kernel
	seen := 0
	number := func(s string) int {
		n, _ := strconv.Atoi(s)
		return n
	}
	for line := range strings.Lines(words) {
		if m := compiling.FindStringSubmatch(line); m != nil {
			ks = append(ks, images.Kernel{Name: m[1], Architecture: m[2]})
		}
		if len(ks) == 0 {
			continue
		}
		k := &ks[len(ks)-1]
		if m := stack.FindStringSubmatch(line); m != nil {
			k.Stack, k.SpillStores, k.SpillLoads = number(m[1]), number(m[2]), number(m[3])
		}
		if m := registers.FindStringSubmatch(line); m != nil {
			k.Registers = number(m[1])
			seen++
			if m := sharedSize.FindStringSubmatch(line); m != nil {
				k.Shared = number(m[1])
			}
		}
	}
	if len(ks) == 0 || seen != len(ks) {
		return nil, fmt.Errorf("ptxas tells of %d kernels and %d counts of registers:\n%s", len(ks), seen, words)
	}
	slices.SortFunc(ks, func(a, b images.Kernel) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Architecture, b.Architecture))
	})
	return ks, nil
}

// includes are the files of the sources' folder in what nvcc -MM prints, which names the toolkit's by their whole path.
func includes(rule string) []string {
	_, rule, _ = strings.Cut(rule, ":")
	var files []string
	for _, f := range strings.Fields(strings.ReplaceAll(rule, "\\\n", " ")) {
		if !filepath.IsAbs(f) {
			files = append(files, f)
		}
	}
	slices.Sort(files)
	return files
}

// distinct refuses a kernel that two files have: they share one space of names.
func distinct(m *images.Manifest) error {
	in := map[string]string{}
	for _, i := range m.Images {
		for _, k := range i.Kernels {
			if other, ok := in[k.Name]; ok && other != i.Name {
				return fmt.Errorf("%s.cu and %s.cu both have a kernel %s", other, i.Name, k.Name)
			}
			in[k.Name] = i.Name
		}
	}
	return nil
}

// report prints the kernels that were compiled, and warns of spills.
func report(m *images.Manifest, compiled []string) {
	for _, i := range m.Images {
		if !slices.Contains(compiled, i.Name) {
			continue
		}
		for _, k := range i.Kernels {
			warning := ""
			if k.SpillStores+k.SpillLoads > 0 {
				warning = "  SPILLS"
			}
			fmt.Printf("%-12s %-28s %s  %3d registers  %5d shared  %4d stack  %4d spilled%s\n", i.Name, k.Name, k.Architecture, k.Registers, k.Shared,
				k.Stack, k.SpillStores, warning)
		}
	}
}

// compare says which images are others than those that were made now, and returns their number.
func compare(old, made *images.Manifest) int {
	stale := 0
	for _, i := range made.Images {
		if have := old.Image(i.Name); have == nil || have.Hash != i.Hash {
			fmt.Printf("%s.fatbin is not what its source gives\n", i.Name)
			stale++
		}
	}
	if stale == 0 && old.String() != made.String() {
		fmt.Println("the manifest is not what the sources give")
		stale++
	}
	return stale
}

// write puts what was compiled in its place, and removes images without a source.
func write(m *images.Manifest, compiled []string, work string) error {
	for _, name := range compiled {
		b, err := os.ReadFile(filepath.Join(work, name+".fatbin"))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, name+".fatbin"), b, 0o644); err != nil {
			return err
		}
	}
	have, err := filepath.Glob(filepath.Join(folder, "*.fatbin"))
	if err != nil {
		return err
	}
	for _, f := range have {
		if m.Image(strings.TrimSuffix(filepath.Base(f), ".fatbin")) == nil {
			if err := os.Remove(f); err != nil {
				return err
			}
		}
	}
	return os.WriteFile(filepath.Join(folder, "manifest"), []byte(m.String()), 0o644)
}

// versionOf is 11.8.89 for the nvcc of CUDA 11.8.
func versionOf(nvcc string) (string, error) {
	out, err := exec.Command(nvcc, "--version").Output()
	if err != nil {
		return "", stderrOf(err)
	}
	m := regexp.MustCompile(`, V([0-9.]+)`).FindSubmatch(out)
	if m == nil {
		return "", fmt.Errorf("%s tells no version:\n%s", nvcc, out)
	}
	return string(m[1]), nil
}

// stderrOf is a command's error with what it printed.
func stderrOf(err error) error {
	if exit, ok := err.(*exec.ExitError); ok && len(exit.Stderr) > 0 {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(exit.Stderr))
	}
	return err
}
