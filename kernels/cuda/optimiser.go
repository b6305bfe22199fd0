package cuda

import "nearfar/kernels"

func (c *call) adam(k kernels.Adam) { c.decline() }

func (c *call) rowAdam(k kernels.RowAdam) { c.decline() }

func (c *call) sgd(k kernels.SGD) { c.decline() }

func (c *call) adagrad(k kernels.Adagrad) { c.decline() }

func (c *call) rowAdagrad(k kernels.RowAdagrad) { c.decline() }
