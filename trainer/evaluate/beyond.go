package evaluate

import (
	"context"
	"math"
	"slices"
	"sync"

	"nearfar/trainer/dataset"
)

// beyond appends Coverage, Gini, Popularity and Novelty, and Diversity where it is asked for, for every K. See Metric.
func (r *Report) beyond(ctx context.Context, train *dataset.Interactions, withDiversity bool, threads int) error {
	degree := train.ItemDegrees()
	information := selfInformation(degree, train.ActiveUsers())
	kinds := beyondKinds()
	if !withDiversity {
		kinds = kinds[:diversity]
	}
	first := len(r.Metrics)
	for _, k := range r.cutoffs {
		for kind, what := range kinds {
			m := Metric{Name: name(what, k, 0)}
			if kind != coverage && kind != gini {
				m.PerUser = make([]float64, len(r.Users))
			}
			r.Metrics = append(r.Metrics, m)
		}
	}
	counts := make([]int, train.Items)
	for c, k := range r.cutoffs {
		clear(counts)
		m := r.Metrics[first+c*len(kinds):]
		for row := range r.Users {
			list, degrees, bits := r.list(row, k), 0.0, 0.0
			for _, i := range list {
				counts[i]++
				degrees += float64(degree[i])
				bits += information[i]
			}
			n := float64(max(len(list), 1))
			m[popularity].PerUser[row] = degrees / n
			m[novelty].PerUser[row] = bits / n
		}
		m[coverage].Value, m[gini].Value = spread(counts)
	}
	if !withDiversity {
		return nil
	}
	users := train.Transposed()
	var into [][]float64
	for c := range r.cutoffs {
		into = append(into, r.Metrics[first+c*len(kinds)+diversity].PerUser)
	}
	threads = min(threads, len(r.Users))
	var wg sync.WaitGroup
	for t := range threads {
		wg.Go(func() {
			d := newDiversifier(users)
			for row := t; row < len(r.Users) && ctx.Err() == nil; row += threads {
				d.diversities(r.list(row, r.Depth))
				for c, k := range r.cutoffs {
					into[c][row] = d.of[min(k, len(d.of)-1)]
				}
			}
		})
	}
	wg.Wait()
	return ctx.Err()
}

// selfInformation is -log2 of each item's share of the n users who have any.
func selfInformation(degree []int32, n int) []float64 {
	bits := make([]float64, len(degree))
	for i, d := range degree {
		bits[i] = math.Log2(float64(max(n, 1)) / float64(max(d, 1)))
	}
	return bits
}

// spread is the share of items with a count, and the Gini index of the counts, which it sorts. Both are 0 where nothing is counted.
func spread(counts []int) (coverage, gini float64) {
	slices.Sort(counts)
	n, sum, weighted, covered := len(counts), 0, 0, 0
	for r, c := range counts {
		sum += c
		weighted += (2*(r+1) - n - 1) * c
		if c > 0 {
			covered++
		}
	}
	if sum == 0 {
		return 0, 0
	}
	return float64(covered) / float64(n), float64(weighted) / (float64(n) * float64(sum))
}

// A diversifier computes the diversity of a list and of all its prefixes in one pass over the training users of its items. With
// a_i = 1/sqrt(d(i)) and w_u = the sum of a_j over the items j before i that user u has, the cosines of i with those before it add up to
// a_i times the sum of w_u over U_i: no pair of items is ever looked at.
type diversifier struct {
	users *dataset.Interactions // of each item
	w     []float64             // [users], zero between two lists
	of    []float64             // of[n]: diversity of the first n items
}

func newDiversifier(users *dataset.Interactions) *diversifier {
	return &diversifier{users: users, w: make([]float64, users.Items)}
}

func (d *diversifier) diversities(list []int32) {
	d.of = append(d.of[:0], 0)
	cosines := 0.0 // over the unordered pairs
	for n, i := range list {
		have := d.users.Of(int(i))
		a, sum := 1/math.Sqrt(float64(max(len(have), 1))), 0.0
		for _, u := range have {
			sum += d.w[u]
			d.w[u] += a
		}
		cosines += a * sum
		pairs := float64(n) * float64(n+1) / 2
		d.of = append(d.of, 1-cosines/max(pairs, 1))
	}
	if len(d.of) > 1 {
		d.of[1] = 0
	}
	for _, i := range list {
		for _, u := range d.users.Of(int(i)) {
			d.w[u] = 0
		}
	}
}
