package engine

import (
	"math"
	"slices"

	"nearfar/kernels"
)

// foldFills computes what depends on constants only: the seed of a gradient, the gradient of a mean or a sum. What remains depends on nothing, as
// fuseLogSumExp asks, although it was written "of the shape of" something.
func (c *code) foldFills() {
	value := func(v *value) (float64, bool) {
		if v.def == nil {
			return 0, false
		}
		f, ok := v.def.k.(kernels.Fill)
		return f.Value, ok
	}
	for _, n := range c.insts {
		var result float64
		ok := false
		switch k := n.k.(type) {
		case kernels.Reshape:
			result, ok = value(n.in[0])
		case kernels.Map:
			i := k.Code[0]
			var operands [3]float64
			ok = k.Len() == 1 && n.out[0].desc.Type.IsFloat()
			for at, operand := range []int8{i.A, i.B, i.C}[:i.Op.Arity()] {
				if x, known := value(n.in[operand]); known {
					operands[at] = x
				} else {
					ok = false
				}
			}
			result = i.Op.Apply(operands[0], operands[1], operands[2], i.Imm)
		}
		if ok {
			n.k, n.in = kernels.Fill{Value: result, Shape: n.out[0].desc}, nil
		}
	}
	c.sort()
}

// foldConstants turns x + c, x · c, x - c and x / c with a constant c into one operand and an immediate.
func (c *code) foldConstants() {
	for _, n := range c.insts {
		m, ok := n.k.(kernels.Map)
		if !ok || m.Len() != 1 || len(n.in) != 2 {
			continue
		}
		i := m.Code[0]
		if i.A != 0 || i.B != 1 {
			continue
		}
		for side := range 2 {
			x, fill := n.in[side], n.in[1-side]
			if fill.def == nil || !x.desc.SameShape(n.out[0].desc) || !x.desc.Type.IsFloat() { // indices alone have no precision
				continue
			}
			f, ok := fill.def.k.(kernels.Fill)
			if !ok {
				continue
			}
			r := kernels.MapInstr{Op: kernels.NoOp}
			switch {
			case i.Op == kernels.Add:
				r = kernels.MapInstr{Op: kernels.AddImm, Imm: f.Value}
			case i.Op == kernels.Mul:
				r = kernels.MapInstr{Op: kernels.Scale, Imm: f.Value}
			case i.Op == kernels.Sub && side == 0:
				r = kernels.MapInstr{Op: kernels.AddImm, Imm: -f.Value}
			case i.Op == kernels.Div && side == 0 && math.Abs(f.Value) >= 0x1p-126: // below it 1/c is no float32
				r = kernels.MapInstr{Op: kernels.Scale, Imm: 1 / f.Value}
			}
			if r.Op != kernels.NoOp {
				n.k, n.in = kernels.MapOf(r), []*value{x}
				break
			}
		}
	}
	c.sort()
}

// maxMapInputs bounds a fused Map's operands, so that a tile of each stays in the first-level cache.
const maxMapInputs = 12

// fuseMaps puts a Map into the one Map that reads it, where their shapes agree: the value between is never stored. Then it does the same for Maps
// with several readers, where to compute one again moves less than to store it.
func (c *code) fuseMaps() {
	c.fuseIntoOnlyReader()
	c.spreadMaps()
	c.fuseIntoOnlyReader()
}

// spreadMaps gives each reader of a Map a Map of its own, where all are Maps and read less so: a sign of what they read anyway, a sum of two.
func (c *code) spreadMaps() {
	uses := c.uses()
	for _, n := range slices.Clone(c.insts) {
		m, ok := n.k.(kernels.Map)
		if !ok || uses[n.out[0]] < 2 || m.Costly() {
			continue
		}
		v := n.out[0]
		var readers []*inst
		again := 0 // operands that some reader does not read yet
		for _, r := range c.insts {
			if !slices.Contains(r.in, v) {
				continue
			}
			k, ok := r.k.(kernels.Map)
			if !ok || !v.desc.SameShape(r.out[0].desc) || m.Len()+k.Len() > kernels.MaxMap || len(n.in)+len(r.in) > maxMapInputs {
				break
			}
			readers = append(readers, r)
			for _, x := range n.in {
				if !slices.Contains(r.in, x) {
					again++
				}
			}
		}
		if stored := len(n.in) + 1 + len(readers); len(readers) < uses[v] || again >= stored {
			continue
		}
		for _, r := range readers[1:] {
			own := c.emit(m, n.from, n.in...).out[0]
			for i, x := range r.in {
				if x == v {
					r.in[i] = own
				}
			}
		}
	}
	c.sort()
}

