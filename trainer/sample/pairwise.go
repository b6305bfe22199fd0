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

// Options of Pairwise; the zero value is shuffled pairs, item ids and the mean.
type Options struct {
	Scheme   Scheme    // default Shuffle
	Reduce   Reduction // default Mean
	Nodes    bool      // items are nodes of the bipartite graph: item + number of users
	Distinct bool      // add the ports unique and absent of each index
}

// Pairwise is the feed of BPR's triples (Rendle et al., UAI 2009): user u, an item i of u's train interactions, and an item j
// that is none of them, uniform over all such items. Its ports, with B the batch:
//
//	user, pos, neg [B]  int32, each an Index with its inverse
//	weight         [B]  1/n for the n rows of the batch that are a triple, or 1 for Reduce Sum; 0 for the others
//
// The last batch of an epoch is padded with rows of ids -1 and weight 0. A user who has every item has no negative: such a row
// keeps its user and positive, has neg -1 and weight 0, and does not count in n.
//
// Step t is the pure function of (seed, t) that engine.Feed asks for; a shuffled epoch is cached, so steps of one epoch are best
// filled one after another. One goroutine at a time.
type Pairwise struct {
	train  *dataset.Interactions
	batch  int
	opt    Options
	offset int32 // of item ids

	user, pos, neg *Index
	draws          philox.Stream
	epochs         *shuffle // Scheme Shuffle
	owner          []int32  // Scheme Shuffle: the user of each interaction
	active         []int32  // Scheme Uniform: users with train items
}

// NewPairwise samples batches of triples from train.
func NewPairwise(train *dataset.Interactions, batch int, seed uint64, opt Options) (*Pairwise, error) {
	if opt.Scheme == "" {
		opt.Scheme = Shuffle
	}
	if opt.Reduce == "" {
		opt.Reduce = Mean
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
	items := train.Items
	if opt.Nodes {
		items += train.Users()
		p.offset = int32(train.Users())
	}
	var err error
	if p.user, err = NewIndex("user", batch, train.Users(), opt.Distinct); err != nil {
		return nil, err
	}
	if p.pos, err = NewIndex("pos", batch, items, opt.Distinct); err != nil {
		return nil, err
	}
	if p.neg, err = NewIndex("neg", batch, items, opt.Distinct); err != nil {
		return nil, err
	}
	return p, nil
}

// Ports are those of user, pos and neg, then weight.
func (p *Pairwise) Ports() []engine.Port {
	ports := append(p.user.Ports(), p.pos.Ports()...)
	ports = append(ports, p.neg.Ports()...)
	return append(ports, engine.Port{Name: "weight", Desc: kernels.Of(kernels.Float32, p.batch)})
}

// StepsPerEpoch is the number of batches that hold as many pairs as there are train interactions, the padded one included.
func (p *Pairwise) StepsPerEpoch() int { return (p.train.Len() + p.batch - 1) / p.batch }

// Fill writes the triples of step t. The epoch is t / StepsPerEpoch.
func (p *Pairwise) Fill(t uint64, out []engine.Slot) error {
	w := p.user.width()
	if len(out) != 3*w+1 {
		return fmt.Errorf("sample: %d slots for %d ports", len(out), 3*w+1)
	}
	user, pos, neg, weight := out[0].I32, out[w].I32, out[2*w].I32, out[3*w]

	steps := uint64(p.StepsPerEpoch())
	epoch, first := t/steps, int(t%steps)*p.batch
	rows := min(p.batch, p.train.Len()-first)
	var order []int32
	if p.opt.Scheme == Shuffle {
		order = p.epochs.order(epoch)[first : first+rows]
	}
	triples := 0
	for b := range rows {
		words := p.draws.At(t, uint32(b), 0)
		var u, i int32
		if order != nil {
			u, i = p.owner[order[b]], p.train.Item[order[b]]
		} else {
			u = p.active[philox.Below(words[0], len(p.active))]
			items := p.train.Of(int(u))
			i = items[philox.Below(words[1], len(items))]
		}
		j := negative(p.train.Of(int(u)), p.train.Items, words[2])
		user[b], pos[b], neg[b] = u, i+p.offset, j
		if j >= 0 {
			neg[b] += p.offset
			triples++
		}
	}
	fill(user[rows:], -1)
	fill(pos[rows:], -1)
	fill(neg[rows:], -1)

	each := 1.0
	if p.opt.Reduce == Mean && triples > 0 {
		each = 1 / float64(triples)
	}
	for b, j := range neg {
		if j >= 0 {
			weight.Set(b, each)
		} else {
			weight.Set(b, 0)
		}
	}
	for k, x := range []*Index{p.user, p.pos, p.neg} {
		if err := x.Invert(out[k*w : (k+1)*w]); err != nil {
			return err
		}
	}
	return nil
}

// negative maps a random word to an item in 0..items-1 that is not in owned (sorted, distinct), uniformly; -1 where there is none.
//
// It has the distribution of drawing items until one is not owned, with one draw and one search: the r-th free item is r + k,
// k being the number of owned items before it, and owned[k]-k counts the free items before owned[k].
func negative(owned []int32, items int, word uint32) int32 {
	free := items - len(owned)
	if free <= 0 {
		return -1
	}
	r := int32(philox.Below(word, free))
	lo, hi := 0, len(owned)
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		if owned[mid]-int32(mid) <= r {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return r + int32(lo)
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
