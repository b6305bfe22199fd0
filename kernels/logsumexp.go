package kernels

import "math"

// Similarity says how the batch x N logits of the contrastive kernels are formed. A kernel forms them in tiles.
//
//	s_bn = Scale · <x_b, y_n> + bias_n,  -Inf for an excluded (b, n)
//
// Inputs follow one order: X [B, d], Y [N, d] | what the kernel adds | bias [N] if Biased | weight [B] if Weighted |
// exclude rows [E] and columns [E] if Excludes.
//
// A bias of -Inf makes a column absent, a weight of 0 makes a row absent (its log-sum-exp is defined as 0 and it sends no
// gradient): duplicates, padding, the last batch, logQ and a queue that is not full yet are all said in these two. Excluded pairs are sorted
// by row; a row of -1 is padding and stands behind the others.
type Similarity struct {
	Scale float64
	// Bound, where positive, promises |s_bn| <= Bound for every column whose bias is not -Inf; 0 promises nothing. It is a fact about the operands,
	// not a choice: a kernel set may sum e^s without a maximum where its precision allows that for such logits, and otherwise uses the running
	// maximum. The result is the same up to rounding.
	Bound                      float64
	Biased, Weighted, Excludes bool
}

// Inputs is the number of inputs of a kernel that adds n of its own.
func (s Similarity) Inputs(n int) int {
	n += 2
	if s.Biased {
		n++
	}
	if s.Weighted {
		n++
	}
	if s.Excludes {
		n += 2
	}
	return n
}

// Places gives where bias, weight and the excluded pairs stand among the inputs; -1 where they do not.
func (s Similarity) Places(added int) (bias, weight, row, col int) {
	bias, weight, row, col = -1, -1, -1, -1
	at := 2 + added
	if s.Biased {
		bias = at
		at++
	}
	if s.Weighted {
		weight = at
		at++
	}
	if s.Excludes {
		row, col = at, at+1
	}
	return
}

func (s Similarity) infer(k Kernel, in []Desc, added int) error {
	const want = "X [B d], Y [N d], .. (bias [N]) (weight [B]) (rows [E], columns [E])"
	if len(in) != s.Inputs(added) || in[0].Rank != 2 || in[1].Rank != 2 || !floats(in[:2]...) || in[0].Dim[1] != in[1].Dim[1] {
		return wrong(k, want, in)
	}
	B, N := in[0].Dim[0], in[1].Dim[0]
	vector := func(i, n int) bool { return i < 0 || floats(in[0], in[i]) && in[i].Rank == 1 && in[i].Dim[0] == n }
	for i := range added {
		if !vector(2+i, B) {
			return wrong(k, want, in)
		}
	}
	bias, weight, row, col := s.Places(added)
	if !vector(bias, N) || !vector(weight, B) || row >= 0 && (!indices(in[row], in[col]) || in[row] != in[col]) {
		return wrong(k, want, in)
	}
	return nil
}

// logits returns s_b. of one row.
func (s Similarity) logits(in []Tensor64, added, b int) []float64 {
	bias, _, row, col := s.Places(added)
	out := make([]float64, in[1].Desc.Dim[0])
	for n := range out {
		out[n] = s.Scale * dot(in[0].row(b), in[1].row(n))
		if bias >= 0 {
			out[n] += in[bias].F[n]
		}
	}
	if row >= 0 {
		for e, r := range in[row].I {
			if int(r) == b {
				out[in[col].I[e]] = math.Inf(-1)
			}
		}
	}
	return out
}

func (s Similarity) absent(in []Tensor64, added, b int) bool {
	_, weight, _, _ := s.Places(added)
	return weight >= 0 && in[weight].F[b] == 0
}

func logSumExp(s []float64) float64 {
	top := math.Inf(-1)
	for _, v := range s {
		top = max(top, v)
	}
	if math.IsInf(top, -1) {
		return top
	}
	sum := 0.0
	for _, v := range s {
		sum += math.Exp(v - top)
	}
	return top + math.Log(sum)
}

// LogSumExp is the fused primitive under every InfoNCE, sampled softmax and queue:
//
//	lse_b = ln Σ_n e^(s_bn)
//
// Inputs as Similarity has them. Output lse [B].
type LogSumExp struct{ Similarity }

func (l LogSumExp) Name() string { return "LogSumExp" }

func (l LogSumExp) Infer(in []Desc) ([]Desc, error) {
	if err := l.infer(l, in, 0); err != nil {
		return nil, err
	}
	return []Desc{Of(in[0].Type, in[0].Dim[0])}, nil
}

func (l LogSumExp) Ref(out, in []Tensor64) {
	for b := range out[0].F {
		out[0].F[b] = 0
		if !l.absent(in, 0, b) {
			out[0].F[b] = logSumExp(l.logits(in, 0, b))
		}
	}
}

// LogSumExpGrad is the derivative of Σ_b g_b lse_b:
//
//	p_bn = g_b e^(s_bn - lse_b);  dX = Scale · P Y;  dY = Scale · Pᵀ X;  dbias_n = Σ_b p_bn
//
// Inputs X, Y, lse [B], g [B], then as Similarity has them. Outputs dX [B, d], dY [N, d], and dbias [N] if Biased.
type LogSumExpGrad struct{ Similarity }

func (l LogSumExpGrad) Name() string { return "LogSumExpGrad" }

func (l LogSumExpGrad) Infer(in []Desc) ([]Desc, error) {
	if err := l.infer(l, in, 2); err != nil {
		return nil, err
	}
	out := []Desc{in[0], in[1]}
	if l.Biased {
		out = append(out, Of(in[0].Type, in[1].Dim[0]))
	}
	return out, nil
}

func (l LogSumExpGrad) Ref(out, in []Tensor64) {
	for _, o := range out {
		clear(o.F)
	}
	for b := range in[0].Desc.Dim[0] {
		lse, g := in[2].F[b], in[3].F[b]
		if l.absent(in, 2, b) || g == 0 || math.IsInf(lse, -1) {
			continue
		}
		for n, s := range l.logits(in, 2, b) {
			p := g * math.Exp(s-lse)
			if p == 0 {
				continue
			}
			for k := range in[0].row(b) {
				out[0].row(b)[k] += l.Scale * p * in[1].row(n)[k]
				out[1].row(n)[k] += l.Scale * p * in[0].row(b)[k]
			}
			if l.Biased {
				out[2].F[n] += p
			}
		}
	}
}

// LogSumExpWithGrad is LogSumExp and LogSumExpGrad in one pass over the logits, for a g that does not depend on lse. The plan
// makes it of the two.
//
// Inputs X, Y, g [B], then as Similarity has them. Outputs lse [B], dX [B, d], dY [N, d], and dbias [N] if Biased.
type LogSumExpWithGrad struct{ Similarity }

func (l LogSumExpWithGrad) Name() string { return "LogSumExpWithGrad" }

func (l LogSumExpWithGrad) Infer(in []Desc) ([]Desc, error) {
	if err := l.infer(l, in, 1); err != nil {
		return nil, err
	}
	out := []Desc{Of(in[0].Type, in[0].Dim[0]), in[0], in[1]}
	if l.Biased {
		out = append(out, Of(in[0].Type, in[1].Dim[0]))
	}
	return out, nil
}

func (l LogSumExpWithGrad) Ref(out, in []Tensor64) {
	plain := append([]Tensor64{in[0], in[1]}, in[3:]...)
	LogSumExp(l).Ref(out[:1], plain)
	LogSumExpGrad(l).Ref(out[1:], append([]Tensor64{in[0], in[1], out[0], in[2]}, in[3:]...))
}
