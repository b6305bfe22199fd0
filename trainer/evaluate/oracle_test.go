package evaluate

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"nearfar/kernels/philox"
	"nearfar/trainer/dataset"
)

// oracle is every metric of a user's list by its definition, with sets and without an index.
func oracle(list, targets []int32, k int, users [][]int32, n int) map[string]float64 {
	list = list[:min(k, len(list))]
	m := map[string]float64{}
	for _, kind := range slices.Concat(accuracyKinds(), beyondKinds()[popularity:]) {
		m[kind] = 0
	}
	hit := func(r int) bool { return r < len(list) && slices.Contains(targets, list[r]) }
	hitsTo := func(r int) (hits float64) {
		for q := 0; q <= r; q++ {
			if hit(q) {
				hits++
			}
		}
		return hits
	}
	hits := hitsTo(len(list) - 1)
	m["Recall"], m["Precision"], m["HitRate"] = hits/float64(len(targets)), hits/float64(k), math.Min(hits, 1)
	ideal := 0.0
	for r := range min(k, len(targets)) {
		ideal += math.Ln2 / math.Log(float64(r+2))
	}
	for r := len(list) - 1; r >= 0; r-- {
		if hit(r) {
			m["NDCG"] += math.Ln2 / math.Log(float64(r+2)) / ideal
			m["MRR"] = 1 / float64(r+1)
			m["MAP"] += hitsTo(r) / float64(r+1) / float64(min(k, len(targets)))
		}
	}
	pairs := 0.0
	for _, i := range list {
		m["Popularity"] += float64(len(users[i])) / float64(len(list))
		m["Novelty"] -= math.Log2(math.Max(float64(len(users[i])), 1)/float64(max(n, 1))) / float64(len(list))
		for _, j := range list {
			if i == j {
				continue
			}
			both := 0.0
			for _, u := range users[i] {
				if slices.Contains(users[j], u) {
					both++
				}
			}
			pairs++
			m["Diversity"]++
			if both > 0 {
				m["Diversity"] -= both / math.Sqrt(float64(len(users[i])*len(users[j])))
			}
		}
	}
	if pairs > 0 {
		m["Diversity"] /= pairs
	}
	return m
}

// oracleSpread is Coverage and Gini by the mean difference of all pairs of items.
func oracleSpread(lists [][]int32, k, items int) (coverage, gini float64) {
	counts := make([]float64, items)
	sum := 0.0
	for _, list := range lists {
		for _, i := range list[:min(k, len(list))] {
			counts[i]++
			sum++
		}
	}
	if sum == 0 {
		return 0, 0
	}
	for _, a := range counts {
		if a > 0 {
			coverage += 1 / float64(items)
		}
		for _, b := range counts {
			gini += math.Abs(a-b) / (2 * float64(items) * sum)
		}
	}
	return coverage, gini
}