func (c *code) fuseIntoOnlyReader() {
	uses := c.uses()
	for _, n := range c.insts {
		for again := true; again; {
			again = false
			m, ok := n.k.(kernels.Map)
			if !ok {
				break
			}
			for _, v := range n.in {
				if v.def == nil || uses[v] != 1 || !v.desc.SameShape(n.out[0].desc) {
					continue
				}
				p, ok := v.def.k.(kernels.Map)
				if !ok {
					continue
				}
				if k, in, ok := mergeMaps(p, v.def.in, m, n.in, v); ok {
					n.k, n.in = k, in
					n.from = v.def.from + " " + n.from
					again = true
					break
				}
			}
		}
	}
	c.sort()
}

// mergeMaps writes m over min, in which v is the result of p over pin, as one Map. It declines what would be too long or would read v at
// another shape.
func mergeMaps(p kernels.Map, pin []*value, m kernels.Map, min []*value, v *value) (kernels.Map, []*value, bool) {
	lp, lm := p.Len(), m.Len()
	if lp+lm > kernels.MaxMap {
		return m, nil, false
	}
	in := slices.Clone(pin)
	place := func(x *value) int8 {
		for i, y := range in {
			if x == y {
				return int8(i)
			}
		}
		in = append(in, x)
		return int8(len(in) - 1)
	}
	var seat []int8
	for _, x := range min {
		if x == v {
			seat = append(seat, int8(-lp))
		} else {
			seat = append(seat, place(x))
		}
	}
	if len(in) > maxMapInputs {
		return m, nil, false
	}
	code := slices.Clone(p.Code[:lp])
	for _, i := range m.Code[:lm] {
		for k, operand := range []*int8{&i.A, &i.B, &i.C} {
			switch {
			case k >= i.Op.Arity():
				*operand = 0
			case *operand >= 0:
				*operand = seat[*operand]
			default:
				*operand -= int8(lp)
			}
		}
		code = append(code, i)
	}
	k := kernels.MapOf(code...)
	return k, dropUnread(&k, in), true
}

// dropUnread leaves out operands that only gave the shape, where the others still have it.
func dropUnread(m *kernels.Map, in []*value) []*value {
	for at := len(in) - 1; at >= 0 && len(in) > 1; at-- {
		read := false
		for _, i := range m.Code[:m.Len()] {
			for _, operand := range []int8{i.A, i.B, i.C}[:i.Op.Arity()] {
				read = read || int(operand) == at
			}
		}
		if read {
			continue
		}
		rest := slices.Delete(slices.Clone(in), at, at+1)
		whole, _ := kernels.Broadcast(descs(in)...)
		if part, ok := kernels.Broadcast(descs(rest)...); !ok || part != whole {
			continue
		}
		for k := range m.Len() {
			for _, operand := range []*int8{&m.Code[k].A, &m.Code[k].B, &m.Code[k].C} {
				if int(*operand) > at {
					*operand--
				}
			}
		}
		in = rest
	}
	return in
}

// fuseNoise makes one kernel of noise along the signs of a table:
//
//	x + c · sign(x) ⊙ NormaliseRows(Random(..))  ->  SignedNoise(x, ..)
//
// The random numbers, the rows of unit length and the sum read and write six tables, the one kernel two. On the processor bits are the same.
func (c *code) fuseNoise() {
	uses := c.uses()
	for _, n := range slices.Clone(c.insts) {
		if !isMap(n, kernels.Add) {
			continue
		}
		for side, x := range n.in {
			if one := c.noiseOn(x, n.in[1-side], n.from, uses); one != nil {
				c.replace(n.out[0], one.out[0])
			}
		}
	}
	c.sort()
}

