package main

import (
	"fmt"
	"math"
	"regexp"

	"nearfar/kernels"
	"nearfar/kernels/philox"
)

// A problem is a kernel on operands of one size.
type problem struct {
	name string // the kernel's, and what tells its forms apart
	size string
	k    kernels.Kernel
	in   func(r draws) []tensor
	// inPlace is the number of outputs that lie on the first inputs, as a plan places optimisers and Put.
	inPlace int
	// byRows lists the inputs of which row i is needed for row i of the outputs alone, beside the whole of the others. Where it is empty, only all rows
	// together can be verified, or verification has a way of its own (SpMM, the log-sum-exps).
	byRows []int
}

// dimensions are what problems of one workload are made with.
type dimensions struct{ batch, candidates, dim int }

// problems of a workload: each kernel of the vocabulary in the forms that models use.
func problems(w *workload, n dimensions) []problem {
	nodes, d, batch := w.graph.Nodes(), n.dim, min(n.batch, w.graph.Nodes())
	graphSize := fmt.Sprintf("%s d=%d", w.name, d)
	batchSize := fmt.Sprintf("%s B=%d d=%d", w.name, batch, d)
	table := kernels.Of(kernels.Float32, nodes, d)

	tables := func(count int) func(r draws) []tensor {
		return func(r draws) (in []tensor) {
			for range count {
				in = append(in, r.normal(nodes, d))
			}
			return in
		}
	}
	onTable := func(name string, k kernels.Kernel, count int, byRows ...int) problem {
		return problem{name: name, size: graphSize, k: k, in: tables(count), byRows: byRows}
	}
	spmm := func(name string, k kernels.SpMM) problem {
		return problem{name: name, size: graphSize, k: k, in: func(r draws) []tensor { return sparseOperands(w, k, r.normal(nodes, d)) }}
	}
	// The optimisers' step is small, so that a thousand runs in place leave numbers like the first ones.
	rates := tensor{Desc: kernels.Of(kernels.Float32, 3), F32: []float32{1e-6, float32(1 / (1 - .9)), float32(1 / (1 - .999))}}
	one := constant(1)
	// parameter is one, and its states.
	parameter := func(r draws, states int, of kernels.DType) []tensor {
		in := []tensor{r.normal(nodes, d)}
		for range states {
			s := constant(.01, nodes, d)
			if of == kernels.BFloat16 {
				s = bfloat16(s)
			}
			in = append(in, s)
		}
		return in
	}
	optimiser := func(name string, k kernels.Kernel, states int) problem {
		in := func(r draws) []tensor {
			return append(parameter(r, states, kernels.Float32), r.normal(nodes, d), rates, one, one)
		}
		p := problem{name: name, size: graphSize, k: k, in: in, inPlace: states + 1}
		for i := range states + 2 {
			p.byRows = append(p.byRows, i)
		}
		return p
	}
	adam, clock := kernels.Adam{B1: .9, B2: .999, Eps: 1e-8}, indices([]int32{1, 0, 7, 0})
	adam16 := adam
	adam16.Moments16, adam16.Stream = true, philox.Name("bench")
	onBatch := func(name string, k kernels.Kernel, inPlace int, in func(r draws, id []int32) []tensor) problem {
		return problem{name: name, size: batchSize, k: k, inPlace: inPlace, in: func(r draws) []tensor { return in(r, r.ids(batch, nodes)) }}
	}
	scatter := func(r draws, id []int32) []tensor {
		rows, seg, perm := inverse(id)
		return []tensor{r.normal(batch, d), indices(id), indices(rows), indices(seg), indices(perm)}
	}
	rowOptimiser := func(name string, k kernels.Kernel, states int) problem {
		return onBatch(name, k, states+1, func(r draws, id []int32) []tensor {
			rows, _, _ := inverse(id)
			return append(parameter(r, states, kernels.Float32), r.normal(batch, d), indices(rows), rates, one, one)
		})
	}
	gather := onBatch("Gather", kernels.Gather{}, 0, func(r draws, id []int32) []tensor { return []tensor{r.normal(nodes, d), indices(id)} })
	gather.byRows = []int{1}

	list := []problem{
		spmm("SpMM", kernels.SpMM{Scaled: true}),
		spmm("SpMM half", kernels.SpMM{Scaled: true, Half: true}),
		{name: "SpMM zero rows", size: batchSize, k: kernels.SpMM{Scaled: true, ZeroRows: true}, in: func(r draws) []tensor {
			// As the gradient of a batch's users, positives and negatives: popular rows as often as they are met.
			x := tensor{Desc: table, F32: make([]float32, nodes*d)}
			some := r.normal(3*batch, d)
			for i := range 3 * batch {
				node := r.IntN(nodes)
				if i < 2*batch && len(w.graph.Col) > 0 {
					node = int(w.graph.Col[r.IntN(len(w.graph.Col))])
				}
				copy(x.F32[node*d:node*d+d], some.F32[i*d:])
			}
			return sparseOperands(w, kernels.SpMM{Scaled: true}, x)
		}},
		spmm("SpMM valued", kernels.SpMM{Scaled: true, Valued: true}),
		optimiser("Adam", adam, 2),
		{name: "Adam moments16", size: graphSize, k: adam16, inPlace: 3, in: func(r draws) []tensor { // rounded by the place in the parameter: all rows together
			return append(parameter(r, 2, kernels.BFloat16), r.normal(nodes, d), clock, rates, one, one)
		}},
		optimiser("AdamW", kernels.Adam{B1: .9, B2: .999, Eps: 1e-8, Decay: .01, Decoupled: true}, 2),
		optimiser("SGD", kernels.SGD{Momentum: .9}, 1),
		optimiser("Adagrad", kernels.Adagrad{Eps: 1e-10}, 1),
		gather,
		onBatch("ScatterAdd", kernels.ScatterAdd{Rows: nodes, Sorted: true}, 0, scatter),
		onBatch("ScatterAdd onto", kernels.ScatterAdd{Rows: nodes, Sorted: true, Onto: true}, 1, func(r draws, id []int32) []tensor {
			return append([]tensor{r.normal(nodes, d)}, scatter(r, id)...)
		}),
		onBatch("SegmentSum", kernels.SegmentSum{}, 0, func(r draws, id []int32) []tensor {
			_, seg, perm := inverse(id)
			return []tensor{r.normal(batch, d), indices(seg), indices(perm)}
		}),
		onBatch("Put", kernels.Put{}, 1, func(r draws, id []int32) []tensor {
			rows, _, _ := inverse(id)
			return []tensor{r.normal(nodes, d), r.normal(batch, d), indices(rows)}
		}),
		rowOptimiser("RowAdam", kernels.RowAdam{Adam: adam}, 2),
		rowOptimiser("RowAdam dense", kernels.RowAdam{Adam: adam, Dense: true}, 2),
		onBatch("RowAdam dense moments16", kernels.RowAdam{Adam: adam16, Dense: true}, 3, func(r draws, id []int32) []tensor {
			rows, _, _ := inverse(id)
			return append(parameter(r, 2, kernels.BFloat16), r.normal(batch, d), indices(rows), clock, rates, one, one)
		}),
		rowOptimiser("RowAdagrad", kernels.RowAdagrad{Adagrad: kernels.Adagrad{Eps: 1e-10}}, 1),
		onTable("NormaliseRows", kernels.NormaliseRows{Eps: 1e-12}, 1, 0),
		{name: "NormaliseRowsGrad", size: graphSize, k: kernels.NormaliseRowsGrad{}, byRows: []int{0, 1, 2}, in: func(r draws) []tensor {
			return []tensor{r.unit(nodes, d), constant(1, nodes), r.normal(nodes, d)}
		}},
		onTable("RowDot", kernels.RowDot{}, 2, 0, 1),
		onTable("Map add", kernels.Binary(kernels.Add), 2, 0, 1),
		onTable("Map of four", signedSum, 2, 0, 1),
		onTable("Map softplus", kernels.Unary(kernels.Softplus), 1, 0),
		onTable("Reduce sum", kernels.Reduce{Axes: kernels.AllAxes}, 1),
		onTable("Reduce sum of squares", kernels.Reduce{Op: kernels.SumSquares, Axes: kernels.AllAxes}, 1),
		onTable("Reduce sum of rows", kernels.Reduce{Axes: kernels.Axis(1)}, 1, 0),
		onTable("Reduce sum of columns", kernels.Reduce{Axes: kernels.Axis(0)}, 1),
		onTable("Reduce log-sum-exp of rows", kernels.Reduce{Op: kernels.LogSumExps, Axes: kernels.Axis(1)}, 1, 0),
		onTable("Reduce max of rows", kernels.Reduce{Op: kernels.Largest, Axes: kernels.Axis(1)}, 1, 0),
		onTable("Reduce all finite", kernels.Reduce{Op: kernels.AllFinite, Axes: kernels.AllAxes}, 1),
		onTable("Softmax", kernels.Softmax{}, 1, 0),
		onTable("Concat", kernels.Concat{Axis: 1}, 2, 0, 1),
		onTable("Slice", kernels.Slice{Axis: 0, Beg: nodes / 4, End: nodes}, 1),
		onTable("Pad", kernels.Pad{Axis: 0, Before: nodes / 4}, 1),
		onTable("Permute", kernels.Permute{Order: [kernels.MaxRank]int{1, 0}}, 1),
		onTable("Reshape", kernels.Reshape{Shape: kernels.Of(kernels.Float32, nodes*d)}, 1),
		{name: "Fill", size: graphSize, k: kernels.Fill{Value: 1, Shape: table}, in: tables(0)},
	}
	for _, r := range []struct {
		name string
		of   kernels.Distribution
	}{{"Random uniform", kernels.Uniform}, {"Random normal", kernels.Normal}, {"Random Bernoulli", kernels.Bernoulli}} {
		list = append(list, problem{name: r.name, size: graphSize, k: kernels.Random{Distribution: r.of, P: .9, Stream: philox.Name("bench"), Shape: table},
			in: func(draws) []tensor { return []tensor{indices([]int32{1, 0, 7, 0})} }})
	}
	list = append(list, problem{name: "SignedNoise", size: graphSize, k: kernels.SignedNoise{Scale: .1, Eps: 1e-12, Stream: philox.Name("bench")}, inPlace: 1,
		in: func(r draws) []tensor { return []tensor{r.normal(nodes, d), indices([]int32{1, 0, 7, 0})} }})
	scores := fmt.Sprintf("%s B=%d d=%d", w.name, scoreRows, d)
	items := w.graph.Items
	list = append(list,
		problem{name: "MatMul scores", size: scores, k: kernels.MatMul{}, byRows: []int{0}, in: func(r draws) []tensor {
			return []tensor{r.normal(scoreRows, d), r.normal(d, items)}
		}},
		problem{name: "TopK 20", size: scores, k: kernels.TopK{K: min(20, items)}, byRows: []int{0}, in: func(r draws) []tensor {
			return []tensor{r.normal(scoreRows, items)}
		}})
	return append(list, contrasts(n)...)
}

