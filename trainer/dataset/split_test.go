package dataset

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"nearfar/kernels/philox"
)

// event is an interaction with its time.
type event struct {
	Pair
	time float64
}

// events draws n different interactions of users x items at times below moments, so that few moments make many ties.
func events(random *rand.Rand, users, items, n, moments int) []event {
	var all []event
	seen := map[Pair]bool{}
	for range n {
		p := Pair{random.Int32N(int32(users)), random.Int32N(int32(items))}
		if !seen[p] {
			seen[p] = true
			all = append(all, event{p, float64(random.IntN(moments))})
		}
	}
	return all
}

// held is a data set of one file with these interactions.
func held(t *testing.T, users, items int, all []event, withTimes bool) *Dataset {
	t.Helper()
	var pairs []Pair
	var times []float64
	for _, e := range all {
		pairs = append(pairs, e.Pair)
		if withTimes {
			times = append(times, e.time)
		}
	}
	d := &Dataset{Path: "memory", UserID: make([]string, users), ItemID: make([]string, items)}
	for u := range d.UserID {
		d.UserID[u] = fmt.Sprint("u", u)
	}
	for i := range d.ItemID {
		d.ItemID[i] = fmt.Sprint("i", i)
	}
	var err error
	if d.Train, _, err = FromTimedPairs(users, items, pairs, times); err != nil {
		t.Fatal(err)
	}
	if d.Valid, _, err = FromPairs(users, items, nil); err != nil {
		t.Fatal(err)
	}
	d.Test = d.Valid
	return d
}

// divide splits a data set that is held.
func divide(t *testing.T, d *Dataset, o Options) *Dataset {
	t.Helper()
	if err := o.verify(); err != nil {
		t.Fatal(err)
	}
	if err := d.split(o, true); err != nil {
		t.Fatal(err)
	}
	return d
}

// timesOf maps the interactions of a set to their times.
func timesOf(x *Interactions) map[Pair]float64 {
	all := map[Pair]float64{}
	for u := range x.Users() {
		for s := x.Ptr[u]; s < x.Ptr[u+1]; s++ {
			p := Pair{int32(u), x.Item[s]}
			if all[p] = 0; x.Time != nil {
				all[p] = x.Time[s]
			}
		}
	}
	return all
}

var manySplits = []Options{
	{Split: SplitRandom},
	{Split: SplitRandom, By: ByUser, Ratio: Ratios{.8, .1, .1}},
	{Split: SplitRandom, Ratio: Ratios{.6, .25, .15}},
	{Split: SplitRandom, By: ByUser, Ratio: Ratios{.5, 0, .5}},
	{Split: SplitLeaveOneOut},
	{Split: SplitTemporal},
	{Split: SplitTemporal, Ratio: Ratios{.7, .1, .2}},
	{Split: SplitTemporal, By: ByUser, Ratio: Ratios{.7, .1, .2}},
}

// TestSplitsAreParts: the parts share nothing, are all there was with its times, and depend on the seed and not on the order of lines.
func TestSplitsAreParts(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for round := range 20 {
		const users, items = 23, 40
		all := events(random, users, items, 300, 1+round*round)
		for _, o := range manySplits {
			o.Seed = uint64(round)
			name := fmt.Sprint(o.Split, " ", o.By, " ", o.Ratio)
			d := divide(t, held(t, users, items, all, true), o)
			if n := d.Train.Overlap(d.Valid) + d.Train.Overlap(d.Test) + d.Valid.Overlap(d.Test); n > 0 {
				t.Errorf("%s: %d interactions are in two parts", name, n)
			}
			together := map[Pair]float64{}
			for _, x := range []*Interactions{d.Train, d.Valid, d.Test} {
				if len(x.Time) != x.Len() {
					t.Errorf("%s: %d times of %d interactions", name, len(x.Time), x.Len())
				}
				for p, at := range timesOf(x) {
					together[p] = at
				}
			}
			if len(together) != len(all) || d.Len() != len(all) {
				t.Errorf("%s: %d interactions of %d", name, d.Len(), len(all))
			}
			for _, e := range all {
				if at, ok := together[e.Pair]; !ok || at != e.time {
					t.Errorf("%s: %v is lost or has the time %g", name, e, at)
				}
			}
			turned := slices.Clone(all)
			random.Shuffle(len(turned), func(a, b int) { turned[a], turned[b] = turned[b], turned[a] })
			again := divide(t, held(t, users, items, turned, true), o)
			if again.Checksum() != d.Checksum() {
				t.Errorf("%s: the order of lines changes the split", name)
			}
		}
	}
}

