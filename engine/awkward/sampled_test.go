package awkward

import (
	"math"
	"slices"

	"nearfar/engine"
	"nearfar/engine/op"
	"nearfar/kernels/philox"
	"nearfar/trainer/sample"
)

// logUniform is the share of an id among n that are sorted by popularity: (ln(id+2) - ln(id+1)) / ln(n+1).
func logUniform(id, n int) float64 {
	return (math.Log(float64(id+2)) - math.Log(float64(id+1))) / math.Log(float64(n+1))
}

// sampledSoftmax: B targets against N negatives that the batch shares, drawn log-uniformly; logits less ln of the expected count; a negative that
// is a row's own target is left out of that row.
//
//	loss_b = ln(e^pos + Σ_n e^(s_bn - ln N·Q(n))) - pos = softplus(lse - pos)
func sampledSoftmax(m *model) *op.Node {
	const B, N, items, d = 4, 7, 12, 3
	x, err := sample.NewIndex("target", B, items, false)
	if err != nil {
		panic(&op.Error{Err: err})
	}
	y, err := sample.NewIndex("negative", N, items, false)
	if err != nil {
		panic(&op.Error{Err: err})
	}
	draws := philox.New(5, "log-uniform")
	f := &fed{
		ports: slices.Concat(x.Ports(), y.Ports(), []engine.Port{realPort("target-logq", B), realPort("negative-bias", N), intPort("hit-row", B*N), intPort("hit-col", B*N)}),
		fill: func(t uint64, out []engine.Slot) error {
			for b := range B {
				id := (int(t)*3 + b*b) % items
				out[0].I32[b] = int32(id)
				out[8].Set(b, -math.Log(N*logUniform(id, items)))
			}
			for n := range N {
				u := philox.Uniform(draws.At(t, uint32(n), 0)[0])
				id := min(items-1, int(math.Exp(u*math.Log(items+1)))-1)
				out[4].I32[n] = int32(id)
				out[9].Set(n, -math.Log(N*logUniform(id, items)))
			}
			hits := 0
			for b := range B {
				for n := range N {
					if out[0].I32[b] == out[4].I32[n] {
						out[10].I32[hits], out[11].I32[hits] = int32(b), int32(n)
						hits++
					}
				}
			}
			for ; hits < B*N; hits++ {
				out[10].I32[hits], out[11].I32[hits] = -1, -1
			}
			if err := x.Invert(out[:4]); err != nil {
				return err
			}
			return y.Invert(out[4:8])
		},
	}
	nodes := m.Feed(f)
	targets, negatives := m.Index(f, "target"), m.Index(f, "negative")
	table := m.matrix("item", items, d)
	u, e, y2 := m.matrix("user", B, d), op.Gather(table, targets), op.Gather(table, negatives)
	for i, name := range map[int]string{0: "targets", 4: "negatives"} {
		m.show(name, m.asReal(nodes[i]))
	}
	pos := op.Add(op.RowDot(u, e), nodes[8])
	lse := op.LogSumExp(u, y2, op.Similarity{Scale: 1, Bias: nodes[9], FiniteBias: true, ExcludeRow: nodes[10], ExcludeCol: nodes[11]})
	return op.Mean(op.Softplus(op.Sub(lse, pos)))
}

func wantSampledSoftmax(v values) (loss float64) {
	const B, N, items, d = 4, 7, 12, 3
	logit := func(b int, id float64) (s float64) {
		for j := range d {
			s += v["user"][b*d+j] * v["item"][int(id)*d+j]
		}
		return s - math.Log(N*logUniform(int(id), items))
	}
	for b, target := range v["targets"] {
		sum := math.Exp(logit(b, target))
		for _, n := range v["negatives"] {
			if n != target {
				sum += math.Exp(logit(b, n))
			}
		}
		loss += (math.Log(sum) - logit(b, target)) / B
	}
	return loss
}
