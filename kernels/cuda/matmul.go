package cuda

import "nearfar/kernels"

func (c *call) matMul(k kernels.MatMul) { c.decline() }
