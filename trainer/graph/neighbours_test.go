package graph

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"nearfar/kernels/cpu"
	"nearfar/kernels/philox"
	"nearfar/trainer/dataset"
)

// features draws n rows; some are zeros, some stand twice.
func features(name string, n, dim int) dataset.Features {
	f := dataset.Features{Name: name, Dim: dim, Value: make([]float32, n*dim)}
	words := philox.New(9, name).Sequence(0, 0)
	for i := range n {
		for j := range dim {
			switch x := philox.Uniform(words.Word()) - .5; {
			case i%11 == 5: // nothing is known of it
			case i%13 == 7:
				f.Value[i*dim+j] = f.Value[(i-1)*dim+j] * 3
			default:
				f.Value[i*dim+j] = float32(x)
			}
		}
	}
	return f
}

// plainNeighbours sorts all cosines in float64. Where two of an item's are too near to be told apart, it says so.
func plainNeighbours(f dataset.Features, n, k int) (lists [][]int32, clear []bool) {
	norm := func(x []float32) (s float64) {
		for _, a := range x {
			s += float64(a) * float64(a)
		}
		return math.Sqrt(s)
	}
	lists, clear = make([][]int32, n), make([]bool, n)
	for i := range n {
		x := f.Value[i*f.Dim:][:f.Dim]
		type near struct {
			item   int32
			cosine float64
		}
		var all []near
		for j := range n {
			y := f.Value[j*f.Dim:][:f.Dim]
			if norm(x) == 0 || norm(y) == 0 {
				continue
			}
			s := 0.
			for a := range x {
				s += float64(x[a]) * float64(y[a])
			}
			all = append(all, near{int32(j), s / norm(x) / norm(y)})
		}
		slices.SortFunc(all, func(a, b near) int { return cmp.Compare(b.cosine, a.cosine) })
		clear[i] = len(all) <= k || all[k-1].cosine-all[k].cosine > 1e-6
		for _, c := range all[:min(k, len(all))] {
			lists[i] = append(lists[i], c.item)
		}
		slices.Sort(lists[i])
	}
	return lists, clear
}

func TestNeighboursAreTheNearest(t *testing.T) {
	for _, c := range []struct{ n, dim, k int }{{1, 1, 1}, {5, 3, 10}, {7, 1, math.MaxInt}, {97, 4, 1}, {200, 7, 3}, {333, 33, 10}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			of, weight := []dataset.Features{features("audio", c.n, c.dim), features("text", c.n, c.dim+2)}, []float64{.25, .75}
			s, err := NeighbourSearch{K: c.k, Seed: 1, Kernels: cpu.Best()}.Find(t.Context(), c.n, of, weight)
			if err != nil {
				t.Fatal(err)
			}
			want := make([]map[int32]float64, c.n)
			known := make([]bool, c.n)
			for i := range want {
				want[i], known[i] = map[int32]float64{}, true
			}
			for m, f := range of {
				lists, clear := plainNeighbours(f, c.n, c.k)
				for i, list := range lists {
					known[i] = known[i] && clear[i]
					for _, j := range list {
						want[i][j] += weight[m] / float64(len(list))
					}
				}
			}
			compared, pairs := 0, 0
			for i := range c.n {
				row := s.Col[s.Ptr[i]:s.Ptr[i+1]]
				if !slices.IsSorted(row) {
					t.Fatalf("row %d is %v", i, row)
				}
				if !known[i] {
					continue
				}
				compared++
				if len(row) != len(want[i]) {
					t.Fatalf("item %d has the neighbours %v, want %v", i, row, want[i])
				}
				for x, j := range row {
					if math.Abs(s.Weight[int(s.Ptr[i])+x]-want[i][j]) > 1e-15 {
						t.Fatalf("item %d has %d with the weight %g, want %g", i, j, s.Weight[int(s.Ptr[i])+x], want[i][j])
					}
				}
			}
			if compared < c.n*4/5 {
				t.Errorf("%d of %d items are compared", compared, c.n)
			}
			for j := range c.n {
				for x := s.TransposedPtr[j]; x < s.TransposedPtr[j+1]; x++ {
					i := s.TransposedCol[x]
					at, ok := slices.BinarySearch(s.Col[s.Ptr[i]:s.Ptr[i+1]], int32(j))
					if !ok || s.Weight[int(s.Ptr[i])+at] != s.TransposedWeight[x] {
						t.Fatalf("the transposed has %d, %d, and the graph has not", j, i)
					}
					pairs++
				}
			}
			if pairs != len(s.Col) {
				t.Errorf("the transposed has %d pairs of %d", pairs, len(s.Col))
			}
		})
	}
}

