package main

import (
	"fmt"
	"slices"

	"nearfar/engine"
	"nearfar/kernels"
	"nearfar/kernels/kerneltest"
)

// A verification holds a problem's outputs to float64. Where the reference of all rows would take long it looks at some of them.
type verification struct {
	rows, of int // looked at
	parts    []part
}

// part is one expectation and what of the outputs it is about. Where the expectation depends on an output that another part has verified, it is made
// when there is one.
type part struct {
	what   string
	of     func(out []tensor) []tensor
	expect func(out []tensor) (*kerneltest.Expectation, error)
}

// patience is about a tenth of a second with the tolerance, which takes the reference several times.
const patience = 4e6

// verify prepares a verification whose references take about so many elementary operations.
func verify(p problem, in []tensor, patience float64) (*verification, error) {
	out, err := p.k.Infer(descs(in))
	if err != nil {
		return nil, err
	}
	flops, bytes := engine.Cost(p.k, out, descs(in))
	work := max(flops/2, bytes/4)
	share := min(1, patience/float64(max(work, 1)))
	switch k := p.k.(type) {
	case kernels.SpMM:
		return verifySpMM(k, in, some(out[0].Dim[0], share))
	case kernels.LogSumExp:
		return verifyContrast(k, k.Similarity, in, share)
	case kernels.LogSumExpGrad:
		return verifyContrast(k, k.Similarity, in, share)
	case kernels.LogSumExpWithGrad:
		return verifyContrast(k, k.Similarity, in, share)
	}
	if len(p.byRows) == 0 || share == 1 {
		e, err := kerneltest.Expect(p.k, allWide(in))
		rows := 1
		if out[0].Rank > 0 {
			rows = out[0].Dim[0]
		}
		return &verification{rows, rows, []part{always("", e, everything)}}, err
	}
	rows := some(out[0].Dim[0], share)
	less := slices.Clone(in)
	for _, i := range p.byRows {
		less[i] = rowsOf(in[i], rows)
	}
	e, err := kerneltest.Expect(p.k, allWide(less))
	return &verification{len(rows), out[0].Dim[0], []part{always("", e, func(out []tensor) []tensor {
		some := make([]tensor, len(out))
		for i, t := range out {
			some[i] = rowsOf(t, rows)
		}
		return some
	})}}, err
}

func everything(out []tensor) []tensor { return out }

func always(what string, e *kerneltest.Expectation, of func([]tensor) []tensor) part {
	return part{what, of, func([]tensor) (*kerneltest.Expectation, error) { return e, nil }}
}

// some rows of n: the first, the last, and others at equal distances between them.
func some(n int, share float64) []int {
	count := min(n, max(8, int(share*float64(n))))
	rows := make([]int, 0, count)
	for i := range count {
		rows = append(rows, i*(n-1)/max(1, count-1))
	}
	return slices.Compact(rows)
}

// verifySpMM multiplies some rows of the sparse matrix with those rows of X that they meet.
func verifySpMM(k kernels.SpMM, in []tensor, rows []int) (*verification, error) {
	var beg, end, col, met []int32
	var val []float32
	place := map[int32]int32{}
	for _, r := range rows {
		beg = append(beg, int32(len(col)))
		for e := in[1].I32[r]; e < in[2].I32[r]; e++ {
			c := in[3].I32[e]
			at, known := place[c]
			if !known {
				at = int32(len(met))
				place[c], met = at, append(met, c)
			}
			col = append(col, at)
			if k.Valued {
				val = append(val, in[len(in)-1].F32[e])
			}
		}
		end = append(end, int32(len(col)))
	}
	columns := make([]int, len(met))
	for i, c := range met {
		columns[i] = int(c)
	}
	less := []tensor{rowsOf(in[0], columns), indices(beg), indices(end), indices(col)}
	if k.Scaled {
		less = append(less, rowsOf(in[4], rows), rowsOf(in[5], columns))
	}
	if k.Valued {
		less = append(less, tensor{Desc: kernels.Of(kernels.Float32, len(val)), F32: val})
	}
	e, err := kerneltest.Expect(k, allWide(less))
	return &verification{len(rows), len(in[1].I32), []part{always("", e, func(out []tensor) []tensor { return []tensor{rowsOf(out[0], rows)} })}}, err
}

// verifyContrast looks at what belongs to some rows of X, with all of Y: lse and dX. Then at dY of some rows of Y, with all of X, given the
// log-sum-exps: those of the input, or of the output, some of which have just been verified.
func verifyContrast(k kernels.Kernel, s kernels.Similarity, in []tensor, share float64) (*verification, error) {
	b := in[0].Desc.Dim[0]
	rows := some(b, share)
	less := []tensor{rowsOf(in[0], rows), in[1]}
	for _, t := range in[2:] {
		less = append(less, rowsOf(t, rows))
	}
	e, err := kerneltest.Expect(k, allWide(less))
	if err != nil {
		return nil, err
	}
	v := &verification{rows: len(rows), of: b}
	dX := 0
	var lse func(out []tensor) tensor
	switch k.(type) {
	case kernels.LogSumExp:
		v.parts = []part{always("", e, func(out []tensor) []tensor { return []tensor{rowsOf(out[0], rows)} })}
		return v, nil
	case kernels.LogSumExpGrad:
		lse = func([]tensor) tensor { return in[2] }
	case kernels.LogSumExpWithGrad:
		dX = 1
		lse = func(out []tensor) tensor { return out[0] }
	}
	g := in[len(in)-1]
	v.parts = append(v.parts, always("", e, func(out []tensor) []tensor {
		of := make([]tensor, len(out))
		for i := range dX + 1 {
			of[i] = rowsOf(out[i], rows)
		}
		return of
	}))
	columns := some(in[1].Desc.Dim[0], share)
	v.parts = append(v.parts, part{"dY: ", func(out []tensor) []tensor { return []tensor{{}, rowsOf(out[dX+1], columns)} },
		func(out []tensor) (*kerneltest.Expectation, error) {
			return kerneltest.Expect(kernels.LogSumExpGrad{Similarity: s}, allWide([]tensor{in[0], rowsOf(in[1], columns), lse(out), g}))
		}})
	return v, nil
}

// check holds outputs to float64.
func (v *verification) check(out []tensor) error {
	for _, p := range v.parts {
		e, err := p.expect(out)
		if err == nil {
			err = e.Check(p.of(out))
		}
		if err != nil {
			return fmt.Errorf("%s%w", p.what, err)
		}
	}
	return nil
}

// String says what was looked at.
func (v *verification) String() string {
	if v.rows == v.of {
		return "all rows"
	}
	return fmt.Sprintf("%d rows of %d", v.rows, v.of)
}
