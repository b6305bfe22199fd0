package models

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"nearfar/kernels/cpu"
	"nearfar/kernels/philox"
	"nearfar/trainer/dataset"
)

// interactions draws a random data set: the last user and the last item have nothing, user 0 has everything else.
func interactions(t *testing.T, users, items int) *dataset.Interactions {
	t.Helper()
	words := philox.New(3, "interactions").Sequence(0, uint32(users))
	var pairs []dataset.Pair
	for u := range max(1, users-1) {
		for i := range max(1, items-1) {
			if u == 0 || words.Below(10) < 3 {
				pairs = append(pairs, dataset.Pair{User: int32(u), Item: int32(i)})
			}
		}
	}
	x, _, err := dataset.FromPairs(users, items, pairs)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// dense is X [users, items].
func dense(x *dataset.Interactions) *mat.Dense {
	d := mat.NewDense(x.Users(), x.Items, nil)
	for u := range x.Users() {
		for _, i := range x.Of(u) {
			d.Set(u, int(i), 1)
		}
	}
	return d
}

var itemShapes = [][2]int{{1, 1}, {1, 5}, {5, 1}, {2, 2}, {12, 30}, {30, 12}, {20, 20}, {300, 310}}

// checkScorer compares a scorer with W [items, items], to the bound relative to scores above 1: for users and for their histories, turned round, and for one that no user has.
func checkScorer(t *testing.T, s ItemScorer, x *dataset.Interactions, w *mat.Dense, bound float64) {
	t.Helper()
	var want mat.Dense
	want.Mul(dense(x), w)
	users := make([]int32, x.Users())
	for u := range users {
		users[u] = int32(u)
	}
	out := make([]float32, len(users)*x.Items)
	for i := range out {
		out[i] = float32(math.NaN()) // every score is written
	}
	if err := s.Score(t.Context(), users, out); err != nil {
		t.Fatal(err)
	}
	check := func(what string, u int, got []float32) {
		t.Helper()
		for i, v := range got {
			if d := math.Abs(float64(v) - want.At(u, i)); !(d <= bound*max(1, math.Abs(want.At(u, i)))) {
				t.Fatalf("%s %d, item %d: %v, want %v", what, u, i, v, want.At(u, i))
			}
		}
	}
	history := make([]float32, x.Items)
	for u := range users {
		check("user", u, out[u*x.Items:][:x.Items])
		had := slices.Clone(x.Of(u))
		slices.Reverse(had)
		if err := s.ScoreHistory(t.Context(), had, history); err != nil {
			t.Fatal(err)
		}
		check("the history of user", u, history)
	}
	only := []int32{int32(x.Items - 1)}
	want.Reset()
	want.CloneFrom(w.Slice(x.Items-1, x.Items, 0, x.Items))
	if err := s.ScoreHistory(t.Context(), only, history); err != nil {
		t.Fatal(err)
	}
	check("the last item alone, row", 0, history)
}

func fitted(t *testing.T, name string, x *dataset.Interactions, threads int, args ...string) ItemScorer {
	t.Helper()
	s, err := made[ItemModel](t, name, Data{Train: x, Seed: 1}, args...).Fit(t.Context(), Fitting{Threads: threads, Kernels: cpu.Best()})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Steck's eq. 8 by gonum's general inverse of XᵀX + λI.
func easeWeights(t *testing.T, x *dataset.Interactions, lambda float64) *mat.Dense {
	t.Helper()
	var g, p mat.Dense
	d := dense(x)
	g.Mul(d.T(), d)
	for i := range x.Items {
		g.Set(i, i, g.At(i, i)+lambda)
	}
	if err := p.Inverse(&g); err != nil {
		t.Fatal(err)
	}
	w := mat.NewDense(x.Items, x.Items, nil)
	for i := range x.Items {
		for j := range x.Items {
			if i != j {
				w.Set(i, j, -p.At(i, j)/p.At(j, j))
			}
		}
	}
	return w
}

// Both forms, over users and over items, are the brute force.
func TestEASEAgainstBruteForce(t *testing.T) {
	for _, shape := range itemShapes {
		x := interactions(t, shape[0], shape[1])
		for _, lambda := range []float64{2, 20} {
			w := easeWeights(t, x, lambda)
			// Scores are float32 in either. The largest Gram matrix has a condition of about 10^4/lambda, and the form over users subtracts.
			for precision, bound := range map[string]float64{"float64": 1e-6, "float32": 2e-2 / lambda} {
				t.Run(fmt.Sprint(shape, lambda, precision), func(t *testing.T) {
					checkScorer(t, fitted(t, "ease", x, 2, fmt.Sprint("-lambda=", lambda), "-ease-precision="+precision), x, w, bound)
				})
			}
		}
	}
}

// similarities is that of all pairs of different items that share a user; 0 for others.
func similarities(x *dataset.Interactions, similarity func(common, i, j float64) float64) *mat.Dense {
	var common mat.Dense
	d := dense(x)
	common.Mul(d.T(), d)
	s := mat.NewDense(x.Items, x.Items, nil)
	for j := range x.Items {
		for i := range x.Items {
			if i != j && common.At(i, j) > 0 {
				s.Set(i, j, similarity(common.At(i, j), common.At(i, i), common.At(j, j)))
			}
		}
	}
	return s
}

func TestItemKNNAgainstBruteForce(t *testing.T) {
	const all = 1000
	for _, shape := range itemShapes {
		x := interactions(t, shape[0], shape[1])
		for _, c := range []struct {
			args       string
			similarity func(common, i, j float64) float64
		}{
			{"", func(c, i, j float64) float64 { return c / math.Sqrt(i*j) }},
			{"-shrink=7", func(c, i, j float64) float64 { return c / (math.Sqrt(i*j) + 7) }},
			{"-alpha=.3 -shrink=1", func(c, i, j float64) float64 { return c / (math.Pow(j, .3)*math.Pow(i, .7) + 1) }},
			{"-alpha=1", func(c, i, j float64) float64 { return c / j }},
			{"-similarity=jaccard", func(c, i, j float64) float64 { return c / (i + j - c) }},
			{"-similarity=jaccard -shrink=3", func(c, i, j float64) float64 { return c / (i + j - c + 3) }},
		} {
			similar := similarities(x, c.similarity)
			for _, k := range []int{1, 3, 7, all} {
				t.Run(fmt.Sprint(shape, c.args, k), func(t *testing.T) {
					s := fitted(t, "itemknn", x, 2, append(strings.Fields(c.args), fmt.Sprint("-neighbours=", k))...)
					checkScorer(t, s, x, checkNearest(t, s.(SparseScorer).Weights(), similar, k), 1e-5)
				})
			}
		}
	}
}

// checkNearest finds out that each item j has the k largest of column j, whichever it has of equal ones, and gives what is kept as W [items, items].
func checkNearest(t *testing.T, got SparseWeights, similar *mat.Dense, k int) *mat.Dense {
	t.Helper()
	items, _ := similar.Dims()
	w, of := mat.NewDense(items, items, nil), make([][]float64, items)
	for i := range items {
		row := got.Item[got.Ptr[i]:got.Ptr[i+1]]
		for x, j := range row {
			if x > 0 && row[x-1] >= j {
				t.Fatalf("row %d is not ascending: %v", i, row)
			}
			want := similar.At(i, int(j))
			if v := got.Weight[int(got.Ptr[i])+x]; want == 0 || math.Abs(float64(v)-want) > 1e-6 {
				t.Fatalf("weight (%d, %d) is %v, want %v", i, j, v, want)
			}
			w.Set(i, int(j), want)
			of[j] = append(of[j], want)
		}
	}
	if len(got.Item) != int(got.Ptr[items]) || len(got.Weight) != len(got.Item) {
		t.Fatalf("%d items and %d weights of %d", len(got.Item), len(got.Weight), got.Ptr[items])
	}
	for j := range items {
		var want []float64
		for i := range items {
			if s := similar.At(i, j); s > 0 {
				want = append(want, s)
			}
		}
		slices.Sort(want)
		slices.Sort(of[j])
		if want = want[max(0, len(want)-k):]; !slices.Equal(of[j], want) {
			t.Fatalf("item %d keeps similarities of %v, want %v", j, of[j], want)
		}
	}
	return w
}

// Of 40 items that are alike, those kept differ with the seed and are not the first.
func TestItemKNNBreaksTiesByHash(t *testing.T) {
	const items, k = 41, 10
	var pairs []dataset.Pair
	for i := range int32(items) {
		pairs = append(pairs, dataset.Pair{User: 0, Item: i}, dataset.Pair{User: 1, Item: i})
	}
	x, _, err := dataset.FromPairs(2, items, pairs)
	if err != nil {
		t.Fatal(err)
	}
	neighbours := func(seed uint64, threads int) (of []int) {
		m := made[ItemModel](t, "itemknn", Data{Train: x, Seed: seed}, fmt.Sprint("-neighbours=", k))
		s, err := m.Fit(t.Context(), Fitting{Threads: threads, Kernels: cpu.Best()})
		if err != nil {
			t.Fatal(err)
		}
		w := s.(SparseScorer).Weights()
		for i := range items {
			if slices.Contains(w.Item[w.Ptr[i]:w.Ptr[i+1]], items-1) {
				of = append(of, i)
			}
		}
		return of
	}
	one := neighbours(1, 1)
	if len(one) != k || one[k-1] == k-1 {
		t.Errorf("the neighbours of the last item are %v", one)
	}
	if !slices.Equal(one, neighbours(1, 3)) || slices.Equal(one, neighbours(2, 1)) {
		t.Error("they do not depend on the seed alone")
	}
}

// The same bits come of any number of threads.
func TestItemModelsDoNotDependOnThreads(t *testing.T) {
	x := interactions(t, 330, 300)
	y := interactions(t, 300, 330)
	users := []int32{0, 7, 5, 7, 299}
	for _, name := range []string{"itemknn", "ease"} {
		for _, data := range []*dataset.Interactions{x, y} {
			var first []float32
			for _, threads := range []int{1, 2, 3, 0} {
				out := make([]float32, len(users)*data.Items)
				if err := fitted(t, name, data, threads).Score(t.Context(), users, out); err != nil {
					t.Fatal(err)
				}
				if first == nil {
					first = out
				}
				if !slices.Equal(first, out) {
					t.Errorf("%s: %d threads give other bits", name, threads)
				}
			}
		}
	}
}

// A fit counts up to its end, and stops where the context ends.
func TestItemModelsReportAndEnd(t *testing.T) {
	x := interactions(t, 300, 2100) // several blocks of both
	for _, name := range []string{"itemknn", "ease"} {
		m, last, of := made[ItemModel](t, name, Data{Train: x, Seed: 1}), 0, -1
		_, err := m.Fit(t.Context(), Fitting{Step: func(done, total int) {
			if done <= last || of >= 0 && total != of {
				t.Errorf("%s: %d of %d after %d of %d", name, done, total, last, of)
			}
			last, of = done, total
		}})
		if err != nil || last != of {
			t.Errorf("%s ends at %d of %d: %v", name, last, of, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		s, err := m.Fit(ctx, Fitting{Step: func(done, total int) {
			cancel()
			if done == total {
				t.Errorf("%s goes on after its context", name)
			}
		}})
		if s != nil || !errors.Is(err, context.Canceled) {
			t.Errorf("%s, interrupted: %v", name, err)
		}
	}
}

func TestEASERefuses(t *testing.T) {
	large := interactions(t, 700, 600)
	var pairs []dataset.Pair
	for u := range int32(3) {
		pairs = append(pairs, dataset.Pair{User: u, Item: 0}, dataset.Pair{User: u, Item: 1})
	}
	twins, _, err := dataset.FromPairs(3, 2, pairs) // XᵀX is singular
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		data *dataset.Interactions
		want []string
	}{
		{"-max-memory=.005 -ease-precision=float64", large, []string{"600 x 600 items in float64", "-max-memory allows 0.005 GiB", "-ease-precision float32", "itemknn"}},
		{"-lambda=1e-30", twins, []string{"not positive definite", "-lambda above 1e-30", "-ease-precision float64"}},
		{"-lambda=3e-7", twins, []string{"items in float32 has a relative residual", "-lambda above 3e-07", "-ease-precision float64"}},
		{"-lambda=1e-30 -ease-precision=float64", twins, []string{"-lambda above 1e-30"}},
	} {
		o, _ := parsed(t, "ease", strings.Fields(c.args)...)
		m, err := o.New(Data{Train: c.data})
		if err == nil {
			_, err = m.(ItemModel).Fit(t.Context(), Fitting{})
		}
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", c.args, err, want)
			}
		}
	}
	if s := fitted(t, "ease", twins, 1, "-lambda=3e-7", "-ease-precision=float64"); s == nil {
		t.Error("float64 does not help")
	}
}