func TestSeedDecidesTheSplit(t *testing.T) {
	all := events(rand.New(rand.NewPCG(5, 6)), 30, 30, 400, 3) // three moments: ties everywhere
	for _, o := range manySplits {
		if o.Split == SplitTemporal && o.By != ByUser {
			continue // it draws nothing
		}
		one := divide(t, held(t, 30, 30, all, true), o).Checksum()
		o.Seed = 2
		if divide(t, held(t, 30, 30, all, true), o).Checksum() == one {
			t.Errorf("%s %s: another seed, the same split", o.Split, o.By)
		}
	}
}

// TestLastByTime: leave-one-out and the temporal split by user take the last by time, and among equal times by the keyed hash.
func TestLastByTime(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 10))
	for _, moments := range []int{1, 4, 1 << 40} {
		const users, items, seed = 30, 60, 11
		all := events(random, users, items, 500, moments)
		stream := philox.New(seed, "dataset/split")
		rows := make([][]event, users)
		for _, e := range all {
			rows[e.User] = append(rows[e.User], e)
		}
		for u := range rows {
			slices.SortFunc(rows[u], func(a, b event) int {
				x, y := stream.At(0, uint32(u), uint32(a.Item)), stream.At(0, uint32(u), uint32(b.Item))
				return cmp.Or(cmp.Compare(a.time, b.time), cmp.Compare(x[0], y[0]), cmp.Compare(x[1], y[1]))
			})
		}
		d := divide(t, held(t, users, items, all, true), Options{Split: SplitLeaveOneOut, Seed: seed})
		short := 0
		for u, row := range rows {
			n := len(row)
			if n < 3 {
				short += min(n, 1)
				if d.Train.Degree(u) != n {
					t.Errorf("user %d with %d interactions has %d in train", u, n, d.Train.Degree(u))
				}
				continue
			}
			if !slices.Equal(d.Test.Of(u), []int32{row[n-1].Item}) || !slices.Equal(d.Valid.Of(u), []int32{row[n-2].Item}) {
				t.Errorf("%d moments, user %d: test %d and validation %d, want %v", moments, u, d.Test.Of(u), d.Valid.Of(u), row[n-2:])
			}
		}
		if d.Parts.ShortUsers != short || d.Parts.ByChance {
			t.Errorf("%d users are short and by chance is %t, want %d", d.Parts.ShortUsers, d.Parts.ByChance, short)
		}
		d = divide(t, held(t, users, items, all, true), Options{Split: SplitTemporal, By: ByUser, Ratio: Ratios{.5, .2, .3}, Seed: seed})
		for u, row := range rows {
			for k, e := range row {
				want := d.Train
				if k >= len(row)-d.Test.Degree(u) {
					want = d.Test
				} else if k >= d.Train.Degree(u) {
					want = d.Valid
				}
				if !want.Has(u, e.Item) {
					t.Errorf("%d moments, user %d: interaction %d of %d is in the wrong part", moments, u, k, len(row))
				}
			}
		}
	}
}

