package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"

	"nearfar/trainer/dataset"
	"nearfar/trainer/graph"
)

// A size is interactions that kernels run on, by name.
type size struct {
	name  string
	about string
	load  func(ctx context.Context) (*dataset.Interactions, error)
}

// sizes are those that -sizes knows, and the folder of -data under its own name.
func sizes(data string) []size {
	all := []size{
		{"tiny", "60 users, 40 items, power law: for tests", powerLaw(60, 40, 600)},
		{"embedded", "Amazon Electronics, which is in the binary: 3k nodes, 64k edges", load("")},
		{"20k", "power law: 20k nodes, 0.2M edges", powerLaw(9_000, 11_000, 100_000)},
		{"70k", "power law, about as large as yelp2018: 70k nodes, 2.6M edges", powerLaw(31_800, 38_200, 1_300_000)},
		{"300k", "power law: 300k nodes, 12M edges", powerLaw(200_000, 100_000, 6_000_000)},
		{"1m", "power law: 1M nodes, 50M edges", powerLaw(700_000, 300_000, 25_000_000)},
	}
	if data != "" {
		all = append(all, size{dataName(data), "the data of -data", load(data)})
	}
	return all
}

// dataName is how a size calls the folder or file of -data.
func dataName(data string) string {
	if full, err := filepath.Abs(data); err == nil {
		data = full
	}
	return filepath.Base(data)
}

// chosen are the sizes of -sizes, in its order.
func chosen(names []string, data string) ([]size, error) {
	all := sizes(data)
	var picked []size
	for _, n := range names {
		at := slices.IndexFunc(all, func(s size) bool { return s.name == n })
		if at < 0 {
			var known []string
			for _, s := range all {
				known = append(known, s.name)
			}
			return nil, misused("-sizes: there is no %q: take of %s, or name a data set with -data", n, strings.Join(known, ", "))
		}
		picked = append(picked, all[at])
	}
	return picked, nil
}

// load reads training interactions as the trainer does, without taking a validation split out of them.
func load(path string) func(ctx context.Context) (*dataset.Interactions, error) {
	return func(ctx context.Context) (*dataset.Interactions, error) {
		d, err := dataset.Load(ctx, dataset.Options{Path: path, ValidRatio: -1, Valid: ""})
		if err != nil {
			return nil, fmt.Errorf("-data: %w", err)
		}
		return d.TrainOnValid().Train, nil
	}
}

// powerLaw draws a graph in which popularity falls with the rank to the power of -3/4, and activity is log-normal with a deviation of 0.9: near to
// yelp2018, whose most popular item has 1,400 times the least popular one's users. Items are numbered at random, as in data.
func powerLaw(users, items, edges int) func(context.Context) (*dataset.Interactions, error) {
	return func(ctx context.Context) (*dataset.Interactions, error) {
		r := rand.New(rand.NewPCG(uint64(users), uint64(edges)))
		below := make([]float64, items) // the popularity of all items up to this one
		sum := 0.0
		for i := range below {
			sum += math.Pow(float64(i+5), -.75)
			below[i] = sum
		}
		number := r.Perm(items)
		activity, total := make([]float64, users), 0.0
		for u := range activity {
			activity[u] = math.Exp(.9 * r.NormFloat64())
			total += activity[u]
		}
		x := &dataset.Interactions{Ptr: make([]int64, 1, users+1), Item: make([]int32, 0, edges), Items: items}
		for u := range activity {
			if u%1024 == 0 && ctx.Err() != nil {
				return nil, ctx.Err()
			}
			begin := len(x.Item)
			for range max(1, min(int(activity[u]/total*float64(edges)+.5), items/3)) {
				at, _ := slices.BinarySearchFunc(below, r.Float64()*sum, cmp.Compare[float64])
				x.Item = append(x.Item, int32(number[min(at, items-1)]))
			}
			slices.Sort(x.Item[begin:])
			x.Item = x.Item[:begin+len(slices.Compact(x.Item[begin:]))] // a popular item drawn twice is one
			x.Ptr = append(x.Ptr, int64(len(x.Item)))
		}
		return x, nil
	}
}

// A workload is a size that is loaded, and the dimensions of a run's other operands.
type workload struct {
	size
	train *dataset.Interactions
	graph *graph.Bipartite
}

func (s size) open(ctx context.Context) (*workload, error) {
	x, err := s.load(ctx)
	if err != nil {
		return nil, err
	}
	g, err := graph.New(x)
	return &workload{s, x, g}, err
}
