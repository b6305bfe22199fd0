package sample

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"nearfar/engine"
	"nearfar/kernels/philox"
	"nearfar/trainer/dataset"
)

// interactions builds the CSR of sorted, distinct item lists.
func interactions(items int, users ...[]int32) *dataset.Interactions {
	x := &dataset.Interactions{Ptr: []int64{0}, Items: items}
	for _, list := range users {
		x.Item = append(x.Item, list...)
		x.Ptr = append(x.Ptr, int64(len(x.Item)))
	}
	return x
}

// synthetic draws about mean items a user, popular items more often; user 0 has none and user 1 has all.
func synthetic(users, items, mean int) *dataset.Interactions {
	lists := make([][]int32, users)
	stream := philox.New(5, "synthetic")
	for u := range lists {
		if u == 0 {
			continue
		}
		words := stream.Sequence(0, uint32(u))
		for range 1 + words.Below(2*mean-1) {
			x := philox.Uniform(words.Word())
			lists[u] = append(lists[u], int32(x*x*float64(items)))
		}
		if u == 1 {
			lists[u] = lists[u][:0]
			for i := range items {
				lists[u] = append(lists[u], int32(i))
			}
		}
		slices.Sort(lists[u])
		lists[u] = slices.Compact(lists[u])
	}
	return interactions(items, lists...)
}

