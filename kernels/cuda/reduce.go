package cuda

import "nearfar/kernels"

func (c *call) reduce(k kernels.Reduce) { c.decline() }