// Without times the last interaction is drawn, evenly, and the report says so.
func TestLeaveOneOutWithoutTimes(t *testing.T) {
	const users, items = 3000, 4
	var all []event
	for u := range users {
		for i := range items {
			all = append(all, event{Pair: Pair{int32(u), int32(i)}})
		}
	}
	d := divide(t, held(t, users, items, all, false), Options{Split: SplitLeaveOneOut})
	if d.Test.Len() != users || d.Valid.Len() != users || !d.Parts.ByChance || !strings.Contains(d.String(), "the data has no times: which") {
		t.Errorf("%s", d)
	}
	for i, n := range d.Test.ItemDegrees() {
		if math.Abs(float64(n)-users/items) > 5*math.Sqrt(users*3./16) {
			t.Errorf("item %d is the last of %d users, want about %d", i, n, users/items)
		}
	}
}

// TestCuts: interactions of one time stay together, on the side that leaves the parts nearer to their ratios.
func TestCuts(t *testing.T) {
	inf := math.Inf(1)
	for _, c := range []struct {
		name        string
		times       []float64
		r           Ratios
		valid, test float64
	}{
		{"no ties", []float64{5, 1, 4, 2, 3, 10, 9, 8, 7, 6}, Ratios{.8, .1, .1}, 9, 10},
		{"no validation", []float64{1, 2, 3, 4}, Ratios{.75, 0, .25}, 4, 4},
		{"no test", []float64{1, 2, 3, 4}, Ratios{.75, .25, 0}, 4, inf},
		{"a tie nearer to its beginning", []float64{1, 2, 3, 4, 5, 6, 7, 8, 8, 8}, Ratios{.8, 0, .2}, 8, 8},
		{"a tie nearer to its end", []float64{1, 2, 8, 8, 8, 8, 8, 8, 9, 10}, Ratios{.7, 0, .3}, 9, 9},
		{"one time", []float64{7, 7, 7, 7}, Ratios{.75, 0, .25}, inf, inf},
		{"negative and fractional", []float64{-1.5, -1, 0, .5}, Ratios{.5, .25, .25}, 0, .5},
	} {
		role, valid, test := dealByTime(c.times, c.r)
		if valid != c.valid || test != c.test {
			t.Errorf("%s: validation from %g and test from %g, want %g and %g", c.name, valid, test, c.valid, c.test)
		}
		for s, at := range c.times {
			want := uint8(toTrain)
			if at >= c.test {
				want = toTest
			} else if at >= c.valid {
				want = toValid
			}
			if role[s] != want {
				t.Errorf("%s: the time %g has the role %d, want %d", c.name, at, role[s], want)
			}
		}
	}
}

// The random splits of earlier versions: runs that are resumed or repeated have the same parts.
func TestSplitsStay(t *testing.T) {
	train := filepath.Join("..", "..", "testdata", "amazon-electronics", "train.txt")
	for _, c := range []struct {
		o    Options
		want uint32
	}{
		{Options{}, 0x0da166e8},
		{Options{ValidRatio: .1, Seed: 1}, 0x42f88dac},
		{Options{ValidRatio: .3, Seed: 7, Unseen: Drop}, 0xdda3ddfb},
		{Options{Path: train, Seed: 1}, 0x7be53918},
		{Options{Path: train, Seed: 1, Split: SplitRandom, Ratio: Ratios{.8, .1, .1}}, 0x7be53918},
		{Options{Path: train, Seed: 5, TestRatio: .29, ValidRatio: -1}, 0xc1c64f4b},
		{Options{Path: train, Seed: 9, TestRatio: .5, ValidRatio: .45, Unseen: Drop}, 0xf54ce983},
	} {
		if got := load(t, c.o).Checksum(); got != c.want {
			t.Errorf("%+v: checksum %#08x, want %#08x", c.o, got, c.want)
		}
	}
}

