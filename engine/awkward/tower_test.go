package awkward

import (
	"math"
	"slices"

	"nearfar/engine"
	"nearfar/engine/op"
	"nearfar/kernels"
	"nearfar/kernels/philox"
)

// Batch, items, dimensions and temperature of the two towers.
const tB, tI, tD, tTau = 4, 7, 3, .5

// towers are a batch of user rows and item rows, of unit length, and the items' ids.
func towers(m *model) (u, v *op.Node, ids op.Index) {
	ids = m.index("item ids", tB, tI, false)
	m.show("ids", m.asReal(ids.ID))
	u = m.show("u", op.NormaliseRows(m.matrix("user", tB, tD)))
	v = m.show("v", op.NormaliseRows(op.Gather(m.matrix("item", tI, tD), ids)))
	return u, v, ids
}

// share is a made-up popularity of item i; the shares of all items add up to 1.
func share(i int) float64 { return 2 * float64(i+1) / (tI * (tI + 1)) }

// batchBias is -log Q of a batch's items as a feed would bring it, and repeats are the pairs that are the positive again.
func batchBias(m *model, ids op.Index) *op.Node {
	q := make([]float64, tI)
	for i := range q {
		q[i] = -math.Log(share(i))
	}
	return op.Gather(m.Const("-log Q", q, tI), ids)
}

// repeats is a fed list of the pairs (b, j), j ≠ b (or any j), in which item j is row b's positive.
func repeats(m *model, ids string, own bool) (row, col *op.Node) {
	s := philox.New(3, "ids/"+ids)
	return m.pairs("repeats", tB*tB, func(t uint64) (list [][2]int) {
		id := func(i int) int { return philox.Below(s.At(t, uint32(i), 0)[0], tI) }
		for b := range tB {
			for j := range tB {
				if id(b) == id(j) && (own || b != j) {
					list = append(list, [2]int{b, j})
				}
			}
		}
		return list
	})
}

// symmetric InfoNCE with logQ on the item side: users against the batch's items and items against its users. Repeats of the positive are no
// negatives, which for the second direction is the same list read the other way, and it is symmetric.
func symmetric(m *model) *op.Node {
	u, v, ids := towers(m)
	bias := batchBias(m, ids)
	row, col := repeats(m, "item ids", false)
	s := op.Similarity{Scale: 1 / tTau, Unit: true, ExcludeRow: row, ExcludeCol: col}
	t := s
	s.Bias, s.FiniteBias = bias, true
	pos := op.Scale(op.RowDot(u, v), 1/tTau)
	forth := op.Sub(op.LogSumExp(u, v, s), op.Add(pos, bias))
	back := op.Sub(op.LogSumExp(v, u, t), pos)
	return op.Scale(op.Add(op.Mean(forth), op.Mean(back)), .5)
}

// logit is <u_b, v_j>/tau - log Q(j).
func (v values) logit(b, j int, logQ bool) (s float64) {
	for k := range tD {
		s += v["u"][b*tD+k] * v["v"][j*tD+k] / tTau
	}
	if logQ {
		s -= math.Log(share(int(v["ids"][j])))
	}
	return s
}

func wantSymmetric(v values) (loss float64) {
	for b := range tB {
		forth, back := 0.0, 0.0
		for j := range tB {
			if j == b || v["ids"][j] != v["ids"][b] {
				forth += math.Exp(v.logit(b, j, true))
				back += math.Exp(v.logit(j, b, false))
			}
		}
		loss += (math.Log(forth) - v.logit(b, b, true) + math.Log(back) - v.logit(b, b, false)) / (2 * tB)
	}
	return loss
}

