package cuda

import "nearfar/kernels"

func (c *call) normaliseRows(k kernels.NormaliseRows) {
	x := c.in[0]
	c.lanes("normalise_rows", int64(x.Desc.Rows()), x.Desc.Cols(), k.Eps, x.At, c.out[0].At, c.out[1].At)
}

func (c *call) normaliseRowsGrad() {
	y := c.in[0]
	c.lanes("normalise_rows_grad", int64(y.Desc.Rows()), y.Desc.Cols(), y.At, c.in[1].At, c.in[2].At, c.out[0].At)
}

func (c *call) signedNoise(k kernels.SignedNoise) {
	x := c.in[0]
	var id Ptr
	if k.Rows {
		id = c.in[2].At
	}
	c.lanes("signed_noise", int64(x.Desc.Rows()), x.Desc.Cols(), k.Eps, k.Scale, c.in[1].At, id, int64(k.Stream), x.At, c.out[0].At)
}
