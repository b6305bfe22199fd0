package sample

import (
	"fmt"
	"math"

	"nearfar/engine"
	"nearfar/kernels"
	"nearfar/kernels/philox"
	"nearfar/trainer/dataset"
)

// A Scheme says which (user, positive item) pairs make an epoch.
type Scheme string

const (
	// Shuffle visits every train interaction once, in an order drawn anew for each epoch (SELFRec, SGL, RecBole).
	Shuffle Scheme = "shuffle"
	// Uniform draws as many pairs as there are interactions: a uniform user among those with train items, then a uniform item
	// of that user, so that users count alike whatever their history (LightGCN-PyTorch, UniformSample_original).
	Uniform Scheme = "uniform"
)

// A Reduction says what the rows' weights add up to.
type Reduction string

const (
	Mean Reduction = "mean" // weights sum to 1
	Sum  Reduction = "sum"  // every weight is 1
)

// Options of Pairwise; the zero value is shuffled pairs, one uniform negative, item ids and the mean.
type Options struct {
	Scheme     Scheme    // default Shuffle
	Reduce     Reduction // default Mean
	Nodes      bool      // items are nodes of the bipartite graph: item + number of users
	Distinct   bool      // add the ports unique and absent of each index
	Candidates int       // items drawn for neg in each row, with replacement; default 1
	PairsOnly  bool      // no neg: for losses without negatives
	Negative   Negative  // how they are drawn; default UniformItems
	Alpha      float64   // exponent of PopularItems
}

// Pairwise is the feed of BPR's triples (Rendle et al., UAI 2009): user u, an item i of u's train interactions, and items j
// that are none of them. Its ports, with B the batch and C the candidates:
//
//	user, pos [B]   int32, each an Index with its inverse
//	neg       [B C] the same; row b has neg[b C : (b+1) C]
//	weight    [B]   1/n for the n rows of the batch that are a triple, or 1 for Reduce Sum; 0 for the others
//
// The last batch of an epoch is padded with rows of ids -1 and weight 0. A user who has every item has no negative: such a row
// keeps its user and positive, has neg -1 and weight 0, and does not count in n. With PairsOnly there is no port neg, nothing is drawn, and
// every pair counts.
//
// Step t is the pure function of (seed, t) that engine.Feed asks for; a shuffled epoch is cached, so steps of one epoch are best
// filled one after another. One goroutine at a time.
type Pairwise struct {
	train  *dataset.Interactions
	batch  int
	opt    Options
	offset int32 // of item ids

	indices []*Index // user, pos and, without PairsOnly, neg
	draws   philox.Stream
	epochs  *shuffle // Scheme Shuffle
	owner   []int32  // Scheme Shuffle: the user of each interaction
	active  []int32  // Scheme Uniform: users with train items
	popular *popular // Negative PopularItems
}

// NewPairwise samples batches of triples from train.
func NewPairwise(train *dataset.Interactions, batch int, seed uint64, opt Options) (*Pairwise, error) {
	if opt.Scheme == "" {
		opt.Scheme = Shuffle
	}
	if opt.Reduce == "" {
		opt.Reduce = Mean
	}
	if opt.Negative == "" {
		opt.Negative = UniformItems
	}
	if opt.Candidates == 0 {
		opt.Candidates = 1
	}
	switch {
	case train.Len() == 0:
		return nil, fmt.Errorf("sample: no train interactions to sample from")
	case int64(train.Len()) > math.MaxInt32:
		return nil, fmt.Errorf("sample: %d train interactions; at most %d are supported", train.Len(), math.MaxInt32)
	case batch < 1:
		return nil, fmt.Errorf("sample: batch %d: want at least 1", batch)
	case opt.Reduce != Mean && opt.Reduce != Sum:
		return nil, fmt.Errorf("sample: reduction %q: want %q or %q", opt.Reduce, Mean, Sum)
	case opt.Negative != UniformItems && opt.Negative != PopularItems:
		return nil, fmt.Errorf("sample: negatives %q: want %q or %q", opt.Negative, UniformItems, PopularItems)
	case opt.Candidates < 1 || batch > math.MaxInt32/opt.Candidates:
		return nil, fmt.Errorf("sample: %d negatives for each of %d rows: want at least 1, and at most %d in all", opt.Candidates, batch, math.MaxInt32)
	}
	p := &Pairwise{train: train, batch: batch, opt: opt, draws: philox.New(seed, "sample/pairwise")}
	switch opt.Scheme {
	case Shuffle:
		p.epochs = newShuffle(train.Len(), philox.New(seed, "sample/pairwise/epoch"))
		p.owner = owners(train)
	case Uniform:
		p.active = activeUsers(train)
	default:
		return nil, fmt.Errorf("sample: scheme %q: want %q or %q", opt.Scheme, Shuffle, Uniform)
	}
	if opt.Negative == PopularItems {
		var err error
		if p.popular, err = newPopular(train, opt.Alpha); err != nil {
			return nil, err
		}
	}
	items := train.Items
	if opt.Nodes {
		items += train.Users()
		p.offset = int32(train.Users())
	}
	lists := []struct {
		name          string
		length, bound int
	}{{"user", batch, train.Users()}, {"pos", batch, items}, {"neg", batch * opt.Candidates, items}}
	if opt.PairsOnly {
		lists = lists[:2]
	}
	for _, l := range lists {
		x, err := NewIndex(l.name, l.length, l.bound, opt.Distinct)
		if err != nil {
			return nil, err
		}
		p.indices = append(p.indices, x)
	}
	return p, nil
}

