package evaluate

import (
	"fmt"
	"math"
	"slices"
)

// A Metric is one number of a report. With h(r) = 1 where the item at rank r (from 0) is a target of the user, and T the number
// of the user's targets, masked ones included, the metrics of a user are
//
//	Recall@K    = sum_{r<K} h(r) / T
//	NDCG@K      = sum_{r<K} h(r)/log2(r+2) / sum_{r<min(K,T)} 1/log2(r+2)
//	Precision@K = sum_{r<K} h(r) / K
//	HitRate@K   = 1 where any h(r<K) = 1
type Metric struct {
	Name    string    // "Recall@20"
	Value   float64   // mean of PerUser
	PerUser []float64 // as Report.Users
}

// A Report is the outcome of Rank.
type Report struct {
	Users   []int32  // the users with targets, ascending: those that the means are over
	Metrics []Metric // for each K as given: Recall, NDCG, Precision, HitRate
	Depth   int      // the largest K, or the number of items where that is smaller
	Top     []int32  // [Users, Depth] the ranking of each user, -1 where fewer items are left after the masks
}

// Value is the metric called name, such as "NDCG@20".
func (r *Report) Value(name string) (float64, bool) {
	i := slices.IndexFunc(r.Metrics, func(m Metric) bool { return m.Name == name })
	if i < 0 {
		return 0, false
	}
	return r.Metrics[i].Value, true
}

// metricKinds is the order of Report.Metrics within one K.
var metricKinds = [...]string{"Recall", "NDCG", "Precision", "HitRate"}

// Names lists the metrics that Rank reports at these cutoffs, in its order.
func Names(cutoffs []int) (names []string) {
	for _, k := range cutoffs {
		for _, kind := range metricKinds {
			names = append(names, fmt.Sprintf("%s@%d", kind, k))
		}
	}
	return names
}

func newReport(users []int32, cutoffs []int, depth int) *Report {
	r := &Report{Users: users, Depth: depth, Top: make([]int32, len(users)*depth)}
	for _, name := range Names(cutoffs) {
		r.Metrics = append(r.Metrics, Metric{Name: name, PerUser: make([]float64, len(users))})
	}
	return r
}

// average sets the means, summed in the order of the users.
func (r *Report) average() {
	for i := range r.Metrics {
		sum := 0.0
		for _, v := range r.Metrics[i].PerUser {
			sum += v
		}
		r.Metrics[i].Value = sum / float64(len(r.Users))
	}
}

// discounts is 1/log2(r+2) for the ranks 0..n-1.
func discounts(n int) []float64 {
	d := make([]float64, n)
	for r := range d {
		d[r] = 1 / math.Log2(float64(r)+2)
	}
	return d
}

// score writes the metrics of the user at a row of the report. discount has Depth elements.
func (r *Report) score(row int, targets []int32, cutoffs []int, discount []float64) {
	top := r.Top[row*r.Depth : (row+1)*r.Depth]
	for c, k := range cutoffs {
		hits, gain, ideal := 0, 0.0, 0.0
		for rank, item := range top[:min(k, len(top))] {
			if _, hit := slices.BinarySearch(targets, item); hit {
				hits++
				gain += discount[rank]
			}
		}
		for _, d := range discount[:min(k, len(targets))] {
			ideal += d
		}
		m := r.Metrics[c*len(metricKinds):]
		m[0].PerUser[row] = float64(hits) / float64(len(targets))
		m[1].PerUser[row] = gain / ideal
		m[2].PerUser[row] = float64(hits) / float64(k)
		m[3].PerUser[row] = float64(min(hits, 1))
	}
}