// Every metric of small random cases: ties, one score for all, infinities, one user, one item, cutoffs beyond the catalogue, users with
// everything masked, users and items without training interactions, full and sampled rankings.
func TestAgainstOracle(t *testing.T) {
	seen := map[string]int{}
	for c := range 400 { // in -short too: it takes a twentieth of a second, and fewer miss rare kinds
		words := philox.New(uint64(c), "oracle").Sequence(0, 0)
		users, items := 1+words.Below(6), 1+words.Below(12)
		draw := func(name string, share float64) *dataset.Interactions {
			return random(t, users, items, fmt.Sprint(name, c), func(u int) float64 {
				if words.Below(6) == 0 {
					return math.Floor(2 * philox.Uniform(words.Word())) // nothing or everything
				}
				return share
			})
		}
		train, valid, targets := draw("train", .4), draw("valid", .1), draw("targets", .3)
		if targets.Len() == 0 {
			continue
		}
		levels := []int{1, 3, 1000}[words.Below(3)]
		s := &table{users: users, items: items}
		for range users * items {
			x := float32(words.Below(levels))
			if words.Below(20) == 0 {
				x = float32(math.Inf(1 - 2*words.Below(2)))
			}
			s.scores = append(s.scores, x)
		}
		p := Protocol{Targets: targets, Mask: [][]*dataset.Interactions{nil, {train}, {train, valid}}[words.Below(3)], K: []int{1 + words.Below(4), 5 + words.Below(15)},
			Seed: uint64(c), Train: train, Diversity: true, Threads: 1 + words.Below(3), Block: 1 + words.Below(3)}
		if words.Below(4) == 0 {
			p.Candidates = 1 + words.Below(8)
		}
		r := rank(t, s, p)
		var names []string
		for _, m := range r.Metrics {
			names = append(names, m.Name)
		}
		if !slices.Equal(names, Names(p.K, p.Candidates)) {
			t.Fatalf("case %d: metrics %v", c, names)
		}
		byItem := make([][]int32, items)
		for u := range users {
			for _, i := range train.Of(u) {
				byItem[i] = append(byItem[i], int32(u))
			}
		}
		ties := tieKeys(items, p.Seed)
		var lists [][]int32
		means := map[string]float64{}
		for row, u := range r.Users {
			list := naive(s, p, ties, int(u))
			if p.Candidates > 0 {
				drawn := candidatesOf(t, p, u, items)
				list = slices.DeleteFunc(list, func(i int32) bool { return !slices.Contains(drawn, i) })
			}
			lists = append(lists, list)
			if len(list) == 0 {
				seen["an empty list"]++
			}
			for _, k := range p.K {
				if k > items {
					seen["k beyond the catalogue"]++
				}
				for kind, want := range oracle(list, targets.Of(int(u)), k, byItem, train.ActiveUsers()) {
					n := name(kind, k, p.Candidates)
					at := slices.IndexFunc(r.Metrics, func(m Metric) bool { return m.Name == n })
					if at < 0 {
						continue // beyond accuracy, of a sampled ranking
					}
					if got := r.Metrics[at].PerUser[row]; !(math.Abs(got-want) <= 1e-12*math.Max(1, want)) {
						t.Fatalf("case %d, user %d: %s = %.15g, want %.15g", c, u, n, got, want)
					}
					means[n] += want / float64(len(r.Users))
				}
			}
		}
		if p.Candidates == 0 {
			for _, k := range p.K {
				means[name("Coverage", k, 0)], means[name("Gini", k, 0)] = oracleSpread(lists, k, items)
			}
		}
		for _, m := range r.Metrics {
			if want, ok := means[m.Name]; !ok || !(math.Abs(m.Value-want) <= 1e-12*math.Max(1, want)) {
				t.Fatalf("case %d: %s = %.15g, want %.15g", c, m.Name, m.Value, want)
			}
		}
		checkGroups(t, r, targets, train)
		for what, is := range map[string]bool{"one user": users == 1, "one item": items == 1, "one score": levels == 1, "sampled": p.Candidates > 0} {
			if is {
				seen[what]++
			}
		}
	}
	for _, what := range []string{"one user", "one item", "one score", "sampled", "an empty list", "k beyond the catalogue"} {
		if seen[what] == 0 {
			t.Errorf("no case has %s", what)
		}
	}
}

// candidatesOf is a user's sampled ranking, of which it checks that it is what it should be.
func candidatesOf(t *testing.T, p Protocol, u int32, items int) []int32 {
	t.Helper()
	var masks [][]int32
	for _, m := range p.Mask {
		masks = append(masks, m.Of(int(u)))
	}
	targets := p.Targets.Of(int(u))
	drawn := slices.Clone(newSampler(items, p.Candidates, p.Seed).candidates(u, targets, masks))
	negatives, eligible, ranked := 0, 0, 0
	for i := range int32(items) {
		switch target := slices.Contains(targets, i); {
		case target && !listed(masks, i):
			ranked++
		case !target && !listed(masks, i):
			eligible++
		}
	}
	for n, i := range drawn {
		if listed(masks, i) || n > 0 && drawn[n-1] >= i {
			t.Fatalf("user %d: candidates %v, masked %v", u, drawn, masks)
		}
		if !slices.Contains(targets, i) {
			negatives++
		}
	}
	if negatives != min(p.Candidates, eligible) || len(drawn) != negatives+ranked {
		t.Fatalf("user %d: candidates %v of targets %v, masked %v: want %d negatives and %d targets", u, drawn, targets, masks, min(p.Candidates, eligible), ranked)
	}
	return drawn
}

