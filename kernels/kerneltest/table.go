package kerneltest

import "nearfar/kernels"

// family is a row of the table: a kernel type and its cases.
type family struct {
	name  string // of the type in package kernels
	cases func(g *gen) []Case
}

// families is the table, one row for each type of the vocabulary.
var families = []family{
	{"Map", mapCases},
	{"Reduce", reduceCases},
	{"Softmax", softmaxCases},
	{"TopK", topKCases},
	{"MatMul", matMulCases},
	{"SpMM", spmmCases},
	{"Gather", gatherCases},
	{"ScatterAdd", scatterAddCases},
	{"SegmentSum", segmentSumCases},
	{"Put", putCases},
	{"RowDot", rowDotCases},
	{"NormaliseRows", normaliseRowsCases},
	{"NormaliseRowsGrad", normaliseRowsGradCases},
	{"LogSumExp", logSumExpCases},
	{"LogSumExpGrad", logSumExpGradCases},
	{"LogSumExpWithGrad", logSumExpWithGradCases},
	{"Adam", adamCases},
	{"RowAdam", rowAdamCases},
	{"SGD", sgdCases},
	{"Adagrad", adagradCases},
	{"RowAdagrad", rowAdagradCases},
	{"Random", randomCases},
	{"SignedNoise", signedNoiseCases},
	{"Fill", fillCases},
	{"Reshape", reshapeCases},
	{"Concat", concatCases},
	{"Slice", sliceCases},
	{"Pad", padCases},
	{"Permute", permuteCases},
}

// Families lists the names that Check takes.
func Families() []string {
	names := make([]string, len(families))
	for i, f := range families {
		names[i] = f.name
	}
	return names
}

func of(k kernels.Kernel, in ...kernels.Tensor64) Case { return Case{K: k, In: in} }
