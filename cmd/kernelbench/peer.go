package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"nearfar/kernels"
)

// A spec says what a case is, in the case.json beside its inputs: the operation, its numbers, and what kernelbench calls it.
type spec map[string]any

// specOf is what a peer has to know of a kernel; nil of those that no peer computes.
func specOf(p problem) spec {
	switch k := p.k.(type) {
	case kernels.SpMM:
		if k == (kernels.SpMM{Scaled: true}) {
			return spec{"op": "spmm"}
		}
	case kernels.LogSumExpWithGrad:
		if k.Bound > 0 {
			return spec{"op": "infonce", "scale": k.Scale}
		}
	case kernels.Adam:
		if !k.Decoupled && !k.Moments16 { // PyTorch keeps moments in the type of the parameter
			return spec{"op": "adam", "lr": 1e-6, "b1": k.B1, "b2": k.B2, "eps": k.Eps}
		}
	}
	return nil
}

var unsafeInName = regexp.MustCompile(`[^A-Za-z0-9.=]+`)

// dumpCase writes a case's inputs below the folder of -dump.
func (b *bencher) dumpCase(s spec, kernel, size string, in []tensor) (folder string, err error) {
	folder, err = filepath.Abs(filepath.Join(b.dump, unsafeInName.ReplaceAllString(kernel+"-"+size, "-")))
	if err == nil {
		err = os.MkdirAll(folder, 0o777)
	}
	if err != nil {
		return "", fmt.Errorf("-dump: %w", err)
	}
	s["kernel"], s["size"], s["inputs"] = kernel, size, len(in)
	text, err := json.Marshal(s)
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, "case.json"), text, 0o666)
	}
	return folder, errors.Join(err, dumpTensors(folder, "in", in))
}

func dumpTensors(folder, prefix string, ts []tensor) error {
	for i, t := range ts {
		if err := writeNPY(filepath.Join(folder, fmt.Sprintf("%s%d.npy", prefix, i)), t); err != nil {
			return fmt.Errorf("-dump: %w", err)
		}
	}
	return nil
}

// A peer is another program, under way, that computes the same cases.
type peer struct {
	name, variant string
	threads       int
	command       *exec.Cmd
	ask           io.WriteCloser
	answers       *bufio.Reader
}

// The C library gives memory of some size back at every free, and PyTorch then waits for the kernel's zeroed pages at every operator. The second peer
// keeps it, in huge pages.
const tunedMalloc = "GLIBC_TUNABLES=glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=8000000000:glibc.malloc.trim_threshold=8000000000"

// startPeers starts PyTorch twice: as it is installed, and with a tuned malloc.
func startPeers(python, script string, threads int) (peers []*peer, err error) {
	for _, variant := range []string{"malloc", "tuned"} {
		p := &peer{variant: variant, threads: threads, command: exec.Command(python, script, "--serve")}
		p.command.Stderr = os.Stderr
		if variant == "tuned" {
			p.command.Env = append(p.command.Env, tunedMalloc)
		}
		p.command.Env = append(append(os.Environ(), p.command.Env...), fmt.Sprintf("OMP_NUM_THREADS=%d", threads), fmt.Sprintf("MKL_NUM_THREADS=%d", threads))
		var out io.ReadCloser
		if p.ask, err = p.command.StdinPipe(); err == nil {
			out, err = p.command.StdoutPipe()
		}
		if err == nil {
			err = p.command.Start()
		}
		if err != nil {
			return peers, fmt.Errorf("-torch %s: %w", python, err)
		}
		peers = append(peers, p)
		p.answers = bufio.NewReader(out)
		var hello struct {
			Torch   string
			Threads int
		}
		if err := p.read(&hello); err != nil {
			return peers, fmt.Errorf("-torch: %s %s does not start (is torch installed there? pip install torch --index-url https://download.pytorch.org/whl/cpu): %w",
				python, script, err)
		}
		version, _, _ := strings.Cut(hello.Torch, "+") // what follows is the GPU that the wheel is also for
		p.name = "torch " + version
	}
	return peers, nil
}

func (p *peer) read(answer any) error {
	line, err := p.answers.ReadBytes('\n')
	if err != nil {
		return err
	}
	return json.Unmarshal(line, answer)
}

type answer struct {
	Wall, CPU float64
	Outputs   int
	Note      string
	Error     string
}

func (p *peer) request(question spec) (a answer, err error) {
	text, err := json.Marshal(question)
	if err != nil {
		return a, err
	}
	if _, err = p.ask.Write(append(text, '\n')); err == nil {
		err = p.read(&a)
	}
	if err == nil && a.Error != "" {
		err = errors.New(a.Error)
	}
	return a, err
}

// contestant is the peer on a case whose outputs check looks at.
func (p *peer) contestant(folder string, check func(out []tensor) error) *contestant {
	c := &contestant{device: p.name, variant: p.variant, threads: p.threads}
	prefix := filepath.Join(folder, p.variant+"-out")
	a, err := p.request(spec{"case": folder, "save": prefix})
	var out []tensor
	for i := range a.Outputs {
		var t tensor
		if err == nil {
			t, err = readNPY(fmt.Sprintf("%s%d.npy", prefix, i))
			out = append(out, t)
		}
	}
	if err == nil {
		err = check(out)
	}
	if c.judge(err); err != nil {
		return c
	}
	c.about = a.Note
	c.run = func(_ context.Context, times int) (t timing, err error) {
		a, err := p.request(spec{"case": folder, "times": times})
		if p.threads > 1 {
			time.Sleep(20 * time.Millisecond) // OpenMP's threads go on spinning for a while
		}
		return timing{time.Duration(a.Wall * 1e9), time.Duration(a.CPU * 1e9)}, err
	}
	return c
}

func (p *peer) close() error {
	p.ask.Close() // it ends with its input
	return p.command.Wait()
}
