package evaluate

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// A Metric is one number of a report. With h(r) = 1 where the item at rank r (from 0) is a target of the user, and T the number
// of the user's targets, masked ones included, the metrics of a user are
//
//	Recall@K    = sum_{r<K} h(r) / T
//	NDCG@K      = sum_{r<K} h(r)/log2(r+2) / sum_{r<min(K,T)} 1/log2(r+2)
//	Precision@K = sum_{r<K} h(r) / K
//	HitRate@K   = 1 where any h(r<K) = 1
//	MRR@K       = 1/(r+1) for the smallest r < K with h(r) = 1; 0 where there is none
//	MAP@K       = sum_{r<K} h(r) (h(0)+..+h(r))/(r+1) / min(K,T)
//
// MAP divides by min(K,T), as RecBole does, so that a list of nothing but hits has 1. The other convention divides by T (trec_eval's
// map_cut, ranx): the two agree for users with at most K targets.
//
// The rest is about the lists and not their hits. With L_u the user's list, at most K long, d(i) the number of training users of item i, N
// the number of users with a training interaction, I the catalogue, and c_1 <= .. <= c_I how often each item stands in a list:
//
//	Coverage@K   = share of the catalogue with c > 0 (Ge et al., RecSys 2010)
//	Gini@K       = sum_r (2r - I - 1) c_r / (I sum_r c_r): 0 where all items are recommended alike, 1 - 1/I where one is alone
//	Popularity@K = mean of d(i) over L_u
//	Novelty@K    = mean of -log2(max(d(i), 1) / N) over L_u: self-information in bits (Zhou et al., PNAS 2010)
//	Diversity@K  = 1 - mean of cos(i,j) over the pairs i != j of L_u (Ziegler et al., WWW 2005), with cos(i,j) = |U_i ∩ U_j| / sqrt(d(i) d(j))
//	               of the items' training users U_i, which no model chooses
//
// Gini divides by I, as RecBole does; with I - 1 (Shani and Gunawardana, 2011) its largest value is 1. An item without training users is as
// novel as one with a single user, and has cosine 0 with every other. An empty list has Popularity and Novelty 0, one of less than two items
// Diversity 0: every mean is over the same users.
type Metric struct {
	Name    string    // "Recall@20"; of a sampled ranking "Recall@20(sampled100)"
	Value   float64   // mean of PerUser, where there is one
	PerUser []float64 // as Report.Users; nil for Coverage and Gini, which are of all lists together
}

// A Report is the outcome of Rank.
type Report struct {
	Users   []int32  // the users with targets, ascending: those that the means are over
	Metrics []Metric // in the order of Names; without Diversity where it was not asked for
	Depth   int      // the largest K, or the number of items where that is smaller
	Top     []int32  // [Users, Depth] the ranking of each user, -1 where fewer items are left after the masks

	cutoffs    []int
	candidates int // negatives of a sampled ranking, else 0
}

// Value is the metric called name, such as "NDCG@20".
func (r *Report) Value(name string) (float64, bool) {
	i := slices.IndexFunc(r.Metrics, func(m Metric) bool { return m.Name == name })
	if i < 0 {
		return 0, false
	}
	return r.Metrics[i].Value, true
}

// list is the ranking of the user at a row, without the -1 behind it, of at most k items.
func (r *Report) list(row, k int) []int32 {
	top := r.Top[row*r.Depth:][:min(k, r.Depth)]
	if n := slices.Index(top, -1); n >= 0 {
		return top[:n]
	}
	return top
}

// The metrics of one K, in the order of Report.Metrics: accuracy for every K first, then what is beyond it for every K.
const (
	recall = iota
	ndcg
	precision
	hitRate
	reciprocalRank
	averagePrecision
	accuracies // their number
)

const (
	coverage = iota
	gini
	popularity
	novelty
	diversity
)

func accuracyKinds() []string {
	return []string{recall: "Recall", ndcg: "NDCG", precision: "Precision", hitRate: "HitRate", reciprocalRank: "MRR", averagePrecision: "MAP"}
}

func beyondKinds() []string {
	return []string{coverage: "Coverage", gini: "Gini", popularity: "Popularity", novelty: "Novelty", diversity: "Diversity"}
}

// smallerIsBetter tells of kinds that cannot select an epoch.
func smallerIsBetter(kind string) bool { return kind == "Gini" || kind == "Popularity" }