// A split of a folder is one of all its files; an interaction that two of them have is one.
func TestPooled(t *testing.T) {
	dir := folder(t, map[string]string{
		"train.txt": "1 5 1\n1 6 1\n1 7 1\n2 5 1\n2 6 1\n",
		"valid.txt": "1 7 1\n2 8 1\n",
		"test.txt":  "1 5 1\n1 9 1\n3 9 1\n",
	})
	d := load(t, Options{Path: dir, Split: SplitLeaveOneOut})
	if d.Len() != 8 || d.Valid.Len() != 2 || d.Test.Len() != 2 || d.Parts.ShortUsers != 1 || d.Parts.PooledRepeated != 2 {
		t.Errorf("%s", d)
	}
	for _, line := range []string{"parts are pooled and split again; 2 interactions were in two", "1 users with fewer than three", "split      leave-one-out: train 4"} {
		if !strings.Contains(d.String(), line) {
			t.Errorf("the report lacks %q:\n%s", line, d)
		}
	}
	given := load(t, Options{Path: dir, Split: SplitGiven})
	if given.Counts.TestInValid != 0 || load(t, Options{Path: dir, Valid: filepath.Join(dir, "test.txt")}).Counts.TestInValid != 3 {
		t.Error("test interactions that are in validation too are not counted")
	}
	if given.Checksum() != load(t, Options{Path: dir}).Checksum() || given.Parts.Pooled {
		t.Error("a folder's parts are not given by default")
	}

	// With times, an interaction of two parts happened at the earlier one.
	timed := held(t, 1, 4, []event{{Pair{0, 0}, 1}, {Pair{0, 1}, 5}, {Pair{0, 2}, 3}}, true)
	timed.Test = held(t, 1, 4, []event{{Pair{0, 1}, 2}, {Pair{0, 3}, 4}}, true).Train
	if err := timed.split(Options{Split: SplitLeaveOneOut}, false); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(timed.Train.Item, timed.Train.Time, timed.Valid.Item, timed.Valid.Time, timed.Test.Item, timed.Test.Time); got != "[0 1] [1 2] [2] [3] [3] [4]" {
		t.Errorf("pooled parts with times: %s", got)
	}
	timed = held(t, 1, 4, []event{{Pair{0, 0}, 1}}, true)
	timed.Test = held(t, 1, 4, []event{{Pair: Pair{0, 1}}}, false).Train
	if err := timed.split(Options{Split: SplitTemporal}, false); err == nil || !strings.Contains(err.Error(), "has no times") {
		t.Errorf("a part without times in a temporal split: error %v", err)
	}
}

// What a single file is under -split given: all of it is train, and a validation file takes its interactions out.
func TestSingleFileGiven(t *testing.T) {
	dir := folder(t, map[string]string{"all": "1 5\n1 6\n1 7\n2 5\n2 6\n", "valid": "1 5\n"})
	o := Options{Path: filepath.Join(dir, "all"), Split: SplitGiven, Valid: filepath.Join(dir, "valid")}
	d := load(t, o)
	if got := d.text(d.Train) + " | " + d.text(d.Valid); got != "1:6,7 2:5,6 | 1:5" || d.Test.Len() != 0 || d.Files[0].Role != "train" {
		t.Errorf("%s\n%s", got, d)
	}
}

// Items whose only training interaction leaves for validation are counted: no model can have learned them.
func TestValidOnly(t *testing.T) {
	d := load(t, Options{Path: folder(t, map[string]string{"train.txt": "1 5 6\n2 5 7 8 9\n3 8\n", "valid.txt": "1 6\n3 8\n"})})
	if d.Parts.ValidOnlyUsers != 1 || d.Parts.ValidOnlyItems != 1 || !strings.Contains(d.String(), "1 items have their training interactions in validation alone") {
		t.Errorf("%s", d)
	}
}