// Equal items are told apart by the seed, never by their ids, and threads do not matter.
func TestNeighboursOfEqualItems(t *testing.T) {
	const n, k = 50, 5
	f := dataset.Features{Name: "same", Dim: 2, Value: slices.Repeat([]float32{1, 2}, n)}
	of := func(set cpu.Set, threads int, seed uint64) *Neighbours {
		s, err := NeighbourSearch{K: k, Threads: threads, Seed: seed, Kernels: set}.Find(t.Context(), n, []dataset.Features{f}, []float64{1})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := of(cpu.Generic(), 1, 1)
	if !slices.Equal(s.Col, of(cpu.Generic(), 7, 1).Col) {
		t.Error("seven threads find others")
	}
	if !slices.Equal(s.Col, of(cpu.Best(), 1, 1).Col) {
		t.Error("other kernels find others")
	}
	if slices.Equal(s.Col, of(cpu.Best(), 1, 2).Col) {
		t.Error("another seed finds the same")
	}
	for i := range n {
		if row := s.Col[s.Ptr[i]:s.Ptr[i+1]]; len(row) != k || !slices.Contains(row, int32(i)) {
			t.Errorf("the neighbours of %d are %v", i, row)
		}
	}
	sum := 0
	for _, j := range s.Col {
		sum += int(j)
	}
	if mean := float64(sum) / float64(len(s.Col)); math.Abs(mean-float64(n-1)/2) > 4*float64(n)/math.Sqrt(12*n*k) {
		t.Errorf("the neighbours' mean id is %g of %d items", mean, n)
	}
}

func TestNeighboursEndWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := NeighbourSearch{K: 3, Threads: 1}.Find(ctx, 300, []dataset.Features{features("text", 300, 4)}, []float64{1})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
	if _, err := (NeighbourSearch{K: 3}).Find(t.Context(), 3, nil, []float64{1}); err == nil {
		t.Error("a weight without a modality is no error")
	}
	const many = 1 << 16
	if _, err := (NeighbourSearch{K: many}).Find(t.Context(), many, []dataset.Features{features("text", many, 1)}, []float64{1}); err == nil || !strings.Contains(err.Error(), "lower -neighbours") {
		t.Errorf("more pairs than an int32 counts: %v", err)
	}
}

// Cosines that float32 cannot tell apart are told apart, the same by all kernels.
func TestNeighboursThatAreNearTies(t *testing.T) {
	const n, dim, k = 60, 160, 7
	words := philox.New(3, "ties").Sequence(0, 0)
	f := dataset.Features{Name: "near", Dim: dim, Value: make([]float32, n*dim)}
	for j := range dim {
		f.Value[j] = float32(philox.Uniform(words.Word()) - .5)
	}
	for i := 1; i < n; i++ { // the first one, each number moved by some of its last bits
		for j := range dim {
			f.Value[i*dim+j] = math.Float32frombits(math.Float32bits(f.Value[j]) + uint32(words.Below(64)))
		}
	}
	unit, _ := unitRows(f, n)
	cosine := func(i, j int) (s float64) {
		for c := range dim {
			s += float64(unit[i*dim+c]) * float64(unit[j*dim+c])
		}
		return s
	}
	var first []int32
	for _, set := range cpu.Sets() {
		s, err := NeighbourSearch{K: k, Seed: 1, Kernels: set}.Find(t.Context(), n, []dataset.Features{f}, []float64{1})
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = s.Col
		}
		if !slices.Equal(s.Col, first) {
			t.Errorf("%s finds others", set.Name())
		}
		for i := range n {
			row := s.Col[s.Ptr[i]:s.Ptr[i+1]]
			least := math.Inf(1)
			for _, j := range row {
				if int(j) != i {
					least = min(least, cosine(i, int(j)))
				}
			}
			for j := range n {
				if !slices.Contains(row, int32(j)) && cosine(i, j) > least+1e-14 {
					t.Fatalf("%s: item %d has not %d, whose cosine is larger by %g", set.Name(), i, j, cosine(i, j)-least)
				}
			}
			if len(row) != k || !slices.Contains(row, int32(i)) {
				t.Fatalf("%s: item %d has %v", set.Name(), i, row)
			}
		}
	}
}
