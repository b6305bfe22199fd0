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
	"nearfar/models"
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

// BenchmarkStep times a whole training step, sampling included, on two threads, and counts its allocations:
//
//	go test ./trainer -run - -bench Step -benchtime 20x
func BenchmarkStep(b *testing.B) {
	for _, data := range []string{"embedded", "graph/lastfm", "graph/yelp2018"} {
		for _, model := range []string{"lightgcn", "sgl", "simgcl", "xsimgcl"} {
			b.Run(data+"/"+model, func(b *testing.B) {
				args := []string{"-batch", "2048", "-layers", "3", "-dim", "64", "-select", "last"}
				if data != "embedded" {
					args = append(args, "-data", sharedData(b, data))
				}
				j := newJob(b, model, "", args...)
				set, err := j.load(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				m, err := j.Model.New(models.Data{Train: set.Train, Seed: 1})
				if err != nil {
					b.Fatal(err)
				}
				device := cpu.New(2, kernelset.Best())
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