// Ports are those of user, pos and neg, then weight.
func (p *Pairwise) Ports() (ports []engine.Port) {
	for _, x := range p.indices {
		ports = append(ports, x.Ports()...)
	}
	return append(ports, engine.Port{Name: "weight", Desc: kernels.Of(kernels.Float32, p.batch)})
}

// StepsPerEpoch is the number of batches that hold as many pairs as there are train interactions, the padded one included.
func (p *Pairwise) StepsPerEpoch() int { return (p.train.Len() + p.batch - 1) / p.batch }

// Fill writes the triples of step t. The epoch is t / StepsPerEpoch.
func (p *Pairwise) Fill(t uint64, out []engine.Slot) error {
	w := p.indices[0].width()
	if len(out) != len(p.indices)*w+1 {
		return fmt.Errorf("sample: %d slots for %d ports", len(out), len(p.indices)*w+1)
	}
	user, pos, weight := out[0].I32, out[w].I32, out[len(out)-1]
	var neg []int32
	if !p.opt.PairsOnly {
		neg = out[2*w].I32
	}

	steps, each := uint64(p.StepsPerEpoch()), p.opt.Candidates
	epoch, from := t/steps, int(t%steps)*p.batch
	rows := min(p.batch, p.train.Len()-from)
	var order []int32
	if p.opt.Scheme == Shuffle {
		order = p.epochs.order(epoch)[from : from+rows]
	}
	counts := 0
	for b := range rows {
		words := p.draws.Sequence(t, uint32(b))
		first, second := words.Word(), words.Word() // for scheme Uniform, so that negatives are the same words in both schemes
		var u, i int32
		if order != nil {
			u, i = p.owner[order[b]], p.train.Item[order[b]]
		} else {
			u = p.active[philox.Below(first, len(p.active))]
			items := p.train.Of(int(u))
			i = items[philox.Below(second, len(items))]
		}
		user[b], pos[b] = u, i+p.offset
		if p.opt.PairsOnly || p.candidates(int(u), &words, neg[b*each:(b+1)*each]) {
			counts++
		}
	}
	fill(user[rows:], -1)
	fill(pos[rows:], -1)
	if neg != nil {
		fill(neg[rows*each:], -1)
	}

	share := 1.0
	if p.opt.Reduce == Mean && counts > 0 {
		share = 1 / float64(counts)
	}
	for b := range p.batch {
		if b < rows && (neg == nil || neg[b*each] >= 0) { // a row has all of its negatives or none
			weight.Set(b, share)
		} else {
			weight.Set(b, 0)
		}
	}
	for k, x := range p.indices {
		if err := x.Invert(out[k*w : (k+1)*w]); err != nil {
			return err
		}
	}
	return nil
}

func owners(train *dataset.Interactions) []int32 {
	owner := make([]int32, 0, train.Len())
	for u := range train.Users() {
		for range train.Of(u) {
			owner = append(owner, int32(u))
		}
	}
	return owner
}

func activeUsers(train *dataset.Interactions) []int32 {
	var active []int32
	for u := range train.Users() {
		if len(train.Of(u)) > 0 {
			active = append(active, int32(u))
		}
	}
	return active
}
