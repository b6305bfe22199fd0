//go:build !race

package trainer

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"nearfar/engine/cpu"
	kernelset "nearfar/kernels/cpu"
	"nearfar/kernels/philox"
)

// BenchmarkElectronics trains 20 steps of BM3 on a synthetic load of the size of Amazon Electronics with image and text features, from files in MMRec's
// format (1.2 GB in a temporary folder) as a user would, and tells what a step takes and how much memory the whole took at its peak:
//
//	go test ./trainer -run - -bench Electronics/trained -benchtime 1x -timeout 30m
func BenchmarkElectronics(b *testing.B) {
	for _, how := range []struct{ name, args string }{{"trained", ""}, {"moments", "-moments bf16"}, {"frozen", "-freeze-features"}} {
		b.Run(how.name, func(b *testing.B) {
			data := electronics(b, 192_403, 63_001, 1_689_188, map[string]int{"image": 4096, "text": 384})
			for b.Loop() {
				debug.FreeOSMemory()
				if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil { // the peak is now
					b.Skip(err)
				}
				j := newJob(b, "bm3", "", append(strings.Fields(how.args), "-data", data, "-batch", "2048", "-dim", "64", "-layers", "2", "-dropout", "0.3")...)
				start := time.Now()
				set, err := j.load(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				loaded := time.Since(start)
				device := cpu.New(0, kernelset.Best())
				r := &run{Job: j, data: set}
				if err := r.build(b.Context(), device); err != nil {
					b.Fatal(err)
				}
				built := time.Since(start) - loaded
				var steps []float64
				last := time.Now()
				if err := r.train.Run(b.Context(), 0, 20, func(_ uint64, scalars []float64) {
					steps, last = append(steps, time.Since(last).Seconds()), time.Now()
					if math.IsNaN(scalars[0]) {
						b.Error("the loss is not a number")
					}
				}); err != nil {
					b.Fatal(err)
				}
				slices.Sort(steps)
				b.ReportMetric(steps[len(steps)/2], "s/step")
				b.ReportMetric(loaded.Seconds(), "load-s")
				b.ReportMetric(built.Seconds(), "build-s")
				b.ReportMetric(float64(peak(b))/1e6, "peak-MB")
				r.close()
				device.Close()
			}
		})
	}
}

// electronics writes a folder of random interactions, items with popularity in a power law, and features.
func electronics(t testing.TB, users, items, interactions int, modalities map[string]int) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, content func(w *bufio.Writer)) {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		w := bufio.NewWriterSize(f, 1<<20)
		content(w)
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	write("electronics.inter", func(w *bufio.Writer) {
		fmt.Fprintln(w, "userID\titemID\tx_label")
		words := philox.New(1, "electronics").Sequence(0, 0)
		for n := range interactions {
			user, x := n%users, philox.Uniform(words.Word())
			item := min(int(float64(items)*x*x*x), items-1)
			if n < items {
				item = n // each stands at least once
			}
			label := 0
			if n >= users && n%10 > 7 { // a user has one for training
				label = n%10 - 7
			}
			fmt.Fprintf(w, "%d\t%d\t%d\n", user, item, label)
		}
	})
	for name, dim := range modalities {
		write(name+"_feat.npy", func(w *bufio.Writer) {
			header := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }", items, dim)
			header += strings.Repeat(" ", 117-len(header)) + "\n"
			w.WriteString("\x93NUMPY\x01\x00\x76\x00" + header)
			words := philox.New(2, name).Sequence(0, 0)
			var number [4]byte
			for range items * dim {
				binary.LittleEndian.PutUint32(number[:], math.Float32bits(float32(philox.Uniform(words.Word())-.5)))
				w.Write(number[:])
			}
		})
	}
	return dir
}
