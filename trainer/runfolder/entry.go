package runfolder

import (
	"fmt"
	"math"
	"unicode/utf8"

	"nearfar/kernels"
)

// describe makes a description of a shape that was read from a file, and its size in bytes, which is known not to overflow.
func describe(t kernels.DType, shape []int) (kernels.Desc, int64, error) {
	if len(shape) > kernels.MaxRank {
		return kernels.Desc{}, 0, fmt.Errorf("shape %v has more than %d dimensions", shape, kernels.MaxRank)
	}
	bytes := int64(t.Size())
	for _, dim := range shape {
		if dim < 0 || dim > 0 && bytes > math.MaxInt64/4/int64(dim) {
			return kernels.Desc{}, 0, fmt.Errorf("shape %v is impossible", shape)
		}
		bytes *= int64(dim)
	}
	return kernels.Of(t, shape...), bytes, nil
}

// checkEntry refuses what no reader would take: names that are empty, not UTF-8 or given twice, data of the wrong size.
func checkEntry(e Entry, names map[string]bool) error {
	switch {
	case e.Name == "" || !utf8.ValidString(e.Name):
		return fmt.Errorf("entry name %q: want UTF-8 text that is not empty", e.Name)
	case names[e.Name]:
		return fmt.Errorf("entry %q is given twice", e.Name)
	case int64(len(e.Data)) != e.Desc.Bytes():
		return fmt.Errorf("entry %q: %d bytes of data for %s", e.Name, len(e.Data), e.Desc)
	}
	names[e.Name] = true
	return nil
}
