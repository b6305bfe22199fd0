package kernels

// Fill is a constant tensor: out[...] = Value. It has no inputs.
type Fill struct {
	Value float64
	Shape Desc
}

func (f Fill) Name() string { return "Fill" }

func (f Fill) Infer(in []Desc) ([]Desc, error) {
	if len(in) != 0 || !floats(f.Shape) {
		return nil, wrong(f, "no inputs", in)
	}
	return []Desc{f.Shape}, nil
}

func (f Fill) Ref(out, in []Tensor64) {
	for i := range out[0].F {
		out[0].F[i] = f.Value
	}
}

// Reshape is the same elements under other dimensions. In a plan it is an alias and moves nothing.
type Reshape struct{ Shape Desc } // its Type is that of the input

func (r Reshape) Name() string { return "Reshape" }

func (r Reshape) Infer(in []Desc) ([]Desc, error) {
	if len(in) != 1 || in[0].Elems() != r.Shape.Elems() {
		return nil, wrong(r, "as many elements as "+r.Shape.String(), in)
	}
	return []Desc{r.Shape.As(in[0].Type)}, nil
}

func (r Reshape) Ref(out, in []Tensor64) { copy(out[0].F, in[0].F); copy(out[0].I, in[0].I) }

// Concat joins tensors along Axis; the other dimensions are equal.
type Concat struct{ Axis int }

func (c Concat) Name() string { return "Concat" }

func (c Concat) Infer(in []Desc) ([]Desc, error) {
	if len(in) == 0 || c.Axis < 0 || c.Axis >= in[0].Rank || !floats(in...) {
		return nil, wrong(c, "real tensors that have the axis", in)
	}
	out := in[0]
	for _, d := range in[1:] {
		out.Dim[c.Axis] += d.Dim[c.Axis]
		d.Dim[c.Axis] = in[0].Dim[c.Axis]
		if d != in[0] {
			return nil, wrong(c, "equal dimensions beside the axis", in)
		}
	}
	return []Desc{out}, nil
}

// Around splits a shape at an axis: out = [outer, along, inner].
func Around(d Desc, axis int) (outer, along, inner int) {
	outer, inner = 1, 1
	for i := range d.Rank {
		switch {
		case i < axis:
			outer *= d.Dim[i]
		case i > axis:
			inner *= d.Dim[i]
		}
	}
	return outer, d.Dim[axis], inner
}

func (c Concat) Ref(out, in []Tensor64) {
	outer, along, inner := Around(out[0].Desc, c.Axis)
	at := 0
	for _, t := range in {
		n := t.Desc.Dim[c.Axis] * inner
		for o := range outer {
			copy(out[0].F[o*along*inner+at:][:n], t.F[o*n:])
		}
		at += n
	}
}

// Slice is the part Beg <= index < End along Axis.
type Slice struct{ Axis, Beg, End int }

func (s Slice) Name() string { return "Slice" }

func (s Slice) Infer(in []Desc) ([]Desc, error) {
	if len(in) != 1 || !floats(in[0]) || s.Axis < 0 || s.Axis >= in[0].Rank || s.Beg < 0 || s.Beg >= s.End || s.End > in[0].Dim[s.Axis] {
		return nil, wrong(s, "a real tensor that has the slice", in)
	}
	out := in[0]
	out.Dim[s.Axis] = s.End - s.Beg
	return []Desc{out}, nil
}

func (s Slice) Ref(out, in []Tensor64) {
	outer, along, inner := Around(in[0].Desc, s.Axis)
	n := (s.End - s.Beg) * inner
	for o := range outer {
		copy(out[0].F[o*n:o*n+n], in[0].F[(o*along+s.Beg)*inner:])
	}
}

// Pad puts Before and After zeros round a tensor along Axis. It is the derivative of Slice.
type Pad struct{ Axis, Before, After int }

func (p Pad) Name() string { return "Pad" }

func (p Pad) Infer(in []Desc) ([]Desc, error) {
	if len(in) != 1 || !floats(in[0]) || p.Axis < 0 || p.Axis >= in[0].Rank || p.Before < 0 || p.After < 0 {
		return nil, wrong(p, "a real tensor that has the axis", in)
	}
	out := in[0]
	out.Dim[p.Axis] += p.Before + p.After
	return []Desc{out}, nil
}

func (p Pad) Ref(out, in []Tensor64) {
	outer, along, inner := Around(out[0].Desc, p.Axis)
	n := in[0].Desc.Dim[p.Axis] * inner
	clear(out[0].F)
	for o := range outer {
		copy(out[0].F[(o*along+p.Before)*inner:][:n], in[0].F[o*n:])
	}
}

// Permute reorders dimensions: out's dimension i is in's dimension Order[i].
type Permute struct{ Order [MaxRank]int }

func (p Permute) Name() string { return "Permute" }

func (p Permute) Infer(in []Desc) ([]Desc, error) {
	if len(in) != 1 || !floats(in[0]) {
		return nil, wrong(p, "one real tensor", in)
	}
	out, seen := in[0], 0
	for i := range in[0].Rank {
		if p.Order[i] < 0 || p.Order[i] >= in[0].Rank {
			return nil, wrong(p, "an order of the input's dimensions", in)
		}
		out.Dim[i] = in[0].Dim[p.Order[i]]
		seen |= 1 << p.Order[i]
	}
	if seen != 1<<in[0].Rank-1 {
		return nil, wrong(p, "each dimension once", in)
	}
	return []Desc{out}, nil
}

func (p Permute) Ref(out, in []Tensor64) {
	d, r := in[0].Desc, in[0].Desc.Rank
	var step [MaxRank]int
	n := 1
	for i := r - 1; i >= 0; i-- {
		step[i] = n
		n *= d.Dim[i]
	}
	o := out[0].Desc
	for e := range out[0].F {
		at, rest := 0, e
		for i := r - 1; i >= 0; i-- {
			at += rest % o.Dim[i] * step[p.Order[i]]
			rest /= o.Dim[i]
		}
		out[0].F[e] = in[0].F[at]
	}
}
