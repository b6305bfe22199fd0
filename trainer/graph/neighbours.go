package graph

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"nearfar/kernels/cpu"
	"nearfar/kernels/philox"
	"nearfar/trainer/dataset"
	"nearfar/trainer/parallel"
)

// Neighbours are items joined by what they are: row i has its nearest items in every modality,
//
//	S[i][j] = Σ_m weight_m / |N_m(i)| for j in N_m(i),   N_m(i) i itself and the k-1 others of the largest cosine with it
//
// (FREEDOM, MM 2023, eq. 3 to 5: D^-1/2 S D^-1/2 of a graph whose every row has k ones is S/k). S is not symmetric, so the transposed is kept too. An
// item whose features are all zeros has no cosine: it has no neighbours in that modality and is nobody's.
type Neighbours struct {
	Ptr, Col []int32   // [I+1], [pairs]: ascending in a row
	Weight   []float64 // [pairs]

	TransposedPtr, TransposedCol []int32
	TransposedWeight             []float64
}

// nearestAtOnce is how many items look for their neighbours together.
const nearestAtOnce = 96

// NeighbourSearch is how neighbours are looked for.
type NeighbourSearch struct {
	K       int                   // of each item in each modality, at least 1
	Seed    uint64                // equal cosines are told apart by its hash, since ids often encode popularity
	Kernels cpu.Set               // what is found does not depend on it
	Threads int                   // 0: all processors
	Step    func(done, total int) // is told how many items of how many are done; may be nil
}

// Find finds the neighbours of n items in several modalities, exactly: 2 n² Σ dim FLOPs.
func (q NeighbourSearch) Find(ctx context.Context, n int, of []dataset.Features, weight []float64) (*Neighbours, error) {
	if q.K < 1 || len(of) != len(weight) {
		return nil, fmt.Errorf("graph: %d neighbours by %d modalities of %d weights", q.K, len(of), len(weight))
	}
	q.K = min(q.K, n) // there are no more
	if pairs := float64(q.K) * float64(n) * float64(len(of)); pairs > math.MaxInt32 {
		return nil, fmt.Errorf("%d neighbours of %d items in %d modalities may be %.3g pairs, and a graph has at most %d: lower -neighbours", q.K, n, len(of), pairs, math.MaxInt32)
	}
	type pair struct {
		item   int32
		weight float64
	}
	rows := make([][]pair, n)
	for m, f := range of {
		lists, err := q.nearest(ctx, f, n, func(done int) {
			if q.Step != nil {
				q.Step(m*n+done, len(of)*n)
			}
		})
		if err != nil {
			return nil, err
		}
		for i, list := range lists {
			for _, j := range list {
				rows[i] = append(rows[i], pair{j, weight[m] / float64(len(list))})
			}
		}
	}
	s := &Neighbours{Ptr: make([]int32, 1, n+1), TransposedPtr: make([]int32, n+1)}
	for _, row := range rows {
		slices.SortStableFunc(row, func(a, b pair) int { return cmp.Compare(a.item, b.item) })
		for x, p := range row {
			if x > 0 && row[x-1].item == p.item { // near in several modalities
				s.Weight[len(s.Weight)-1] += p.weight
				continue
			}
			s.Col, s.Weight = append(s.Col, p.item), append(s.Weight, p.weight)
		}
		s.Ptr = append(s.Ptr, int32(len(s.Col)))
	}
	s.transpose()
	return s, nil
}

// nearest lists the k nearest items of each item in one modality, in ascending order. The search's products, whose last bits are those of a set of
// kernels, only say who may be among them: float64 decides, so that a run goes on with the same graph on another processor.
func (q NeighbourSearch) nearest(ctx context.Context, f dataset.Features, n int, done func(items int)) ([][]int32, error) {
	unit, known := unitRows(f, n)
	row := func(i int) []float32 { return unit[i*f.Dim:][:f.Dim] }
	stream := philox.New(q.Seed, "graph/neighbours/ties")
	// A sum of d products of unit rows is off by about d·2^-24 at most, in whatever order they are added; this is twice that.
	margin := float64(f.Dim+2) * 0x1p-23
	panels := q.Kernels.Pack(unit, n, f.Dim)
	defer panels.Release()
	lists := make([][]int32, n)
	groups := (n + nearestAtOnce - 1) / nearestAtOnce
	const round = 64 // groups between two reports
	for first := 0; first < groups; first += round {
		last := min(groups, first+round)
		err := parallel.Each(ctx, q.Threads, last-first, func() func(int) error {
			return func(at int) error {
				lo := (first + at) * nearestAtOnce
				hi := min(n, lo+nearestAtOnce)
				best := slices.Repeat([]Closest{{K: q.K}}, hi-lo)
				panels.Search(unit[lo*f.Dim:hi*f.Dim], hi-lo, func(i, j int, _ float32) float32 {
					switch {
					case !known[lo+i] || !known[j]:
					case lo+i == j: // before all that are equal to it
						best[i].Add(Neighbour{Item: int32(j), Similarity: math.Inf(1)})
					default:
						w := stream.At(0, uint32(lo+i), uint32(j))
						best[i].Add(Neighbour{int32(j), dot(row(lo+i), row(j)), pack(w[0], w[1])})
					}
					return float32(best[i].Least() - margin)
				})
				for i := range best {
					for _, x := range best[i].Sorted() {
						lists[lo+i] = append(lists[lo+i], x.Item)
					}
					slices.Sort(lists[lo+i])
				}
				return nil
			}
		})
		if err != nil {
			return nil, err
		}
		done(min(n, last*nearestAtOnce))
	}
	return lists, nil
}

// dot is a product of rows in float64, where products of float32 are exact: it has the same bits with fused multiplication and without.
func dot(x, y []float32) float64 {
	var a, b, c, d float64
	y = y[:len(x)]
	for ; len(x) >= 4; x, y = x[4:], y[4:] {
		a += float64(x[0]) * float64(y[0])
		b += float64(x[1]) * float64(y[1])
		c += float64(x[2]) * float64(y[2])
		d += float64(x[3]) * float64(y[3])
	}
	for i, v := range x {
		a += float64(v) * float64(y[i])
	}
	return (a + b) + (c + d)
}

// unitRows are the features with rows of length 1, and which of them have a length.
func unitRows(f dataset.Features, n int) (unit []float32, known []bool) {
	unit, known = make([]float32, n*f.Dim), make([]bool, n)
	for i := range n {
		row, square := f.Value[i*f.Dim:][:f.Dim], 0.
		for _, x := range row {
			square += float64(x) * float64(x)
		}
		if square == 0 {
			continue
		}
		known[i] = true
		for j, x := range row {
			unit[i*f.Dim+j] = float32(float64(x) / math.Sqrt(square))
		}
	}
	return unit, known
}

// transpose fills in the transposed.
func (s *Neighbours) transpose() {
	for _, j := range s.Col {
		s.TransposedPtr[j+1]++
	}
	for j := range len(s.Ptr) - 1 {
		s.TransposedPtr[j+1] += s.TransposedPtr[j]
	}
	next := slices.Clone(s.TransposedPtr[:len(s.Ptr)-1])
	s.TransposedCol, s.TransposedWeight = make([]int32, len(s.Col)), make([]float64, len(s.Col))
	for i := range len(s.Ptr) - 1 {
		for x := s.Ptr[i]; x < s.Ptr[i+1]; x++ {
			to := next[s.Col[x]]
			s.TransposedCol[to], s.TransposedWeight[to] = int32(i), s.Weight[x]
			next[s.Col[x]]++
		}
	}
}
