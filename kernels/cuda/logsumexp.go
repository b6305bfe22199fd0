package cuda

import "nearfar/kernels"

func (c *call) logSumExp(k kernels.LogSumExp) { c.decline() }

func (c *call) logSumExpGrad(k kernels.LogSumExpGrad) { c.decline() }

func (c *call) logSumExpWithGrad(k kernels.LogSumExpWithGrad) { c.decline() }