// name is a metric's. A sampled ranking stands in it, because its numbers are another quantity than those of the full ranking.
func name(kind string, k, candidates int) string {
	if candidates > 0 {
		return fmt.Sprintf("%s@%d(sampled%d)", kind, k, candidates)
	}
	return fmt.Sprintf("%s@%d", kind, k)
}

// each calls yield with every metric that is measured at these cutoffs, in the order of Names. A sampled ranking has accuracy alone: what it
// recommends is decided by the draw, and says nothing of the catalogue.
func each(cutoffs []int, candidates int, yield func(kind string, k int)) {
	kinds := [][]string{accuracyKinds(), beyondKinds()}
	if candidates > 0 {
		kinds = kinds[:1]
	}
	for _, block := range kinds {
		for _, k := range cutoffs {
			for _, kind := range block {
				yield(kind, k)
			}
		}
	}
}

// Names lists the metrics that Rank reports at these cutoffs, in its order; candidates is Protocol.Candidates.
func Names(cutoffs []int, candidates int) (names []string) {
	each(cutoffs, candidates, func(kind string, k int) { names = append(names, name(kind, k, candidates)) })
	return names
}

// Selection is the name, as it stands in reports, of the metric by which an epoch is to be selected: with candidates, "Recall@20" is that of
// the sampled ranking. It is an error where the metric is not measured at these cutoffs, and where less of it is better.
func Selection(metric string, cutoffs []int, candidates int) (measured string, err error) {
	var selectable []string
	each(cutoffs, candidates, func(kind string, k int) {
		full := name(kind, k, candidates)
		if !smallerIsBetter(kind) && !slices.Contains(selectable, kind) {
			selectable = append(selectable, kind)
		}
		if metric == full || metric == name(kind, k, 0) {
			measured = full
			if smallerIsBetter(kind) {
				err = fmt.Errorf("%s cannot select: less of it is better, and lists drawn at random have least", metric)
			}
		}
	})
	choose := fmt.Sprintf("choose one of %s at one of %s", strings.Join(selectable, ", "), strings.Trim(fmt.Sprint(cutoffs), "[]"))
	switch {
	case err != nil:
		return "", fmt.Errorf("%w; %s", err, choose)
	case measured == "":
		return "", fmt.Errorf("%s is not measured: %s, such as %s, or add its cutoff to -k", metric, choose, name("NDCG", cutoffs[0], candidates))
	}
	return measured, nil
}

func newReport(users []int32, p *Protocol, depth int) *Report {
	r := &Report{Users: users, Depth: depth, Top: make([]int32, len(users)*depth), cutoffs: p.K, candidates: p.Candidates}
	for _, k := range p.K {
		for _, kind := range accuracyKinds() {
			r.Metrics = append(r.Metrics, Metric{Name: name(kind, k, p.Candidates), PerUser: make([]float64, len(users))})
		}
	}
	return r
}

// mean is over users, summed in their order.
func mean(perUser []float64) float64 {
	sum := 0.0
	for _, v := range perUser {
		sum += v
	}
	return sum / float64(len(perUser))
}

// average sets the values of the metrics that users have.
func (r *Report) average() {
	for i := range r.Metrics {
		if m := &r.Metrics[i]; m.PerUser != nil {
			m.Value = mean(m.PerUser)
		}
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

// score writes the accuracy of the user at a row of the report. discount has Depth elements.
func (r *Report) score(row int, targets []int32, discount []float64) {
	for c, k := range r.cutoffs {
		hits, gain, ideal, first, precisions := 0, 0.0, 0.0, 0.0, 0.0
		for rank, item := range r.list(row, k) {
			if _, hit := slices.BinarySearch(targets, item); hit {
				hits++
				gain += discount[rank]
				precisions += float64(hits) / float64(rank+1)
				if hits == 1 {
					first = 1 / float64(rank+1)
				}
			}
		}
		for _, d := range discount[:min(k, len(targets))] {
			ideal += d
		}
		m := r.Metrics[c*accuracies:]
		m[recall].PerUser[row] = float64(hits) / float64(len(targets))
		m[ndcg].PerUser[row] = gain / ideal
		m[precision].PerUser[row] = float64(hits) / float64(k)
		m[hitRate].PerUser[row] = float64(min(hits, 1))
		m[reciprocalRank].PerUser[row] = first
		m[averagePrecision].PerUser[row] = precisions / float64(min(k, len(targets)))
	}
}