// refined is the corrected sampled softmax of arXiv 2507.09331: sg(1-P+)·(lse over negatives with Q' - f+). Q' is the proposal without the row's
// positive, Q(j)/(1-Q(b)): a constant a row, so the columns keep one bias.
func refined(m *model) *op.Node {
	u, v, ids := towers(m)
	bias := batchBias(m, ids)
	row, col := repeats(m, "item ids", true)
	lse := op.LogSumExp(u, v, op.Similarity{Scale: 1 / tTau, Unit: true, Bias: bias, FiniteBias: true, ExcludeRow: row, ExcludeCol: col})
	without := op.Log(op.AddConst(op.Neg(op.Exp(op.Neg(bias))), 1)) // ln(1-Q(b))
	each := op.Sub(op.Add(lse, without), op.Scale(op.RowDot(u, v), 1/tTau))
	return op.Mean(op.Mul(m.stop("1-P", op.Sigmoid(each)), each))
}

func wantRefined(v values) (loss float64) {
	for b := range tB {
		q, sum := share(int(v["ids"][b])), 0.0
		for j := range tB {
			if v["ids"][j] != v["ids"][b] {
				sum += math.Exp(v.logit(b, j, true)) * (1 - q)
			}
		}
		pos := math.Exp(v.logit(b, b, false))
		loss += sum / (sum + pos) * math.Log(sum/pos) / tB
	}
	return loss
}

// mixed negatives (Yang 2020): the batch's items and as many drawn uniformly, Q(j) = (B p_j + B'/M)/(B+B'), a learned temperature.
func mixed(m *model) *op.Node {
	const extra = 3
	u, v, ids := towers(m)
	more := m.index("uniform ids", extra, tI, true) // the last one is padding
	m.show("more", m.asReal(more.ID))
	all := op.Concat(0, v, op.NormaliseRows(op.Gather(m.matrix("item", tI, tD), more)))
	q := make([]float64, tI)
	for i := range q {
		q[i] = -math.Log((tB*share(i) + extra/float64(tI)) / (tB + extra))
	}
	table := m.Const("-log Q mixed", q, tI)
	missing := m.reals("missing", func(_ uint64, i int) float64 {
		if i == extra-1 {
			return math.Inf(-1)
		}
		return 0
	}, extra)
	own := op.Gather(table, ids)
	bias := op.Concat(0, own, op.Add(op.Gather(table, more), missing))
	u = op.Mul(u, op.Exp(m.matrix("log 1/tau")))
	lse := op.LogSumExp(u, all, op.Similarity{Scale: 1, Bias: bias, FiniteBias: true})
	return op.Mean(op.Sub(lse, op.Add(op.RowDot(u, v), own)))
}

func wantMixed(v values) (loss float64) {
	const extra = 3
	item := func(id int) []float64 { return unitRows(v["item"][id*tD:id*tD+tD], tD) }
	for b, own := range v["ids"] {
		logit := func(id int) (s float64) {
			for k, y := range item(id) {
				s += v["u"][b*tD+k] * y * math.Exp(v["log 1/tau"][0])
			}
			return s - math.Log((tB*share(id)+extra/float64(tI))/(tB+extra))
		}
		sum := 0.0
		for _, id := range slices.Concat(v["ids"], v["more"][:extra-1]) {
			sum += math.Exp(logit(int(id)))
		}
		loss += (math.Log(sum) - logit(int(own))) / tB
	}
	return loss
}

// hard negatives: of a pool that the batch shares, each row's h nearest. Written twice: as logits that are absent below the h-th largest (no
// gather, no scatter), and as rows gathered by place; they agree.
func hard(gathered bool) func(m *model) *op.Node {
	return func(m *model) *op.Node {
		const pool, h = 6, 2
		u, v, _ := towers(m)
		y := op.NormaliseRows(m.matrix("pool", pool, tD))
		s := op.MatMul(u, y, false, true)
		value, place := op.TopK(op.Detach(s), h)
		m.show("kept", value)
		var near *op.Node
		if gathered {
			rows := op.Reshape(op.Gather(y, op.Only(op.Reshape(place, tB*h))), tB, h, tD)
			near = op.Reshape(op.MatMul(rows, op.Reshape(u, tB, tD, 1), false, false), tB, h)
		} else {
			below := op.Greater(op.Slice(value, 1, h-1, h), s)
			near = op.Where(below, m.Scalar(math.Inf(-1)), s)
		}
		pos := op.Scale(op.RowDot(u, v), 1/tTau)
		lse := op.LogSumExpAlong(op.Concat(1, op.Column(pos), op.Scale(near, 1/tTau)), 1)
		return op.Mean(op.Sub(lse, pos))
	}
}

