package cuda

import "nearfar/kernels"

func (c *call) fill(k kernels.Fill) { c.decline() }

func (c *call) concat(k kernels.Concat) { c.decline() }

func (c *call) slice(k kernels.Slice) { c.decline() }

func (c *call) pad(k kernels.Pad) { c.decline() }

func (c *call) permute(k kernels.Permute) { c.decline() }