// checkGroups holds the groups to what they promise: they add up, and they are where they say.
func checkGroups(t *testing.T, r *Report, targets, train *dataset.Interactions) {
	t.Helper()
	g, err := r.Groups(targets, train)
	if err != nil {
		t.Fatal(err)
	}
	near := func(what string, got, want float64) {
		t.Helper()
		if !(math.Abs(got-want) <= 1e-9) {
			t.Fatalf("%s: %g, want %g", what, got, want)
		}
	}
	items, interactions, goals, share := 0, 0, 0, 0.0
	for _, x := range g.Items {
		items, interactions, goals, share = items+x.Items, interactions+x.Interactions, goals+x.Targets, share+x.Share
		if cold := x.Name == "cold"; cold != (x.Degrees == [2]int{}) {
			t.Fatalf("group %s has degrees %v", x.Name, x.Degrees)
		}
	}
	near("items of all groups", float64(items), float64(train.Items))
	near("interactions of all groups", float64(interactions), float64(train.Len()))
	near("targets of all groups", float64(goals), float64(targets.Len()))
	near("shares of all groups", share, 1)
	for _, k := range r.cutoffs {
		sum, hits := 0.0, 0.0
		for _, x := range g.Items {
			sum += x.Metrics[name("Recall", k, r.candidates)]
			hits += x.Metrics[name("Found", k, r.candidates)] * float64(x.Targets)
		}
		all, _ := r.Value(name("Recall", k, r.candidates))
		near("Recall of all groups", sum, all)
		want := 0.0
		for row, u := range r.Users {
			for _, i := range r.list(row, k) {
				if targets.Has(int(u), i) {
					want++
				}
			}
		}
		near("hits of all groups", hits, want)
	}
	for _, m := range r.Metrics {
		if m.PerUser == nil {
			continue
		}
		users, sum := 0, 0.0
		for _, x := range g.Users {
			users += x.Users
			sum += float64(x.Users) * x.Metrics[m.Name]
		}
		near("users of all groups", float64(users), float64(len(r.Users)))
		near(m.Name+" of all users' groups", sum/float64(users), m.Value)
	}
}

func TestGroupsByHand(t *testing.T) {
	// Twenty interactions: items 0..9 with one each, item 10 with ten: the head is half of all, so groups 1 to 5 have two items each, and the
	// head's middle, the fifteenth of twenty, lies in the eighth tenth.
	degree := make([]int32, 12)
	for i := range 10 {
		degree[i] = 1
	}
	degree[10] = 10
	keys := make([]uint64, 12)
	for i := range keys {
		keys[i] = uint64(100 - i) // against the order of ids
	}
	if got, want := groupItems(degree, keys).of, []int32{5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 8, 0}; !slices.Equal(got, want) {
		t.Errorf("items are in groups %v, want %v", got, want)
	}

	// Quartiles of the eight users who are not cold end at 1, 1 and 3: ties leave the second empty.
	var rows [][]int32
	for _, n := range []int{0, 1, 1, 1, 1, 3, 3, 8, 9} {
		var row []int32
		for i := range int32(n) {
			row = append(row, i)
		}
		rows = append(rows, row)
	}
	train := lists(t, 10, rows...)
	targets := make([][]int32, len(rows))
	for u := range targets {
		targets[u] = []int32{9}
	}
	s := &table{users: 9, items: 10, scores: make([]float32, 90)}
	for u := range 9 {
		s.scores[u*10+9] = float32(u%2*2 - 1) // odd users have their target first, even ones last
	}
	r := rank(t, s, Protocol{Targets: lists(t, 10, targets...), K: []int{1}, Train: train})
	g, err := r.Groups(lists(t, 10, targets...), train)
	if err != nil {
		t.Fatal(err)
	}
	want := []struct {
		name    string
		degrees [2]int
		users   int
		recall  float64
	}{{"cold", [2]int{0, 0}, 1, 0}, {"1", [2]int{1, 1}, 4, .5}, {"3", [2]int{3, 3}, 2, .5}, {"4", [2]int{8, 9}, 2, .5}}
	if len(g.Users) != len(want) {
		t.Fatalf("%d groups of users: %+v", len(g.Users), g.Users)
	}
	for i, w := range want {
		x := g.Users[i]
		if x.Name != w.name || x.Degrees != w.degrees || x.Users != w.users || math.Abs(x.Metrics["Recall@1"]-w.recall) > 1e-12 {
			t.Errorf("group %+v, want %+v", x, w)
		}
	}
	if _, err := r.Groups(lists(t, 3, []int32{1}), lists(t, 3, []int32{1})); err == nil {
		t.Error("groups of other data: no error")
	}
}

// Groups have equally many interactions, but for the item at an edge.
func TestItemGroupsAreBalanced(t *testing.T) {
	degree := make([]int32, 2000)
	total := 0
	for i := range degree {
		degree[i] = int32(1000 / (1 + i))
		total += int(degree[i])
	}
	of := groupItems(degree, tieKeys(len(degree), 0)).of
	sums := make([]int, itemGroups+1)
	for i, g := range of {
		sums[g] += int(degree[i])
		for j := range of {
			if degree[j] < degree[i] && of[j] > g {
				t.Fatalf("item %d of degree %d is in group %d, item %d of degree %d in %d", i, degree[i], g, j, degree[j], of[j])
			}
		}
	}
	for g, sum := range sums[1:9] { // the largest items are larger than a group
		if math.Abs(float64(sum)-float64(total)/itemGroups) > 250 {
			t.Errorf("group %d has %d of %d interactions", g+1, sum, total)
		}
	}
}