func wantHard(v values) (loss float64) {
	for b := range tB {
		pos := v.logit(b, b, false)
		sum := math.Exp(pos)
		for _, s := range v["kept"][b*2 : b*2+2] {
			sum += math.Exp(s / tTau)
		}
		loss += (math.Log(sum) - pos) / tB
	}
	return loss
}

// exposed negatives: beside the batch's items each row has its own list of impressions without a click, some shorter than others.
func exposed(m *model) *op.Node {
	const most = 3
	u, v, ids := towers(m)
	bias := batchBias(m, ids)
	list := m.index("exposed", tB*most, tI, false)
	missing := m.reals("missing", func(_ uint64, i int) float64 {
		if i%most > i/most {
			return math.Inf(-1)
		}
		return 0
	}, tB, most)
	m.show("exposed", m.asReal(list.ID))
	w := op.Reshape(op.NormaliseRows(op.Gather(m.matrix("item", tI, tD), list)), tB, most, tD)
	own := op.Reshape(op.MatMul(w, op.Reshape(u, tB, tD, 1), false, false), tB, most)
	batch := op.LogSumExp(u, v, op.Similarity{Scale: 1 / tTau, Unit: true, Bias: bias, FiniteBias: true})
	lse := op.LogSumExpAlong(op.Concat(1, op.Column(batch), op.Add(op.Scale(own, 1/tTau), missing)), 1)
	return op.Mean(op.Sub(lse, op.Add(op.Scale(op.RowDot(u, v), 1/tTau), bias)))
}

func wantExposed(v values) (loss float64) {
	const most = 3
	for b := range tB {
		sum := 0.0
		for j := range tB {
			sum += math.Exp(v.logit(b, j, true))
		}
		for k := range min(most, b+1) {
			id, s := int(v["exposed"][b*most+k]), 0.0
			for j, y := range unitRows(v["item"][id*tD:id*tD+tD], tD) {
				s += v["u"][b*tD+j] * y / tTau
			}
			sum += math.Exp(s)
		}
		loss += (math.Log(sum) - v.logit(b, b, true)) / tB
	}
	return loss
}

