package models

import (
	"context"
	"fmt"
	"math"

	"nearfar/kernels/philox"
	"nearfar/models/spd"
	"nearfar/trainer/graph"
	"nearfar/trainer/memory"
	"nearfar/trainer/parallel"
)

// EASEOptions are EASE's.
type EASEOptions struct {
	_         struct{} `title:"EASE (Steck, WWW 2019)" defaults:"epochs=0"`
	Lambda    float64  `flag:"lambda" default:"250" above:"0" help:"L2 weight of the regression" source:"RecBole EASE; Steck: 200 to 1000 by data set"`
	Precision string   `flag:"ease-precision" default:"float32" choices:"float32,float64" help:"of the inverse; float64 takes twice the memory and many times as long"`
	MaxMemory float64  `flag:"max-memory" default:"0" min:"0" help:"GiB that the inverse may take; 0: what the system has available, where it tells (Linux)"`
}

// Untrained and Fitted implement Fitted.
func (*EASEOptions) Untrained() {}
func (*EASEOptions) Fitted()    {}

// New makes the model. Where the inverse does not fit it says so, before anything is allocated.
func (o *EASEOptions) New(d Data) (Model, error) {
	g, err := newGraph(d)
	if err != nil {
		return nil, err
	}
	m := &ease{options: *o, data: d, graph: g}
	need := m.bytes()
	available, from := int64(o.MaxMemory*memory.GiB), "-max-memory"
	lacks := need > available
	if o.MaxMemory == 0 {
		from = "the system"
		available, lacks = memory.Lacks(need)
	}
	if lacks {
		lighter := "fewer users or items"
		if o.Precision == "float64" {
			lighter = "-ease-precision float32, or fewer users or items"
		}
		return nil, fmt.Errorf("%s needs %.3g GiB, and %s allows %.3g GiB: it takes %s, or -model itemknn", m, float64(need)/memory.GiB, from, float64(available)/memory.GiB, lighter)
	}
	return m, nil
}

// ease is the linear autoencoder without self-similarity, in closed form (Steck, eq. 8): with the interactions X [U, I],
//
//	P = (XᵀX + λI)^-1,  W = I - P diag(P)^-1,  s_u = x_u W = x_u - x_u P diag(P)^-1
//
// where diag(W) = 0. Where users are fewer than items the inverse is theirs: M = (XXᵀ + λI)^-1 gives, by Woodbury's identity,
//
//	P = (I - XᵀMX)/λ,  diag(P)_j = (1 - x_jᵀ M x_j)/λ,  XP = MX
//
// so min(U, I)² numbers are kept, half of them by symmetry, and W itself never.
type ease struct {
	stepless
	options EASEOptions
	data    Data
	graph   *graph.Bipartite
}

// side is what the inverse is over: n nodes of the graph from first.
func (m *ease) side() (what string, first, n int) {
	if m.graph.Users < m.graph.Items {
		return "users", 0, m.graph.Users
	}
	return "items", m.graph.Users, m.graph.Items
}

func (m *ease) bytes() int64 {
	_, _, n := m.side()
	if m.options.Precision == "float64" {
		return spd.Bytes[float64](n)
	}
	return spd.Bytes[float32](n)
}

func (m *ease) String() string {
	what, _, n := m.side()
	return fmt.Sprintf("the inverse of %d x %d %s in %s", n, n, what, m.options.Precision)
}

// Describe says what is inverted and how much memory that takes.
func (m *ease) Describe() (string, error) {
	return fmt.Sprintf("ease: %s takes %.3g GiB", m, float64(m.bytes())/memory.GiB), nil
}

// Fit inverts.
func (m *ease) Fit(ctx context.Context, how Fitting) (ItemScorer, error) {
	if m.options.Precision == "float64" {
		return fitEASE[float64](ctx, m, how)
	}
	return fitEASE[float32](ctx, m, how)
}

// easeScorer ranks by an inverse, M over users or P over items.
type easeScorer[T spd.Float] struct {
	*ease
	inverse  *spd.Matrix[T]
	diagonal []float64 // of P, [I]
	threads  int
}