func newPairwise(t testing.TB, train *dataset.Interactions, batch int, opt Options) *Pairwise {
	t.Helper()
	p, err := NewPairwise(train, batch, 42, opt)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// fillStep maps the names of a feed's ports to the memory of one step.
func fillStep(t testing.TB, f engine.Feed, step uint64, double bool) map[string]engine.Slot {
	t.Helper()
	out := slots(f.Ports(), double)
	if err := f.Fill(step, out); err != nil {
		t.Fatal(err)
	}
	named := map[string]engine.Slot{}
	for i, p := range f.Ports() {
		named[p.Name] = out[i]
	}
	if len(named) != len(out) {
		t.Fatal("two ports share a name")
	}
	return named
}

func everyOption() []Options {
	var all []Options
	for _, s := range []Scheme{Shuffle, Uniform} {
		for _, r := range []Reduction{Mean, Sum} {
			for _, n := range []bool{false, true} {
				all = append(all, Options{Scheme: s, Reduce: r, Nodes: n, Distinct: n})
			}
		}
	}
	return append(all,
		Options{Scheme: Shuffle, Reduce: Mean, Nodes: true, Candidates: 6},
		Options{Scheme: Uniform, Reduce: Sum, Candidates: 3, Negative: PopularItems, Alpha: .75},
		Options{Scheme: Shuffle, Reduce: Mean, Nodes: true, Negative: PopularItems, Alpha: .5})
}

func TestFillIsAFunctionOfSeedAndStep(t *testing.T) {
	train := synthetic(60, 40, 6)
	for _, opt := range everyOption() {
		f := newPairwise(t, train, 32, opt)
		steps := uint64(3 * f.StepsPerEpoch())
		first := map[uint64]string{}
		for step := range steps {
			first[step] = fmt.Sprint(fillStep(t, f, step, false))
		}
		for k := range 2 * steps { // epochs interleaved, every step twice
			step := k * 7 % steps
			if got := fmt.Sprint(fillStep(t, f, step, false)); got != first[step] {
				t.Fatalf("%+v: step %d differs when filled again", opt, step)
			}
		}
		fresh := newPairwise(t, train, 32, opt)
		if got := fmt.Sprint(fillStep(t, fresh, steps-1, false)); got != first[steps-1] {
			t.Errorf("%+v: a fresh feed resumes at step %d with other bytes", opt, steps-1)
		}
		other, err := NewPairwise(train, 32, 43, opt)
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(fillStep(t, other, 0, false)) == first[0] {
			t.Errorf("%+v: two seeds give one batch", opt)
		}
	}
}

func TestShuffleVisitsEveryInteractionOnce(t *testing.T) {
	train := synthetic(60, 40, 6)
	f := newPairwise(t, train, 32, Options{})
	if train.Len()%32 == 0 {
		t.Fatal("the last batch should be padded")
	}
	var orders []string
	for epoch := range uint64(3) {
		seen := map[[2]int32]int{}
		var order []int32
		for s := range uint64(f.StepsPerEpoch()) {
			p := fillStep(t, f, epoch*uint64(f.StepsPerEpoch())+s, false)
			for b, u := range p["user"].I32 {
				if u >= 0 {
					seen[[2]int32{u, p["pos"].I32[b]}]++
					order = append(order, u)
				}
			}
		}
		if len(seen) != train.Len() || len(order) != train.Len() {
			t.Fatalf("epoch %d: %d rows, %d distinct pairs, %d interactions", epoch, len(order), len(seen), train.Len())
		}
		for pair := range seen {
			if !train.Has(int(pair[0]), pair[1]) {
				t.Fatalf("epoch %d: %v is not in train", epoch, pair)
			}
		}
		orders = append(orders, fmt.Sprint(order))
	}
	if orders[0] == orders[1] || orders[1] == orders[2] {
		t.Error("two epochs have one order")
	}
}

func TestRowsWeightsAndInverse(t *testing.T) {
	train := synthetic(60, 40, 6)
	for _, opt := range everyOption() {
		f := newPairwise(t, train, 32, opt)
		offset := int32(0)
		if opt.Nodes {
			offset = int32(train.Users())
		}
		rows := 0
		for step := range uint64(f.StepsPerEpoch()) {
			p := fillStep(t, f, step, true)
			triples, each := 0, max(1, opt.Candidates)
			if len(p["neg"].I32) != 32*each {
				t.Fatalf("%+v: %d negatives", opt, len(p["neg"].I32))
			}
			for b := range 32 {
				if p["neg"].I32[b*each] >= 0 {
					triples++
				}
			}
			for b, u := range p["user"].I32 {
				i, want := p["pos"].I32[b], 0.0
				negatives := p["neg"].I32[b*each:][:each]
				switch {
				case u < 0:
					if u != -1 || i != -1 || slices.Max(negatives) != -1 || slices.Min(negatives) != -1 {
						t.Fatalf("%+v: padding row is %d %d %d", opt, u, i, negatives)
					}
				case !train.Has(int(u), i-offset):
					t.Fatalf("%+v: positive %d is not in the train set of user %d", opt, i, u)
				case u == 1:
					if slices.Max(negatives) != -1 || slices.Min(negatives) != -1 {
						t.Fatalf("%+v: user 1 has every item, and negatives %d", opt, negatives)
					}
				default:
					for _, j := range negatives {
						if j < offset || int(j-offset) >= train.Items || train.Has(int(u), j-offset) {
							t.Fatalf("%+v: %d is no negative of user %d", opt, j, u)
						}
					}
					want = 1
					if opt.Reduce == Mean {
						want = 1 / float64(triples)
					}
				}
				if u >= 0 {
					rows++
				}
				if got := p["weight"].F64[b]; got != want {
					t.Fatalf("%+v: weight %g, want %g", opt, got, want)
				}
			}
			for _, name := range []string{"user", "pos", "neg"} {
				r, s, q := naiveInverse(p[name].I32)
				if !slices.Equal(r, p[name+"/rows"].I32) || !slices.Equal(s, p[name+"/seg"].I32) || !slices.Equal(q, p[name+"/perm"].I32) {
					t.Fatalf("%+v: step %d: inverse of %s is wrong", opt, step, name)
				}
			}
		}
		if rows != train.Len() {
			t.Errorf("%+v: %d rows an epoch, want %d", opt, rows, train.Len())
		}
	}
}

// chiSquare tests counts against equal expectations: the statistic in standard deviations of its distribution.
func chiSquare(counts []int) float64 {
	total := 0
	for _, c := range counts {
		total += c
	}
	expected, x := float64(total)/float64(len(counts)), 0.0
	for _, c := range counts {
		x += (float64(c) - expected) * (float64(c) - expected) / expected
	}
	df := float64(len(counts) - 1)
	return (x - df) / math.Sqrt(2*df)
}

// Without negatives the pairs are the same, and every one of them counts: also that of a user who has all items.
func TestPairsOnly(t *testing.T) {
	train := synthetic(40, 30, 6)
	for _, opt := range []Options{{}, {Scheme: Uniform, Reduce: Sum, Nodes: true, Distinct: true}} {
		with := newPairwise(t, train, 64, opt)
		opt.PairsOnly = true
		without := newPairwise(t, train, 64, opt)
		last := uint64(with.StepsPerEpoch() - 1)
		for _, step := range []uint64{0, last, last + 1} {
			a, b := fillStep(t, with, step, true), fillStep(t, without, step, true)
			rows := 0
			for name, slot := range b {
				if name != "weight" && !slices.Equal(slot.I32, a[name].I32) {
					t.Errorf("step %d: %s differs", step, name)
				}
			}
			for _, u := range b["user"].I32 {
				if u >= 0 {
					rows++
				}
			}
			if _, there := b["neg"]; there || len(b) != len(a)-with.indices[0].width() {
				t.Errorf("step %d has %d ports, %d with negatives", step, len(b), len(a))
			}
			for k, w := range b["weight"].F64 {
				want := 0.
				if k < rows {
					want = 1
					if opt.Reduce != Sum {
						want = 1 / float64(rows)
					}
				}
				if w != want {
					t.Fatalf("step %d: row %d of %d weighs %g, want %g", step, k, rows, w, want)
				}
			}
		}
	}
}

func TestUniformity(t *testing.T) {
	train := interactions(30, []int32{0, 1, 5, 28, 29}, nil, []int32{3}, []int32{3, 4, 7, 8, 9, 10, 11, 12, 13, 14})
	free := func(counts []int, u int32) []int {
		var out []int
		for i, c := range counts {
			if !train.Has(int(u), int32(i)) {
				out = append(out, c)
			}
		}
		return out
	}
	for _, scheme := range []Scheme{Shuffle, Uniform} {
		f := newPairwise(t, train, 16, Options{Scheme: scheme})
		negatives := make([][]int, 4)
		for u := range negatives {
			negatives[u] = make([]int, train.Items)
		}
		users, positives, last := make([]int, 4), make([]int, train.Items), make([]int, 16)
		for step := range uint64(4000) {
			p := fillStep(t, f, step, false)
			for b, u := range p["user"].I32 {
				users[u]++
				negatives[u][p["neg"].I32[b]]++
				if u == 3 {
					positives[p["pos"].I32[b]]++
				}
				if u == 2 {
					last[b]++ // where user 2's only interaction falls in an epoch
				}
			}
		}
		check := func(what string, counts []int) {
			t.Helper()
			if z := chiSquare(counts); z > 4 || len(counts) < 2 {
				t.Errorf("%s: %s are not uniform (%.1f sigma): %v", scheme, what, z, counts)
			}
		}
		for _, u := range []int32{0, 2, 3} {
			check(fmt.Sprintf("negatives of user %d", u), free(negatives[u], u))
		}
		check("places of an interaction", last)
		if scheme == Uniform {
			check("users", []int{users[0], users[2], users[3]})
			var owned []int
			for _, i := range train.Of(3) {
				owned = append(owned, positives[i])
			}
			check("positives of user 3", owned)
		}
	}
}

func TestNegativeIsTheRankOfFreeItems(t *testing.T) {
	for _, owned := range [][]int32{nil, {0}, {4}, {0, 1, 2}, {1, 3}, {0, 4}, {0, 1, 3, 4}} {
		var want, got []int32
		for i := range int32(5) {
			if !slices.Contains(owned, i) {
				want = append(want, i)
			}
		}
		for r := range len(want) { // a word in the middle of the r-th equal part of 0..2^32-1
			got = append(got, negative(owned, 5, uint32((uint64(2*r+1)<<32)/uint64(2*len(want)))))
		}
		if !slices.Equal(got, want) {
			t.Errorf("free of %v: got %v, want %v", owned, got, want)
		}
	}
	if j := negative([]int32{0, 1, 2}, 3, 99); j != -1 {
		t.Errorf("negative of a user who has all items: %d", j)
	}
}

func TestNewPairwiseRefuses(t *testing.T) {
	train := interactions(3, []int32{1})
	for name, c := range map[string]struct {
		train *dataset.Interactions
		batch int
		opt   Options
	}{
		"no interactions": {interactions(3, nil, nil), 4, Options{}},
		"batch":           {train, 0, Options{}},
		"scheme":          {train, 4, Options{Scheme: "popular"}},
		"reduction":       {train, 4, Options{Reduce: "max"}},
		"negatives":       {train, 4, Options{Negative: "hard"}},
		"candidates":      {train, 4, Options{Candidates: -1}},
		"too many":        {train, 1 << 20, Options{Candidates: 1 << 12}},
		"exponent":        {train, 4, Options{Negative: PopularItems, Alpha: math.NaN()}},
		"exponent below":  {train, 4, Options{Negative: PopularItems, Alpha: -1}},
	} {
		if _, err := NewPairwise(c.train, c.batch, 1, c.opt); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	f := newPairwise(t, train, 4, Options{})
	if err := f.Fill(0, slots(f.Ports(), false)[:3]); err == nil {
		t.Error("too few slots: no error")
	}
}

func TestFillAllocatesNothing(t *testing.T) {
	train := synthetic(300, 200, 10)
	for _, opt := range everyOption() {
		f := newPairwise(t, train, 256, opt)
		out := slots(f.Ports(), false)
		step := uint64(0)
		if n := testing.AllocsPerRun(50, func() {
			if err := f.Fill(step, out); err != nil {
				t.Fatal(err)
			}
			step++
		}); n != 0 {
			t.Errorf("%+v: %g allocations a step", opt, n)
		}
	}
}

// BenchmarkPairwise has the shape of yelp2018: 31,668 users, 38,048 items, about 1.24 million interactions, batch 2048.
func BenchmarkPairwise(b *testing.B) {
	train := synthetic(31_668, 38_048, 40)
	for _, opt := range []Options{{Scheme: Shuffle, Nodes: true, Distinct: true}, {Scheme: Uniform, Nodes: true, Distinct: true}} {
		b.Run(string(opt.Scheme), func(b *testing.B) {
			f := newPairwise(b, train, 2048, opt)
			out := slots(f.Ports(), false)
			step := uint64(0)
			for b.Loop() {
				if err := f.Fill(step, out); err != nil {
					b.Fatal(err)
				}
				step++
			}
		})
	}
	b.Run("epoch", func(b *testing.B) {
		s := newShuffle(train.Len(), philox.New(1, "epoch"))
		for epoch := uint64(0); b.Loop(); epoch++ {
			s.order(epoch)
		}
	})
}
