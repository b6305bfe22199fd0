package models

import (
	"nearfar/engine"
	"nearfar/engine/op"
	"nearfar/models/loss"
	"nearfar/trainer/sample"
)

// Negatives says what a contrastive loss repels an anchor from.
type Negatives string

const (
	AllNodes    Negatives = "all"          // all users for a user, all items for an item (wujcan/SGL)
	InBatch     Negatives = "batch"        // the batch's users, or the batch's items (SELFRec SimGCL, XSimGCL)
	BatchMerged Negatives = "batch-merged" // the batch's users and items in one softmax (SELFRec SGL)
)

// ContrastOptions are those of the contrast of two views. Models set the defaults by their sources.
type ContrastOptions struct {
	_         struct{}         `title:"Contrast"`
	Lambda    float64          `flag:"lambda" default:"0.1" min:"0" help:"weight of the contrast; small data want 5 to 10 times less than yelp2018"`
	Tau       float64          `flag:"tau" default:"0.2" above:"0" help:"temperature of the softmax"`
	Negatives Negatives        `flag:"negatives" default:"all" choices:"all,batch,batch-merged" help:"denominator of the softmax" source:"wujcan/SGL: all; SELFRec: batch, SGL batch-merged"`
	Unique    bool             `flag:"unique" default:"false" help:"each user and item of the batch once (torch.unique)" source:"SELFRec: true"`
	SSLReduce sample.Reduction `flag:"ssl-reduce" default:"mean" choices:"mean,sum" help:"the contrast as the mean or the sum over its rows" source:"wujcan/SGL: sum; SELFRec: mean"`
}

// side is one kind of node in a batch: where its rows are among the nodes, and which of them the batch holds.
type side struct {
	from, to int      // its rows in the table of nodes
	id       op.Index // the rows to contrast; -1 for padding
	weight   *op.Node // 1 for a row that takes part, 0 for padding
	absent   *op.Node // the same as a bias of candidates: 0, -Inf
}

// sides are the users and the positive items of a batch, each id once with Unique.
func (m *ranked) sides(b *engine.Builder, o ContrastOptions) [2]side {
	batch := m.batch(b)
	sides := [2]side{{from: 0, to: m.users, id: batch.User}, {from: m.users, to: m.count(), id: batch.Pos}}
	for k, name := range []string{"user", "pos"} {
		if o.Unique {
			// The distinct rows are in increasing order and stand once each, so their scatter needs no inverse of its own.
			sides[k].id = op.Only(sides[k].id.Rows)
			sides[k].weight = op.Positive(b.Port(m.triples, name+"/unique"))
			sides[k].absent = b.Port(m.triples, name+"/absent")
		} else {
			sides[k].weight = op.Positive(batch.Weight)
			sides[k].absent = op.Log(sides[k].weight) // ln 1, ln 0
		}
	}
	return sides
}

// contrast is L_users + L_items between two views x, y [N, d] of all nodes, rows of x against rows of y (SGL eq. 10, one-directional).
func (m *ranked) contrast(b *engine.Builder, x, y *op.Node, o ContrastOptions) *op.Node {
	sides := m.sides(b, o)
	if o.Negatives == BatchMerged {
		return m.contrastMerged(x, y, sides, o)
	}
	var losses [2]*op.Node
	for k, s := range sides {
		anchors := op.NormaliseRows(op.Gather(x, s.id))
		positives := op.NormaliseRows(op.Gather(y, s.id))
		candidates := loss.Candidates{Rows: positives, Bias: s.absent}
		if o.Negatives == AllNodes {
			candidates = loss.Candidates{Rows: op.NormaliseRows(op.Slice(y, 0, s.from, s.to))}
		}
		losses[k] = loss.InfoNCE(anchors, positives, candidates, reduced(s.weight, o.SSLReduce), o.Tau)
	}
	return op.Add(losses[0], losses[1])
}

// contrastMerged has one softmax over the batch's users and items together.
func (m *ranked) contrastMerged(x, y *op.Node, sides [2]side, o ContrastOptions) *op.Node {
	rows := func(z *op.Node) *op.Node {
		return op.NormaliseRows(op.Concat(0, op.Gather(z, sides[0].id), op.Gather(z, sides[1].id)))
	}
	anchors, positives := rows(x), rows(y)
	present := op.Concat(0, sides[0].weight, sides[1].weight)
	absent := op.Concat(0, sides[0].absent, sides[1].absent)
	return loss.InfoNCE(anchors, positives, loss.Candidates{Rows: positives, Bias: absent}, reduced(present, o.SSLReduce), o.Tau)
}

// reduced turns 1 for present and 0 for absent rows into weights that take the mean or the sum.
func reduced(present *op.Node, r sample.Reduction) *op.Node {
	if r == sample.Sum {
		return present
	}
	return op.Div(present, op.MaxConst(op.Sum(present), 1))
}
