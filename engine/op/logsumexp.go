package op

import (
	"fmt"
	"math"

	"nearfar/kernels"
)

// Similarity are the logits of a contrastive loss: s_bn = Scale·<x_b, y_n> + Bias_n, with rows and columns that may be absent.
type Similarity struct {
	Scale float64
	// Unit promises that rows of x and y have at most unit length, so that Scale bounds the logits: the kernel is told so (kernels.Similarity.Bound),
	// and what it makes of it is its own decision.
	Unit bool
	// Bias [N] is added to the columns: -log Q; -Inf makes a column absent. Or nil.
	Bias *Node
	// FiniteBias tells that Bias holds values other than 0 and -Inf, which voids the bound.
	FiniteBias bool
	// Weight [B]: rows of weight 0 are absent. Or nil.
	Weight *Node
	// ExcludeRow, ExcludeCol [E] are pairs (b, n) that are no negatives, sorted by row, -1 behind. Or nil.
	ExcludeRow, ExcludeCol *Node
}

func (s Similarity) kernel() kernels.Similarity {
	k := kernels.Similarity{Scale: s.Scale, Biased: s.Bias != nil, Weighted: s.Weight != nil, Excludes: s.ExcludeRow != nil}
	if s.Unit && !s.FiniteBias {
		k.Bound = math.Abs(s.Scale) * (1 + 1e-5) // a little above, since rows have unit length only up to rounding
	}
	return k
}

func (s Similarity) operands() (in []*Node) {
	for _, n := range []*Node{s.Bias, s.Weight, s.ExcludeRow, s.ExcludeCol} {
		if n != nil {
			in = append(in, n)
		}
	}
	return in
}

type logSumExpDef struct{ kernels.LogSumExp }

func (d logSumExpDef) Base() kernels.Kernel { return d.LogSumExp }
func (d logSumExpDef) Flow(input int) Flow  { return similarityFlow(d.Similarity, input, 0, Flows) }

// similarityFlow: x, y and what the kernel adds flow as given, as does the bias; weight and pairs are data.
func similarityFlow(s kernels.Similarity, input, added int, flow Flow) Flow {
	bias, _, _, _ := s.Places(added)
	if input < 2+added || input == bias {
		return flow
	}
	return Stops
}

func (d logSumExpDef) Pull(c *Pull) []*Node {
	in := append([]*Node{c.In(0), c.In(1), c.Out(0), c.Grad()}, c.Inputs()[2:]...)
	dx := Apply(logSumExpGradDef{kernels.LogSumExpGrad{Similarity: d.Similarity}}, in)
	r := make([]*Node, len(c.in))
	if c.Wants(0) {
		r[0] = dx
	}
	if c.Wants(1) {
		r[1] = Output(dx, 1)
	}
	if d.Biased && c.Wants(2) {
		r[2] = Output(dx, 2)
	}
	return r
}

// MaxExpandedLogits caps what an expansion may store: B x N logits.
const MaxExpandedLogits = 1 << 26

// expandedLogits stores s [B, N]. A weight is not applied here.
func expandedLogits(s kernels.Similarity, x, y, bias *Node, name string) *Node {
	B, N := Desc(x).Dim[0], Desc(y).Dim[0]
	if B*N > MaxExpandedLogits {
		fail("%s, written in smaller operators, would store %d x %d logits (at most %d): lower the batch", name, B, N, MaxExpandedLogits)
	}
	if s.Excludes {
		fail("%s with excluded pairs has no form in smaller operators", name)
	}
	z := Scale(MatMul(x, y, false, true), s.Scale)
	if bias != nil {
		z = Add(z, bias)
	}
	return z
}

// beyond is above every logit: e^(s - beyond) is 0, and so are its derivatives.
const beyond = math.MaxFloat32

// shifted is lse [B] for e^(s - lse) of a gradient's expansion. A row without a present column or of weight 0 has no p: its lse is beyond every
// logit, since a product of a mask with what may be NaN or infinite would be NaN.
func shifted(lse, weight *Node) *Node {
	t := kernels.Of(Desc(lse).Type)
	far := Fill(lse.Graph(), beyond, t)
	lse = Where(Greater(lse, Fill(lse.Graph(), -beyond, t)), lse, far)
	if weight != nil {
		lse = Where(weight, lse, far)
	}
	return lse
}

func pick(in []*Node, at int) *Node {
	if at < 0 {
		return nil
	}
	return in[at]
}

func (d logSumExpDef) Expand(in []*Node) []*Node {
	bias, weight, _, _ := d.Places(0)
	lse := LogSumExpAlong(expandedLogits(d.Similarity, in[0], in[1], pick(in, bias), d.Name()), 1)
	if d.Weighted {
		lse = Where(in[weight], lse, Fill(lse.Graph(), 0, kernels.Of(Desc(lse).Type)))
	}
	return []*Node{lse}
}

type logSumExpGradDef struct{ kernels.LogSumExpGrad }

func (d logSumExpGradDef) Base() kernels.Kernel { return d.LogSumExpGrad }
func (d logSumExpGradDef) Flow(input int) Flow {
	return similarityFlow(d.Similarity, input, 2, Unwritten)
}

func (d logSumExpGradDef) Pull(*Pull) []*Node {
	panic("op: LogSumExpGrad is differentiated expanded")
}

// Expand stores the B x N matrix of softmax weights: for second derivatives at moderate sizes.
func (d logSumExpGradDef) Expand(in []*Node) []*Node {
	x, y, lse, g := in[0], in[1], in[2], in[3]
	bias, weight, _, _ := d.Places(2)
	lse = shifted(lse, pick(in, weight))
	p := Mul(Exp(Sub(expandedLogits(d.Similarity, x, y, pick(in, bias), d.Name()), Column(lse))), Column(g))
	out := []*Node{Scale(MatMul(p, y, false, false), d.Scale), Scale(MatMul(p, x, true, false), d.Scale)}
	if d.Biased {
		out = append(out, Sum(p, 0))
	}
	return out
}

// LogSumExp is lse_b = ln Σ_n e^(s_bn) over rows x [B, d] and y [N, d]; the B x N logits are no node. Output [B].
func LogSumExp(x, y *Node, s Similarity) *Node {
	if s.Scale == 0 || math.IsNaN(s.Scale) || math.IsInf(s.Scale, 0) {
		panic(&Error{fmt.Errorf("LogSumExp: a scale of %g: is the temperature 0 or infinite?", s.Scale)})
	}
	return Apply(logSumExpDef{kernels.LogSumExp{Similarity: s.kernel()}}, append([]*Node{x, y}, s.operands()...))
}
