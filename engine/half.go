package engine

import (
	"fmt"

	"nearfar/kernels"
)

// halve makes every SpMM multiply in half precision, forward and backward: embeddings that are propagated, and their gradients. Nothing else changes.
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
