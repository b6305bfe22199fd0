//go:build gpu && linux && amd64 && cgo

package device

import (
	"fmt"

	"nearfar/kernels/cuda"
)

// alignment is what cuBLAS asks of an address when it chooses a kernel: addresses that are alike behind this are alike to it.
const alignment = 256

// warm does each product of a program once, on memory of its own, before the program is captured. cuBLAS chooses a kernel at the first product of a
// shape and loads its code, and drivers before CUDA 12.3 cannot load code during a capture.
func (d *Device) warm(steps []step) error {
	var operands, result int64 // bytes
	var products []cuda.Product
	seen := map[cuda.Product]bool{}
	for _, s := range steps {
		p, ok := s.Step.(*cuda.Product)
		if !ok {
			continue
		}
		like := *p
		like.A.At, like.B.At, like.C.At = p.A.At%alignment, p.B.At%alignment, p.C.At%alignment
		if seen[like] {
			continue
		}
		seen[like] = true
		products = append(products, like)
		operands = max(operands, extent(like.A, p.M, p.K, p.Batches), extent(like.B, p.K, p.N, p.Batches))
		result = max(result, extent(like.C, p.M, p.N, p.Batches))
	}
	if len(products) == 0 {
		return nil
	}
	operands = (operands + alignment - 1) / alignment * alignment
	memory, err := d.alloc(operands+result, "the first products of a program")
	if err != nil {
		return err
	}
	err = d.clear(memory, operands+result)
	for i := 0; i < len(products) && err == nil; i++ {
		p := products[i]
		p.A.At, p.B.At, p.C.At = memory+p.A.At, memory+p.B.At, memory+cuda.Ptr(operands)+p.C.At
		if err = d.multiply(&p); err != nil {
			err = fmt.Errorf("the first %v: %w", &p, err)
		}
	}
	if failed := d.finish(); err == nil {
		err = failed
	}
	if failed := d.free(memory); err == nil {
		err = failed
	}
	return err
}

// extent is the end, in bytes, of a matrix [rows, columns], or of a batch of them, that begins at its address.
func extent(m cuda.Matrix, rows, columns, batches int) int64 {
	if m.Transposed {
		rows, columns = columns, rows
	}
	const float = 4
	last := int64(max(batches, 1)-1)*m.Batch + int64(max(rows, 1)-1)*int64(m.Stride)
	return int64(m.At) + float*(last+int64(columns))
}