// TestUnseenOfSplits: a cold item counts or leaves whatever made the split.
func TestUnseenOfSplits(t *testing.T) {
	// Item 3 is new in the last interaction of user 0, who has three.
	all := []event{{Pair{0, 0}, 1}, {Pair{0, 1}, 2}, {Pair{0, 3}, 9}, {Pair{1, 0}, 1}, {Pair{1, 1}, 2}, {Pair{1, 2}, 3}, {Pair{1, 4}, 4}}
	for _, o := range []Options{{Split: SplitLeaveOneOut}, {Split: SplitTemporal, Ratio: Ratios{.7, 0, .3}}, {Split: SplitTemporal, By: ByUser, Ratio: Ratios{.6, 0, .4}}} {
		kept := divide(t, held(t, 2, 5, all, true), o)
		if kept.Counts.UnseenItems == 0 || kept.Counts.UnseenTest == 0 || kept.Items() != 5 {
			t.Errorf("%s %s: counts %+v", o.Split, o.By, kept.Counts)
		}
		o.Unseen = Drop
		dropped := divide(t, held(t, 2, 5, all, true), o)
		if dropped.Items() != 5-kept.Counts.UnseenItems || dropped.Test.Len() != kept.Test.Len()-kept.Counts.UnseenTest {
			t.Errorf("%s %s: %d items and %d test interactions are left of %+v", o.Split, o.By, dropped.Items(), dropped.Test.Len(), kept.Counts)
		}
		if len(dropped.Test.Time) != dropped.Test.Len() {
			t.Errorf("%s %s: %d times of %d", o.Split, o.By, len(dropped.Test.Time), dropped.Test.Len())
		}
	}
}

// BenchmarkSplit splits ten million interactions with times, from 200,000 users with 40,000 items, the first of which are the popular ones:
//
//	go test ./trainer/dataset -run - -bench Split -benchtime 1x
func BenchmarkSplit(b *testing.B) {
	const n, users, items = 10_000_000, 200_000, 40_000
	random := rand.New(rand.NewPCG(1, 1))
	pairs, times := make([]Pair, n), make([]float64, n)
	for k := range pairs {
		z := random.Float64()
		pairs[k], times[k] = Pair{random.Int32N(users), int32(z * z * z * items)}, float64(1_000_000_000+random.IntN(1e8))
	}
	x, _, err := FromTimedPairs(users, items, pairs, times)
	if err != nil {
		b.Fatal(err)
	}
	nothing := x.where(func(int, int64) bool { return false })
	for _, o := range append(manySplits, Options{Split: SplitRandom, KCore: KCore{45, 45}}) {
		b.Run(fmt.Sprint(o.Split, "/", o.By, "/", o.KCore.Users), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				d := &Dataset{Train: x, Valid: nothing, Test: nothing, UserID: make([]string, users), ItemID: make([]string, items)}
				if err := d.split(o, true); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A test file takes the place of a folder's, and makes all of a single file train; its users and items join the catalogue.
func TestTestFile(t *testing.T) {
	dir := folder(t, map[string]string{"train.txt": "1 5 6\n2 5 6 7\n", "test.txt": "1 7\n", "all.csv": "user,item\n1,5\n1,6\n2,5\n", "held.csv": "user,item\n2,8\n9,5\n"})
	held := filepath.Join(dir, "held.csv")
	for path, want := range map[string]string{dir: "1:5,6 2:5,6,7 | 2:8 9:5", filepath.Join(dir, "all.csv"): "1:5,6 2:5 | 2:8 9:5"} {
		d := load(t, Options{Path: path, Test: held, ValidRatio: -1})
		if got := d.text(d.Train) + " | " + d.text(d.Test); got != want || d.Parts.Split != SplitGiven {
			t.Errorf("%s: %q, want %q\n%s", path, got, want, d)
		}
	}
	for want, o := range map[string]Options{
		"leave one of them out": {Path: dir, Test: held, Split: SplitRandom},
		"nowhere":               {Path: dir, Test: filepath.Join(dir, "nowhere")},
	} {
		if _, err := Load(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want one with %q", o, err, want)
		}
	}
}
