package cuda

import "nearfar/kernels"

func (c *call) spmm(k kernels.SpMM) { c.decline() }