// noiseOn is x + v where v is noise that nothing else reads, nor what makes it; else nil. The sign of x may have other readers: two views of one table.
func (c *code) noiseOn(x, v *value, from string, uses map[*value]int) *inst {
	operands := func(v *value, op kernels.MapOp) []*value {
		if uses[v] == 1 && isMap(v.def, op) {
			return v.def.in
		}
		return nil
	}
	scaled := operands(v, kernels.Scale)
	if scaled == nil {
		return nil
	}
	for i, sign := range operands(scaled[0], kernels.Mul) {
		unit := scaled[0].def.in[1-i]
		if !isMap(sign.def, kernels.Sign) || sign.def.in[0] != x || unit.def == nil || uses[unit] != 1 {
			continue
		}
		normalise, ok := unit.def.k.(kernels.NormaliseRows)
		if !ok || unit.out != 0 || uses[unit.def.out[1]] > 0 {
			continue
		}
		drawn := unit.def.in[0].def
		if drawn == nil || uses[drawn.out[0]] != 1 {
			continue
		}
		r, ok := drawn.k.(kernels.Random)
		noise := kernels.SignedNoise{Scale: v.def.k.(kernels.Map).Code[0].Imm, Eps: normalise.Eps, Stream: r.Stream, Rows: r.Rows}
		if !ok || x.desc.Rank != 2 || noise.Noise(x.desc) != r {
			continue
		}
		from := drawn.from + " " + unit.def.from + " " + sign.def.from + " " + scaled[0].def.from + " " + v.def.from + " " + from
		if one := c.emit(noise, from, append([]*value{x}, drawn.in...)...); c.runs(one) {
			return one
		}
	}
	return nil
}

// isMap tells whether n is a Map of one operation on operands of the output's shape.
func isMap(n *inst, op kernels.MapOp) bool {
	if n == nil {
		return false
	}
	m, ok := n.k.(kernels.Map)
	return ok && m.Len() == 1 && m.Code[0].Op == op && len(n.in) == op.Arity() &&
		!slices.ContainsFunc(n.in, func(v *value) bool { return v.desc != n.out[0].desc })
}

// fuseLogSumExp joins a LogSumExp and its gradient into the one-pass kernel, where the incoming gradient does not depend on the
// log-sum-exp (else there is no one pass) and the device has it.
func (c *code) fuseLogSumExp() {
	for _, n := range c.insts {
		g, ok := n.k.(kernels.LogSumExpGrad)
		if !ok || n.in[2].def == nil {
			continue
		}
		forward := n.in[2].def
		l, ok := forward.k.(kernels.LogSumExp)
		if !ok || l.Similarity != g.Similarity || !slices.Equal(forward.in[:2], n.in[:2]) || !slices.Equal(forward.in[2:], n.in[4:]) ||
			dependsOn(n.in[3], forward) {
			continue
		}
		in := append([]*value{n.in[0], n.in[1], n.in[3]}, n.in[4:]...)
		both := c.emit(kernels.LogSumExpWithGrad(g), forward.from+" with its gradient", in...)
		if !c.runs(both) {
			continue
		}
		c.replace(forward.out[0], both.out[0])
		for i, v := range n.out {
			c.replace(v, both.out[i+1])
		}
	}
	c.sort()
}

// dependsOn tells whether v is computed from something that n computes.
func dependsOn(v *value, n *inst) bool {
	seen := map[*inst]bool{}
	var visit func(i *inst) bool
	visit = func(i *inst) bool {
		if i == nil || seen[i] {
			return false
		}
		seen[i] = true
		if i == n {
			return true
		}
		for _, x := range i.in {
			if visit(x.def) {
				return true
			}
		}
		for _, b := range i.after {
			if visit(b) {
				return true
			}
		}
		return false
	}
	return visit(v.def)
}