// features is a batch of items' fields [B, F, d]: bags over a fed CSR (mean of a bag's rows, with its transposed for the derivative), weighted bags, a
// random mask of whole fields and dropout within; SENet; a linear tower. Two views of it attract each other (Yao 2021).
func features(m *model) *op.Node {
	const values, most, F = 5, 3, 2
	table := m.matrix("tag", values, tD)
	s := philox.New(9, "bags")
	// bag b of step t holds tags (b+t)%3 .. , of the weights below; bag 0 is empty.
	bag := func(t uint64, b int) (tags []int) {
		for k := range b % (most + 1) {
			tags = append(tags, philox.Below(s.At(t, uint32(b), uint32(k))[0], values))
		}
		return tags
	}
	const capacity = tB * most
	csr := func(rows string, n int, transposed bool) *op.Sparse {
		f := &fed{
			ports: []engine.Port{intPort(rows+"/beg", n), intPort(rows+"/end", n), intPort(rows+"/col", capacity), realPort(rows+"/val", capacity)},
			fill: func(t uint64, out []engine.Slot) error {
				e := 0
				for r := range n {
					out[0].I32[r] = int32(e)
					for b := range tB {
						for _, tag := range bag(t, b) {
							from, to := b, tag
							if transposed {
								from, to = tag, b
							}
							if from == r {
								out[2].I32[e] = int32(to)
								out[3].Set(e, 1/float64(len(bag(t, b))))
								e++
							}
						}
					}
					out[1].I32[r] = int32(e)
				}
				for ; e < capacity; e++ {
					out[2].I32[e] = 0
					out[3].Set(e, 0)
				}
				return nil
			},
		}
		n4 := m.Feed(f)
		return &op.Sparse{Beg: n4[0], End: n4[1], Col: n4[2], Val: n4[3]}
	}
	bags := csr("bags", tB, false)
	bags.Transposed = csr("tags", values, true)
	first := op.SpMM(bags, table)
	second := op.Gather(m.matrix("item", tI, tD), m.index("item ids", tB, tI, false))
	e := op.Reshape(op.Concat(1, first, second), tB, F, tD)
	w1, w2 := m.matrix("W1", F, 3), m.matrix("W2", 3, F)
	tower, bias := m.matrix("tower", F*tD, tD), m.matrix("tower.bias", tD)
	encode := func(view string) *op.Node {
		kept := m.Random("mask/"+view, kernels.Bernoulli, .6, tB, F)
		x := m.Dropout("dropout/"+view, op.Mul(e, op.Column(kept)), .2)
		gate := op.Sigmoid(op.Linear(op.ReLU(op.Linear(op.Mean(x, 2), w1, nil)), w2, nil))
		x = op.Mul(x, op.Column(gate))
		return m.show(view, op.NormaliseRows(op.Linear(op.Reshape(x, tB, F*tD), tower, bias)))
	}
	x, y := encode("view1"), encode("view2")
	lse := op.LogSumExp(x, y, op.Similarity{Scale: 1 / tTau, Unit: true})
	return op.Mean(op.Sub(lse, op.Scale(op.RowDot(x, y), 1/tTau)))
}

func wantFeatures(v values) (loss float64) {
	dot := func(b, j int) (s float64) {
		for k := range tD {
			s += v["view1"][b*tD+k] * v["view2"][j*tD+k] / tTau
		}
		return s
	}
	for b := range tB {
		sum := 0.0
		for j := range tB {
			sum += math.Exp(dot(b, j))
		}
		loss += (math.Log(sum) - dot(b, b)) / tB
	}
	return loss
}

// gatheredBags are bags over a vocabulary too large to be fed transposed: padded ids [B·L] and their inverse, a weight a place, a sum.
func gatheredBags(m *model) *op.Node {
	const L = 3
	at := m.index("tags", tB*L, 5, true)
	w := m.reals("tag weights", func(_ uint64, i int) float64 { return 1 / float64(1+i%L) }, tB, L, 1)
	m.show("tags", m.asReal(at.ID))
	x := op.Sum(op.Mul(op.Reshape(op.Gather(m.matrix("tag", 5, tD), at), tB, L, tD), w), 1)
	return op.Sum(op.Mul(op.Tanh(x), m.data("probe", tB, tD)))
}

func wantGatheredBags(v values) (loss float64) {
	const L = 3
	probe := drawn("probe", tB*tD)
	for b := range tB {
		for j := range tD {
			s := 0.0
			for k := range L {
				if id := int(v["tags"][b*L+k]); id >= 0 {
					s += v["tag"][id*tD+j] / float64(k+1)
				}
			}
			loss += math.Tanh(s) * probe[b*tD+j]
		}
	}
	return loss
}

// unitRows is a plain matrix with rows of unit length.
func unitRows(x []float64, d int) []float64 {
	x = slices.Clone(x)
	for r := range slices.Chunk(x, d) {
		n := 0.0
		for _, a := range r {
			n += a * a
		}
		for i := range r {
			r[i] /= math.Sqrt(n)
		}
	}
	return x
}
