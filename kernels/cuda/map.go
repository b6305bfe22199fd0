package cuda

import "nearfar/kernels"

func (c *call) mapping(k kernels.Map) { c.decline() }