// Every item that may be drawn is drawn equally often, and a user's draw depends on neither the model nor the other users.
func TestCandidatesAreUniform(t *testing.T) {
	const items, n, seeds = 30, 5, 4000
	targets, mask := []int32{3, 17}, []int32{0, 1, 29}
	counts := make([]int, items)
	for seed := range uint64(seeds) {
		for _, i := range newSampler(items, n, seed).candidates(2, targets, [][]int32{mask}) {
			counts[i]++
		}
	}
	chi, want := 0.0, float64(n*seeds)/25
	for i, c := range counts {
		switch {
		case slices.Contains(targets, int32(i)):
			if c != seeds {
				t.Errorf("target %d is ranked %d times of %d", i, c, seeds)
			}
		case slices.Contains(mask, int32(i)):
			if c != 0 {
				t.Errorf("masked item %d is drawn", i)
			}
		default:
			chi += (float64(c) - want) * (float64(c) - want) / want
		}
	}
	if chi > 51.2 { // 24 degrees of freedom, p = .001
		t.Errorf("chi-square %.1f: %v", chi, counts)
	}
	s := newSampler(items, n, 1)
	first := slices.Clone(s.candidates(2, targets, [][]int32{mask}))
	other := slices.Clone(s.candidates(3, targets, [][]int32{mask}))
	if again := s.candidates(2, targets, [][]int32{mask}); !slices.Equal(first, again) || slices.Equal(first, other) {
		t.Errorf("user 2 has %v, then %v; user 3 %v", first, again, other)
	}
}

func TestNaNOfASampledRanking(t *testing.T) {
	s := &table{users: 1, items: 50, scores: make([]float32, 50)}
	s.scores[49] = float32(math.NaN())
	_, err := Rank(t.Context(), s, Protocol{Targets: lists(t, 50, []int32{0}), K: []int{1}, Candidates: 1})
	if err == nil {
		t.Error("a NaN that is not drawn is no error")
	}
}

func TestSelection(t *testing.T) {
	for _, tt := range []struct {
		metric     string
		candidates int
		want       string // "" where err
		err        string
	}{
		{"Recall@20", 0, "Recall@20", ""},
		{"MAP@10", 0, "MAP@10", ""},
		{"Diversity@20", 0, "Diversity@20", ""},
		{"Recall@20", 100, "Recall@20(sampled100)", ""},
		{"Recall@20(sampled100)", 100, "Recall@20(sampled100)", ""},
		{"Recall@20(sampled100)", 0, "", "not measured"},
		{"Recall@20(sampled99)", 100, "", "such as NDCG@10(sampled100)"},
		{"Coverage@20", 100, "", "not measured"},
		{"Recall@7", 0, "", "add its cutoff to -k"},
		{"Gini@20", 0, "", "less of it is better"},
		{"Popularity@10", 0, "", "less of it is better"},
	} {
		got, err := Selection(tt.metric, []int{10, 20}, tt.candidates)
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s of %d candidates: %q, %v", tt.metric, tt.candidates, got, err)
		}
	}
}

// TestItemGroupsAreTheSameInEveryRun: items of one popularity are told apart by a hash that no seed changes, so that tables of runs on one data set
// are of the same items, those that are published already too.
func TestItemGroupsAreTheSameInEveryRun(t *testing.T) {
	const items = 40
	var all, some []int32
	for i := range int32(items) {
		all = append(all, i)
		if i < 15 {
			some = append(some, i)
		}
	}
	train, targets := lists(t, items, all), lists(t, items, some)
	s := &table{users: 1, items: items, scores: make([]float32, items)}
	for _, seed := range []uint64{1, 2} {
		g, err := rank(t, s, Protocol{Targets: targets, K: []int{1}, Seed: seed}).Groups(targets, train)
		if err != nil {
			t.Fatal(err)
		}
		var of []int // the fifteen targets
		for _, x := range g.Items {
			of = append(of, x.Targets)
		}
		if want := []int{3, 2, 1, 1, 1, 0, 2, 2, 1, 2}; !slices.Equal(of, want) {
			t.Errorf("seed %d: groups have %v targets, want %v", seed, of, want)
		}
	}
}
