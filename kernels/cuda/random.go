package cuda

import "nearfar/kernels"

func (c *call) random(k kernels.Random) { c.decline() }