// signedSum is x + 0.1 sign(x) u.
var signedSum = kernels.MapOf(kernels.MapInstr{Op: kernels.Sign, A: 0}, kernels.MapInstr{Op: kernels.Mul, A: -1, B: 1},
	kernels.MapInstr{Op: kernels.Scale, A: -2, Imm: .1}, kernels.MapInstr{Op: kernels.Add, A: 0, B: -3})

// scoreRows is how many users the trainer ranks at once.
const scoreRows = 256

// sparseOperands are those of Â, and x.
func sparseOperands(w *workload, k kernels.SpMM, x tensor) []tensor {
	scale := filled(func(i int) float32 { return float32(w.graph.Scale[i]) }, w.graph.Nodes())
	in := []tensor{x, indices(w.graph.Beg()), indices(w.graph.End()), indices(w.graph.Col)}
	if k.Scaled {
		in = append(in, scale, scale)
	}
	if k.Valued {
		in = append(in, constant(.5, len(w.graph.Col)))
	}
	return in
}

// contrasts are the problems that know no graph. Their operands are unit rows at a temperature of 0.2; the forms that promise no bound on the logits
// keep a running maximum.
func contrasts(n dimensions) []problem {
	size := fmt.Sprintf("B=%d N=%d d=%d", n.batch, n.candidates, n.dim)
	unit := kernels.Similarity{Scale: 5, Bound: 5.01}
	open := kernels.Similarity{Scale: 5}
	pair := func(r draws) []tensor {
		return []tensor{r.unit(n.batch, n.dim), r.unit(n.candidates, n.dim)}
	}
	weights := func() tensor { return constant(1/float32(n.batch), n.batch) }
	withGrad := func(r draws) []tensor { return append(pair(r), weights()) }
	grad := func(r draws) []tensor { // the log-sum-exp is about that of N cosines near 0
		return append(pair(r), constant(float32(math.Log(float64(n.candidates)))+.2, n.batch), weights())
	}
	return []problem{
		{name: "LogSumExp", size: size, k: kernels.LogSumExp{Similarity: unit}, in: pair},
		{name: "LogSumExp unbounded", size: size, k: kernels.LogSumExp{Similarity: open}, in: pair},
		{name: "LogSumExpGrad", size: size, k: kernels.LogSumExpGrad{Similarity: unit}, in: grad},
		{name: "LogSumExpWithGrad", size: size, k: kernels.LogSumExpWithGrad{Similarity: unit}, in: withGrad},
		{name: "LogSumExpWithGrad unbounded", size: size, k: kernels.LogSumExpWithGrad{Similarity: open}, in: withGrad},
		{name: "MatMul", size: fmt.Sprintf("B=%d d=%d", n.batch, n.dim), k: kernels.MatMul{}, byRows: []int{0}, in: func(r draws) []tensor {
			return []tensor{r.normal(n.batch, 4*n.dim), r.normal(4*n.dim, 4*n.dim)}
		}},
	}
}

// selected are the problems whose name matches, each once: sizes share those that know no graph.
func selected(all []problem, run *regexp.Regexp, seen map[string]bool) (list []problem) {
	for _, p := range all {
		key := p.name + "|" + p.size
		if run.MatchString(p.name) && !seen[key] {
			seen[key] = true
			list = append(list, p)
		}
	}
	return list
}

func sparse(p problem) bool {
	_, ok := p.k.(kernels.SpMM)
	return ok
}
