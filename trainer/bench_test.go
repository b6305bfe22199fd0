package trainer

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"nearfar/engine"
	"nearfar/engine/cpu"
	"nearfar/kernels"
	kernelset "nearfar/kernels/cpu"
)

// sharedData is a data set beside the repository, or where NEARFAR_DATA says.
func sharedData(t testing.TB, name string) string {
	t.Helper()
	root := os.Getenv("NEARFAR_DATA")
	if root == "" {
		root = filepath.Join("..", "..", "shared", "data")
	}
	path := filepath.Join(root, name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("the data set %s is not there: set NEARFAR_DATA", path)
	}
	return path
}

// BenchmarkStep times a whole training step, sampling included, on as many threads as -cpu says, and counts its allocations:
//
//	go test ./trainer -run - -bench Step -benchtime 20x
func BenchmarkStep(b *testing.B) {
	graph, multimodal := []string{"lightgcn", "sgl", "simgcl", "xsimgcl"}, []string{"vbpr", "freedom", "bm3"}
	for _, of := range []struct {
		data   string
		layers string
		models []string
	}{{"embedded", "3", graph}, {"graph/lastfm", "3", graph}, {"graph/yelp2018", "3", graph}, {"multimodal/lfm2k", "1", multimodal}, {"multimodal/tiktok", "1", multimodal}} {
		for _, model := range of.models {
			b.Run(of.data+"/"+model, func(b *testing.B) {
				args := []string{"-batch", "2048", "-dim", "64", "-lr", "0.001", "-select", "last"}
				if model != "vbpr" {
					args = append(args, "-layers", of.layers)
				}
				if of.data != "embedded" {
					args = append(args, "-data", sharedData(b, of.data))
				}
				j := newJob(b, model, "", args...)
				set, err := j.load(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				m, err := NewModel(b.Context(), j.Model, set, j.Options, nil)
				if err != nil {
					b.Fatal(err)
				}
				device := cpu.New(0, kernelset.Best())
				defer device.Close()
				store := engine.NewStore(device, kernels.Float32, 1)
				p, err := BuildTraining(store, m, j.Options)
				if err != nil {
					b.Fatal(err)
				}
				if err := p.Run(context.Background(), 0, 2, nil); err != nil { // draws the epoch's views
					b.Fatal(err)
				}
				b.ReportAllocs()
				b.ResetTimer()
				// One call runs all steps: what it allocates once divides by b.N.
				if err := p.Run(context.Background(), 2, b.N, nil); err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}
