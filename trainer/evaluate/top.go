package evaluate

import (
	"math"
	"slices"

	"nearfar/kernels/philox"
)

// tieKeys is a seeded hash of each item that decides between equal scores, the smaller key first. Ids would not do: they often
// encode popularity, and a collapsed model, which ties everywhere, would be given the popular items for nothing.
func tieKeys(items int, seed uint64) []uint64 {
	stream := philox.New(seed, "evaluate/ties")
	keys := make([]uint64, items)
	for i := range keys {
		w := stream.At(0, uint32(i), 0)
		keys[i] = uint64(w[0])<<32 | uint64(w[1])
	}
	return keys
}

// An entry is an item in the running for a user's top.
type entry struct {
	score float32
	item  int32
	tie   uint64
}

// before tells whether a ranks before b. Items come last, for two equal hashes among 2^64.
func (a entry) before(b entry) bool {
	if a.score != b.score {
		return a.score > b.score
	}
	if a.tie != b.tie {
		return a.tie < b.tie
	}
	return a.item < b.item
}

// A selector finds the best n items of a row of scores. Once n are found, the worst of them is a threshold: one comparison a
// score, and only the few above it are looked up in the masks and enter the heap.
type selector struct {
	n    int
	ties []uint64
	heap []entry // the worst of the best at the root
}

func newSelector(n int, ties []uint64) *selector {
	return &selector{n: n, ties: ties, heap: make([]entry, 0, n)}
}

// top writes the best items to out [n], best first, then -1. Items of the masks (ascending lists) are left out. It returns the
// first item whose score is NaN, masked or not, and -1 where there is none.
func (s *selector) top(scores []float32, masks [][]int32, out []int32) (nan int32) {
	s.reset()
	threshold := float32(math.Inf(-1))
	for i := above(scores, 0, threshold); i < len(scores); i = above(scores, i+1, threshold) {
		x := scores[i]
		if x != x {
			return int32(i)
		}
		threshold = s.offer(int32(i), x, masks)
	}
	s.write(out)
	return -1
}

func (s *selector) reset() { s.heap = s.heap[:0] }

// offer enters an item that is good enough and in no mask, and returns the score that a better one has at least.
func (s *selector) offer(item int32, score float32, masks [][]int32) (threshold float32) {
	e := entry{score, item, s.ties[item]}
	if !(len(s.heap) == s.n && s.heap[0].before(e) || listed(masks, item)) {
		s.push(e)
	}
	if len(s.heap) < s.n {
		return float32(math.Inf(-1))
	}
	return s.heap[0].score
}

// topAmong is top over some of the items, none of them masked. A NaN anywhere in the row is found, as by top.
func (s *selector) topAmong(items []int32, scores []float32, out []int32) (nan int32) {
	s.reset()
	for _, i := range items {
		e := entry{scores[i], i, s.ties[i]}
		if len(s.heap) < s.n || e.before(s.heap[0]) {
			s.push(e)
		}
	}
	s.write(out)
	return int32(slices.IndexFunc(scores, func(x float32) bool { return x != x }))
}

// write empties the heap into out, best first, then -1.
func (s *selector) write(out []int32) {
	slices.SortFunc(s.heap, func(a, b entry) int {
		if a.before(b) {
			return -1
		}
		return 1
	})
	for r, e := range s.heap {
		out[r] = e.item
	}
	for r := len(s.heap); r < len(out); r++ {
		out[r] = -1
	}
}

// above is the first position from i on whose score is not below the threshold, which a NaN never is; len(scores) where there is
// none. Nearly all of the time of a ranking is spent in the first loop, four scores at a time.
func above(scores []float32, i int, threshold float32) int {
	for i+4 <= len(scores) {
		q := scores[i : i+4 : i+4]
		if !(q[0] < threshold && q[1] < threshold && q[2] < threshold && q[3] < threshold) {
			break
		}
		i += 4
	}
	for i < len(scores) && scores[i] < threshold {
		i++
	}
	return i
}

func listed(masks [][]int32, item int32) bool {
	for _, m := range masks {
		if _, found := slices.BinarySearch(m, item); found {
			return true
		}
	}
	return false
}

// push adds an entry, in place of the root where the heap is full.
func (s *selector) push(e entry) {
	if len(s.heap) < s.n {
		s.heap = append(s.heap, e)
		i := len(s.heap) - 1
		for i > 0 {
			parent := (i - 1) / 2
			if !s.heap[parent].before(e) {
				break
			}
			s.heap[i] = s.heap[parent]
			i = parent
		}
		s.heap[i] = e
		return
	}
	i := 0
	for {
		child := 2*i + 1
		if child >= len(s.heap) {
			break
		}
		if child+1 < len(s.heap) && s.heap[child].before(s.heap[child+1]) {
			child++
		}
		if !e.before(s.heap[child]) {
			break
		}
		s.heap[i] = s.heap[child]
		i = child
	}
	s.heap[i] = e
}
