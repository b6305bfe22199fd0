package runfolder

import (
	"testing"

	"nearfar/kernels"
)

// BenchmarkCheckpoint writes the state of yelp2018 at d = 64: the embeddings and Adam's two moments, 31,668 users and 38,048 items.
func BenchmarkCheckpoint(b *testing.B) {
	f, err := Create(b.TempDir(), nil)
	if err != nil {
		b.Fatal(err)
	}
	d := kernels.Of(kernels.Float32, 31668+38048, 64)
	var state []Entry
	for _, name := range []string{"embedding", "m", "v"} {
		state = append(state, Entry{name, d, make([]byte, d.Bytes())})
	}
	b.SetBytes(3 * d.Bytes())
	for b.Loop() {
		if err := f.WriteCheckpoint(LastCheckpoint, nil, state); err != nil {
			b.Fatal(err)
		}
	}
}
