package cuda

import "nearfar/kernels"

// Coefficients are formed in float64 and rounded once, as torch.optim does: 1 - float32(0.999) would be wrong by 5e-5.

// dense launches an optimiser's step over every element: its coefficients, then the operands, all in the order of the kernel.
func (c *call) dense(kernel string, coefficients ...any) {
	n := int64(c.in[0].Desc.Elems())
	args := append([]any{n}, coefficients...)
	for _, t := range append(c.in[:len(c.in):len(c.in)], c.out...) {
		args = append(args, t.At)
	}
	c.launch(kernel, over(n, 4*threads), threads, args...)
}

// rowwise launches an optimiser's step over the rows that a batch touched. The kernel works in place: what is not, is copied before.
func (c *call) rowwise(kernel string, coefficients ...any) {
	n := len(c.out)
	for i, t := range c.out {
		c.copy(t.At, c.in[i].At, t.Desc.Bytes())
	}
	args := coefficients
	for _, t := range append(c.in[n:len(c.in):len(c.in)], c.out...) {
		args = append(args, t.At)
	}
	g := c.in[n].Desc
	c.elements(kernel, g.Rows(), g.Cols(), args...)
}

func adamCoefficients(k kernels.Adam) []any {
	c := []any{k.B1, 1 - k.B1, k.B2, 1 - k.B2, k.Eps, k.Decay, k.Decoupled}
	if k.Moments16 {
		c = append(c, int64(k.Stream))
	}
	return c
}

// adamKernel is the name of the kernel for what moments are kept in.
func adamKernel(name string, k kernels.Adam) string {
	if k.Moments16 {
		return name + "_rounded"
	}
	return name
}

func (c *call) adam(k kernels.Adam) { c.dense(adamKernel("adam", k), adamCoefficients(k)...) }

func (c *call) rowAdam(k kernels.RowAdam) {
	if k.Dense {
		c.byRows(adamKernel("row_adam_dense", k.Adam), adamCoefficients(k.Adam)...)
		return
	}
	c.rowwise(adamKernel("row_adam", k.Adam), adamCoefficients(k.Adam)...)
}

// byRows launches an optimiser's step over every element, with a gradient by rows: the batch's size, the coefficients, then the operands.
func (c *call) byRows(kernel string, coefficients ...any) {
	args := append([]any{c.in[len(c.out)].Desc.Rows()}, coefficients...)
	for _, t := range append(c.in[:len(c.in):len(c.in)], c.out...) {
		args = append(args, t.At)
	}
	c.elements(kernel, c.in[0].Desc.Rows(), c.in[0].Desc.Cols(), args...)
}

func (c *call) sgd(k kernels.SGD) {
	kernel := "sgd"
	if k.States() > 0 {
		kernel = "sgd_momentum"
	}
	c.dense(kernel, k.Momentum, k.Decay, k.Nesterov)
}

func (c *call) adagrad(k kernels.Adagrad) { c.dense("adagrad", k.Eps, k.Decay) }

func (c *call) rowAdagrad(k kernels.RowAdagrad) { c.rowwise("row_adagrad", k.Eps, k.Decay) }
