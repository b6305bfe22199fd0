package spd

import (
	"context"
	"unsafe"

	"gonum.org/v1/gonum/mat"

	"nearfar/kernels"
	"nearfar/kernels/cpu"
	"nearfar/trainer/parallel"
)

// Invert replaces the matrix by its inverse. It sweeps (Goodnight, The American Statistician 1979) one block of pivots K after another:
//
//	D = A_KK,  E = D^-1 A_K,  A_ij -= A_iK E_j,  A_iK = E_iᵀ,  A_KK = -D^-1            i, j not in K
//
// after which the matrix is -A^-1. Symmetry halves it to N³ FLOPs, as many as a Cholesky inverse has, nearly all in the second product.
// D is inverted in float64. step is called after each block with the number of blocks done and of all. Threads (0: all processors) do
// not change the result. Where the context ends, the matrix is of no use any more.
func (m *Matrix[T]) Invert(ctx context.Context, set cpu.Set, threads int, step func(done, total int)) error {
	s := &sweep[T]{Matrix: m, set: set, threads: threads, row: make([][]T, m.blocks()), next: make([][]T, m.blocks())}
	for i := range m.blocks() {
		s.row[i], s.next[i] = make([]T, tile*m.size(i)), make([]T, tile*m.size(i))
	}
	for k := range m.blocks() {
		if err := s.pivot(ctx, k); err != nil {
			return err
		}
		if step != nil {
			step(k+1, m.blocks())
		}
	}
	for _, b := range m.block {
		for i, v := range b {
			b[i] = -v
		}
	}
	for k := range m.blocks() { // rounding has left the halves of the blocks on the diagonal apart
		b, n := m.at(k, k), m.size(k)
		for p := range n {
			for q := range p {
				b[q*n+p] = b[p*n+q]
			}
		}
	}
	return nil
}

// sweep is an inversion under way.
type sweep[T Float] struct {
	*Matrix[T]
	set       cpu.Set
	threads   int
	row, next [][]T // of the pivot's block row: A_K and E, a block [rows of K, rows of j] for each j
}

func (s *sweep[T]) pivot(ctx context.Context, k int) error {
	n, blocks := s.size(k), s.blocks()
	inverse, ok := invertSmall(s.at(k, k), n)
	if !ok {
		return notDefinite(k*tile, s.N)
	}
	others := make([]int, 0, blocks)
	for j := range blocks {
		if j != k {
			others = append(others, j)
		}
	}
	err := s.each(ctx, len(others), func(at int, scratch *workspace) error {
		j := others[at]
		if j < k {
			copy(s.row[j], s.at(k, j))
		} else {
			transpose(s.row[j], s.at(j, k), s.size(j), n)
		}
		return product(s.set, kernels.MatMul{}, s.next[j][:n*s.size(j)], inverse, s.row[j][:n*s.size(j)], [3]int{n, s.size(j), n}, scratch)
	})
	if err != nil {
		return err
	}
	// Block (i, j) for j <= i, by the larger index first.
	err = s.each(ctx, len(others)*(len(others)+1)/2, func(at int, scratch *workspace) error {
		a, b := triangle(at)
		i, j := others[a], others[b]
		change := take[T](&scratch.product, s.size(i)*s.size(j))
		err := product(s.set, kernels.MatMul{TransA: true}, change, s.row[i][:n*s.size(i)], s.next[j][:n*s.size(j)], [3]int{s.size(i), s.size(j), n}, scratch)
		to := s.at(i, j)
		for p, v := range change {
			to[p] -= v
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, j := range others {
		if j < k {
			copy(s.at(k, j), s.next[j])
		} else {
			transpose(s.at(j, k), s.next[j], n, s.size(j))
		}
	}
	for p, v := range inverse {
		s.at(k, k)[p] = -v
	}
	return nil
}

// triangle is the pair (a, b), b <= a, at position at of a lower triangle by rows.
func triangle(at int) (a, b int) {
	for at > a {
		at -= a + 1
		a++
	}
	return a, at
}

// invertSmall is the inverse of a symmetric block [n, n], by gonum's Cholesky.
func invertSmall[T Float](block []T, n int) ([]T, bool) {
	a := mat.NewSymDense(n, nil)
	for p := range n {
		for q := p; q < n; q++ {
			a.SetSym(p, q, float64(block[q*n+p]))
		}
	}
	var c mat.Cholesky
	if !c.Factorize(a) {
		return nil, false
	}
	// An inverse that gonum calls ill-conditioned is as good as its precision allows.
	if err := c.InverseTo(a); err != nil {
		if _, conditioned := err.(mat.Condition); !conditioned {
			return nil, false
		}
	}
	inverse := make([]T, n*n)
	for p := range n {
		for q := range n {
			inverse[p*n+q] = T(a.At(p, q))
		}
	}
	return inverse, true
}

// transpose sets to [cols, rows] = fromᵀ.
func transpose[T Float](to, from []T, rows, cols int) {
	for p := range rows {
		for q, v := range from[p*cols:][:cols] {
			to[q*rows+p] = v
		}
	}
}

// workspace is memory of one goroutine, grown where needed.
type workspace struct{ product, scratch []byte }

// take is n elements at the beginning of memory that it grows, aligned to a cache line.
func take[T Float](memory *[]byte, n int) []T {
	var t T
	const line = 64
	if need := n*int(unsafe.Sizeof(t)) + line; len(*memory) < need {
		*memory = make([]byte, need)
	}
	skip := -int(uintptr(unsafe.Pointer(&(*memory)[0]))) & (line - 1)
	return unsafe.Slice((*T)(unsafe.Pointer(&(*memory)[skip])), n)
}

// product sets out [size0, size1] = op(a) b by the kernel set, where the inner dimension is size2.
func product[T Float](set cpu.Set, k kernels.MatMul, out, a, b []T, size [3]int, w *workspace) error {
	left := [2]int{size[0], size[2]}
	if k.TransA {
		left = [2]int{size[2], size[0]}
	}
	o, in := []cpu.Tensor{tensor(out, size[0], size[1])}, []cpu.Tensor{tensor(a, left[0], left[1]), tensor(b, size[2], size[1])}
	bytes := int(set.Scratch(k, []kernels.Desc{o[0].Desc}, []kernels.Desc{in[0].Desc, in[1].Desc}))
	var memory []byte
	if bytes > 0 {
		words := take[float64](&w.scratch, (bytes+7)/8)
		memory = unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), bytes)
	}
	work, err := set.Bind(k, o, in, memory)
	for _, phase := range work {
		for c := range phase.Chunks {
			phase.Run(c)
		}
	}
	return err
}

func tensor[T Float](x []T, rows, cols int) cpu.Tensor {
	switch x := any(x).(type) {
	case []float32:
		return cpu.Tensor{Desc: kernels.Of(kernels.Float32, rows, cols), F32: x}
	case []float64:
		return cpu.Tensor{Desc: kernels.Of(kernels.Float64, rows, cols), F64: x}
	}
	panic("spd: an element type that is no Float")
}

// each shares n pieces of work, each with its goroutine's memory.
func (s *sweep[T]) each(ctx context.Context, n int, f func(at int, w *workspace) error) error {
	return parallel.Each(ctx, s.threads, n, func() func(int) error {
		var w workspace
		return func(at int) error { return f(at, &w) }
	})
}