func fitEASE[T spd.Float](ctx context.Context, m *ease, how Fitting) (ItemScorer, error) {
	_, first, n := m.side()
	s := &easeScorer[T]{ease: m, inverse: spd.New[T](n), diagonal: make([]float64, m.graph.Items), threads: how.Threads}
	common := newShared(m.graph)
	for a := range n {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		s.inverse.Set(a, a, T(m.options.Lambda)) // nobody's neighbour too
		common.with(first+a, func(node int, count int32) {
			switch b := node - first; {
			case b < a:
				s.inverse.Set(a, b, T(count))
			case b == a:
				s.inverse.Set(a, a, T(float64(count)+m.options.Lambda))
			}
		})
	}
	err := s.inverse.Invert(ctx, how.Kernels, how.Threads, how.Step)
	if err == nil {
		err = s.readDiagonal(ctx)
	}
	if err == nil {
		err = s.checkResidual()
	}
	if err == nil {
		return s, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	remedy := ""
	if m.options.Precision == "float32" {
		remedy = ", or take -ease-precision float64"
	}
	return nil, fmt.Errorf("%w: raise -lambda above %g%s", err, m.options.Lambda, remedy)
}

// overUsers tells whether the inverse is M.
func (s *easeScorer[T]) overUsers() bool {
	return s.inverse.N == s.graph.Users && s.graph.Users < s.graph.Items
}

// usersOf are the users of an item.
func (s *easeScorer[T]) usersOf(item int) []int32 { return s.graph.Of(s.graph.Users + item) }

func (s *easeScorer[T]) readDiagonal(ctx context.Context) error {
	return parallel.Each(ctx, s.threads, s.graph.Items, func() func(int) error {
		return func(j int) error {
			p := 0.0
			if s.overUsers() {
				twice, once := 0.0, 0.0
				users := s.usersOf(j)
				for a, u := range users {
					once += float64(s.inverse.At(int(u), int(u)))
					for _, v := range users[:a] {
						twice += float64(s.inverse.At(int(u), int(v)))
					}
				}
				p = (1 - once - 2*twice) / s.options.Lambda
			} else {
				p = float64(s.inverse.At(j, j))
			}
			if !(p > 0) || math.IsInf(p, 0) {
				return fmt.Errorf("the inverse has %g on its diagonal, at item %d", p, j)
			}
			s.diagonal[j] = p
			return nil
		}
	})
}

// checkResidual looks at A (A^-1 r) = r for a random r: what condition and precision have left of the inverse.
func (s *easeScorer[T]) checkResidual() error {
	const tolerance = 1e-2
	what, first, n := s.side()
	r, y := make([]float64, n), make([]float64, n)
	stream, norm := philox.New(s.data.Seed, "ease/residual"), 0.0
	for a := range r {
		w := stream.At(0, uint32(a), 0)
		r[a] = philox.Normal(w[0], w[1])
		norm += r[a] * r[a]
	}
	s.inverse.Multiply(r, y)
	across := make([]float64, s.graph.Nodes()) // Xᵀy, or Xy
	for a, v := range y {
		for _, b := range s.graph.Of(first + a) {
			across[b] += v
		}
	}
	off := 0.0
	for a := range r {
		d := s.options.Lambda*y[a] - r[a]
		for _, b := range s.graph.Of(first + a) {
			d += across[b]
		}
		off += d * d
	}
	if residual := math.Sqrt(off / norm); !(residual <= tolerance) {
		return fmt.Errorf("the inverse over %s in %s has a relative residual of %.2g, above %g", what, s.options.Precision, residual, tolerance)
	}
	return nil
}

// Score implements ItemScorer.
func (s *easeScorer[T]) Score(ctx context.Context, users []int32, out []float32) error {
	items := s.graph.Items
	return parallel.Each(ctx, s.threads, len(users), func() func(int) error {
		row, product := make([]T, s.inverse.N), make([]float64, items)
		history := []int32{}
		return func(at int) error {
			history = history[:0]
			for _, node := range s.graph.Of(int(users[at])) {
				history = append(history, node-int32(s.graph.Users))
			}
			if s.overUsers() {
				s.inverse.Row(int(users[at]), row)
				for j := range product { // (MX)_u
					sum := 0.0
					for _, v := range s.usersOf(j) {
						sum += float64(row[v])
					}
					product[j] = sum
				}
			} else {
				s.sumRows(history, row, product)
			}
			s.finish(history, product, out[at*items:][:items])
			return nil
		}
	})
}

// ScoreHistory implements ItemScorer.
func (s *easeScorer[T]) ScoreHistory(ctx context.Context, items []int32, out []float32) error {
	product := make([]float64, s.graph.Items)
	if !s.overUsers() {
		s.sumRows(items, make([]T, s.inverse.N), product)
		s.finish(items, product, out)
		return ctx.Err()
	}
	// hP = (h - ((hXᵀ)M)X)/λ
	had, y := make([]float64, s.graph.Users), make([]float64, s.graph.Users)
	for _, i := range items {
		product[i] = 1 / s.options.Lambda
		for _, v := range s.usersOf(int(i)) {
			had[v]++
		}
	}
	s.inverse.Multiply(had, y)
	for j := range product {
		sum := 0.0
		for _, v := range s.usersOf(j) {
			sum += y[v]
		}
		product[j] -= sum / s.options.Lambda
	}
	s.finish(items, product, out)
	return ctx.Err()
}

// sumRows is hP where the inverse is P.
func (s *easeScorer[T]) sumRows(history []int32, row []T, product []float64) {
	clear(product)
	for _, i := range history {
		s.inverse.Row(int(i), row)
		for j, v := range row {
			product[j] += float64(v)
		}
	}
}

// finish is h - hP diag(P)^-1.
func (s *easeScorer[T]) finish(history []int32, product []float64, out []float32) {
	for j, p := range product {
		product[j] = -p / s.diagonal[j]
	}
	for _, i := range history {
		product[i]++
	}
	for j, v := range product {
		out[j] = float32(v)
	}
}
