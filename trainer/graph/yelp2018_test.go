package graph

import (
	"os"
	"path/filepath"
	"testing"

	"nearfar/trainer/dataset"
)

// yelp2018 is not in the repository: it is in $NEARFAR_DATA, or beside the checkout.
func yelp2018(b *testing.B) *dataset.Interactions {
	root := os.Getenv("NEARFAR_DATA")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "data")
	}
	path := filepath.Join(root, "graph", "yelp2018")
	if _, err := os.Stat(path); err != nil {
		b.Skipf("no %s: set NEARFAR_DATA to the folder that has it", path)
	}
	d, err := dataset.Load(b.Context(), dataset.Options{Path: path})
	if err != nil {
		b.Fatal(err)
	}
	return d.Train
}

func BenchmarkNewYelp2018(b *testing.B) {
	train := yelp2018(b)
	for b.Loop() {
		if _, err := New(train); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkViewsYelp2018 fills both views, as happens once an epoch in training.
func BenchmarkViewsYelp2018(b *testing.B) {
	g, err := New(yelp2018(b))
	if err != nil {
		b.Fatal(err)
	}
	for _, method := range methods {
		b.Run(string(method), func(b *testing.B) {
			v := newViews(b, g, method, .1, 3, 1, 1)
			out := slots(v)
			step := uint64(0)
			for b.Loop() {
				if err := v.Fill(step, out); err != nil {
					b.Fatal(err)
				}
				step++
			}
		})
	}
}
