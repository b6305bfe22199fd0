package engine

import (
	"fmt"

	"nearfar/kernels"
)

// halve makes SpMM multiply in half precision, forward and backward: embeddings that are propagated, and their gradients. Nothing else changes.
func (c *code) halve() error {
	for _, n := range c.insts {
		k, ok := n.k.(kernels.SpMM)
		if !ok {
			continue
		}
		k.Half = true
		n.k = k
		if !c.runs(n) {
			return fmt.Errorf("%s has no SpMM in half precision", c.device.Name())
		}
	}
	return nil
}

// halveWhole takes back what does not pay: a product at a few rows would round more of X than it reads, and one that leaves out most edges
// (markZeroRows) is faster as it is.
func (c *code) halveWhole() {
	for _, n := range c.insts {
		if k, ok := n.k.(kernels.SpMM); ok && k.Half && (k.ZeroRows || 3*n.out[0].desc.Rows() <= n.in[0].desc.Rows()) {
			k.Half = false
			n.k = k
		}
	}
}
