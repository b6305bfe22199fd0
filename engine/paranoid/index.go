package paranoid

import (
	"fmt"
	"math"

	"nearfar/kernels"
)

// checkIndices holds the ids that a kernel is given to the contract of its documentation. Nobody else can: a fast kernel reads what it is
// given, and the reference of a sum by id does not look at the inverse.
func checkIndices(k kernels.Kernel, in []kernels.Tensor64) error {
	switch k := k.(type) {
	case kernels.Gather:
		return checkRange("id", in[1].I, -1, in[0].Desc.Dim[0])
	case kernels.Random:
		if k.Rows {
			return checkRange("id", in[1].I, -1, math.MaxInt32)
		}
	case kernels.SignedNoise:
		if k.Rows {
			return checkRange("id", in[2].I, -1, math.MaxInt32)
		}
	case kernels.Put:
		return checkDistinct(in[2].I, in[0].Desc.Dim[0])
	case kernels.ScatterAdd:
		if k.Onto {
			in = in[1:]
		}
		if err := checkRange("id", in[1].I, -1, k.Rows); err != nil || !k.Sorted {
			return err
		}
		return checkInverse(in[1].I, in[2].I, in[3].I, in[4].I)
	case kernels.SegmentSum:
		return checkSegments(in[1].I, in[2].I)
	case kernels.RowAdam:
		return checkRows(in[4].I, in[0].Desc.Dim[0])
	case kernels.RowAdagrad:
		return checkRows(in[3].I, in[0].Desc.Dim[0])
	case kernels.SpMM:
		return checkEdges(in[1].I, in[2].I, in[3].I, in[0].Desc.Dim[0])
	case kernels.LogSumExp:
		return checkExcluded(k.Similarity, in, 0)
	case kernels.LogSumExpGrad:
		return checkExcluded(k.Similarity, in, 2)
	case kernels.LogSumExpWithGrad:
		return checkExcluded(k.Similarity, in, 1)
	}
	return nil
}

func checkRange(what string, v []int32, least, n int) error {
	for i, x := range v {
		if int(x) < least || int(x) >= n {
			return fmt.Errorf("%s[%d] is %d: want %d <= %s < %d", what, i, x, least, what, n)
		}
	}
	return nil
}

// checkDistinct: an id stands at most once, -1 apart.
func checkDistinct(id []int32, n int) error {
	if err := checkRange("id", id, -1, n); err != nil {
		return err
	}
	at := map[int32]int{}
	for i, x := range id {
		if first, twice := at[x]; twice && x >= 0 {
			return fmt.Errorf("the id %d stands at %d and at %d: want distinct ids", x, first, i)
		}
		at[x] = i
	}
	return nil
}

// checkRows: distinct ids in increasing order, -1 behind.
func checkRows(rows []int32, n int) error {
	if err := checkRange("rows", rows, -1, n); err != nil {
		return err
	}
	for k := 1; k < len(rows); k++ {
		if rows[k] >= 0 && rows[k] <= rows[k-1] || rows[k] >= 0 && rows[k-1] < 0 {
			return fmt.Errorf("rows[%d] is %d behind %d: want increasing ids, -1 behind them", k, rows[k], rows[k-1])
		}
	}
	return nil
}

// checkSegments: seg begins at 0 and does not fall, and the places in perm[:seg[last]] are distinct.
func checkSegments(seg, perm []int32) error {
	last := 0
	for k, s := range seg {
		if int(s) < last || int(s) > len(perm) || k == 0 && s != 0 {
			return fmt.Errorf("seg[%d] is %d behind %d, of %d places", k, s, last, len(perm))
		}
		last = int(s)
	}
	if err := checkRange("perm", perm[:last], 0, len(perm)); err != nil {
		return err
	}
	seen := make([]bool, len(perm))
	for i, p := range perm[:last] {
		if seen[p] {
			return fmt.Errorf("perm[%d] is %d, which it was before", i, p)
		}
		seen[p] = true
	}
	return nil
}

// checkInverse: rows, seg and perm say where in id each distinct id stands, and leave out none.
func checkInverse(id, rows, seg, perm []int32) error {
	present := 0
	for _, x := range id {
		if x >= 0 {
			present++
		}
	}
	most := 0
	for _, x := range id {
		most = max(most, int(x)+1)
	}
	if err := checkRows(rows, most); err != nil {
		return err
	}
	if err := checkSegments(seg, perm); err != nil {
		return err
	}
	if got := int(seg[len(seg)-1]); got != present {
		return fmt.Errorf("the inverse has %d places of %d ids", got, present)
	}
	for k, r := range rows {
		if some := seg[k+1] > seg[k]; some != (r >= 0) {
			return fmt.Errorf("rows[%d] is %d and has the places %d to %d", k, r, seg[k], seg[k+1])
		}
		for _, p := range perm[seg[k]:seg[k+1]] {
			if id[p] != r {
				return fmt.Errorf("the inverse has place %d under rows[%d] = %d, and the id there is %d", p, k, r, id[p])
			}
		}
	}
	return nil
}

func checkEdges(beg, end, col []int32, n int) error {
	for i := range beg {
		if beg[i] >= end[i] {
			continue
		}
		if beg[i] < 0 || int(end[i]) > len(col) {
			return fmt.Errorf("row %d has the edges %d to %d of %d", i, beg[i], end[i], len(col))
		}
		if err := checkRange("column", col[beg[i]:end[i]], 0, n); err != nil {
			return fmt.Errorf("row %d: %w", i, err)
		}
	}
	return nil
}

// checkExcluded: pairs are sorted by row, -1 behind.
func checkExcluded(s kernels.Similarity, in []kernels.Tensor64, added int) error {
	_, _, r, c := s.Places(added)
	if r < 0 {
		return nil
	}
	row, col := in[r].I, in[c].I
	if err := checkRange("excluded row", row, -1, in[0].Desc.Dim[0]); err != nil {
		return err
	}
	for e, x := range row {
		if e > 0 && x >= 0 && (row[e-1] < 0 || x < row[e-1]) {
			return fmt.Errorf("the excluded row %d stands behind %d: want pairs sorted by row, -1 behind them", x, row[e-1])
		}
		if x >= 0 && (col[e] < 0 || int(col[e]) >= in[1].Desc.Dim[0]) {
			return fmt.Errorf("the excluded column %d of %d", col[e], in[1].Desc.Dim[0])
		}
	}
	return nil
}
