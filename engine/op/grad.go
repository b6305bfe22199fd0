package op

import (
	"fmt"
)

// Grad gives d cost / d wrt_i for a scalar cost, as nodes of the same graph. It may be called any number of times on one graph, and on
// its own results. A wrt that the cost does not depend on is an error, as is a derivative that is needed and not written.
//
// (gorgonia.Grad keeps its sums on the nodes: a second call on one graph, or a gradient of a gradient, is silently wrong there.)
func Grad(cost *Node, wrt ...*Node) (grads []*Node, err error) {
	defer func() { // a derivative is built by constructors, which panic where something is missing
		if r := recover(); r != nil {
			missing, ok := r.(*Error)
			if !ok {
				panic(r)
			}
			grads, err = nil, fmt.Errorf("the derivative cannot be built: %w", missing.Err)
		}
	}()
	if Desc(cost).Rank != 0 || !Desc(cost).Type.IsFloat() {
		return nil, fmt.Errorf("the cost is %v, not a real scalar", Desc(cost))
	}
	g, err := vjp([]*Node{cost}, []*Node{Fill(cost.Graph(), 1, Desc(cost))}, wrt, wrt)
	if err != nil {
		return nil, err
	}
	for i := range g {
		if g[i] == nil {
			return nil, fmt.Errorf("no gradient reaches %s: the cost does not depend on it", wrt[i].Name())
		}
	}
	return g, nil
}

// vjp is reverse accumulation: Σ_k seed_k · d out_k / d wrt_i, nil where nothing flows. The nodes of leaves, wrt among them, are constants beside
// wrt, whatever stands behind them.
func vjp(outs, seeds, wrt, leaves []*Node) ([]*Node, error) {
	leaf, wanted := map[*Node]bool{}, map[*Node]bool{}
	for _, l := range leaves {
		leaf[l] = true
	}
	for _, w := range wrt {
		wanted[w] = true
	}
	order := topological(outs, leaf)
	reaches := map[*Node]bool{} // a wrt is below
	for _, n := range order {
		reaches[n] = wanted[n]
		def, in, _, ok := Operator(n)
		if leaf[n] || !ok {
			continue
		}
		for i, c := range in {
			reaches[n] = reaches[n] || reaches[c] && def.Flow(i) != Stops
		}
	}
	grads := map[*Node][]*Node{}
	for k, o := range outs {
		grads[o] = append(grads[o], seeds[k])
	}
	for i := len(order) - 1; i >= 0; i-- {
		n := order[i]
		if !reaches[n] || leaf[n] || len(grads[n]) == 0 {
			continue
		}
		if name, foreign := Foreign(n); foreign {
			return nil, fmt.Errorf("%s is Gorgonia's own operator: nearfar differentiates those of package op only", name)
		}
		def, in, _, _ := Operator(n)
		wants := make([]bool, len(in))
		for i, c := range in {
			wants[i] = reaches[c] && def.Flow(i) != Stops
		}
		g, err := pull(def, n, sum(grads, n), wants)
		if err != nil {
			return nil, err
		}
		for i, c := range in {
			if g[i] != nil {
				grads[c] = append(grads[c], g[i])
			}
		}
	}
	r := make([]*Node, len(wrt))
	for i, w := range wrt {
		if len(grads[w]) > 0 {
			r[i] = sum(grads, w)
		}
	}
	return r, nil
}

// sum adds the gradients that have arrived at n, once.
func sum(grads map[*Node][]*Node, n *Node) *Node {
	l := grads[n]
	s := l[0]
	for _, g := range l[1:] {
		s = Add(s, g)
	}
	grads[n] = []*Node{s}
	return s
}

// topological orders what roots depend on, operands first, in the order of the operands; it does not look behind stop.
func topological(roots []*Node, stop map[*Node]bool) []*Node {
	var order []*Node
	seen := map[*Node]bool{}
	var visit func(n *Node)
	visit = func(n *Node) {
		if seen[n] {
			return
		}
		seen[n] = true
		if _, in, _, ok := Operator(n); ok && !stop[n] {
			for _, c := range in {
				visit(c)
			}
		}
		order = append(order, n)
	}
	for _, r := range roots {
		visit(r)
	}
	return order
}

// Dot draws what the roots depend on, in Graphviz's language.
func Dot(roots ...*Node) string {
	return roots[0].Graph().SubgraphRoots(roots...).ToDot()
}
