package evaluate

import (
	"math"
	"slices"
	"sync/atomic"

	"nearfar/kernels/philox"
)

// tieKeys is a seeded hash of each item that decides between equal scores, the smaller key first. Ids would not do: they often
// encode popularity, and a collapsed model, which ties everywhere, would be given the popular items for nothing.
func tieKeys(items int, seed uint64) []uint64 {
	stream, keys := tieStream(seed), make([]uint64, items)
	for i := range keys {
		keys[i] = tieKey(stream, int32(i))
	}
	return keys
}

func tieStream(seed uint64) philox.Stream { return philox.New(seed, "evaluate/ties") }

func tieKey(s philox.Stream, item int32) uint64 {
	w := s.At(0, uint32(item), 0)
	return uint64(w[0])<<32 | uint64(w[1])
}

// decider tells which of two items of equal score ranks before the other.
type decider func(a, b int32) bool

// byKey decides by tieKeys, of which it makes those that it is asked for: scores are seldom equal. Several threads may ask.
func byKey(items int, seed uint64) decider {
	stream, known := tieStream(seed), make([]atomic.Uint64, items) // 0: not known yet
	key := func(i int32) uint64 {
		k := known[i].Load()
		if k == 0 {
			k = tieKey(stream, i)
			known[i].Store(k)
		}
		return k
	}
	return func(a, b int32) bool {
		ka, kb := key(a), key(b)
		return ka < kb || ka == kb && a < b // two equal hashes among 2^64
	}
}

// An entry is an item in the running for a user's top.
type entry struct {
	score float32
	item  int32
}

const entryBytes = 8

// A selector finds the best n items of a row of scores. Once n are found, the worst of them is a threshold: one comparison a
// score, and only the few above it are looked up in the masks and enter the heap.
type selector struct {
	n    int
	ties decider
	heap []entry // the worst of the best at the root
}

func newSelector(n int, ties decider) *selector {
	return &selector{n: n, ties: ties, heap: make([]entry, 0, n)}
}

// before tells whether a ranks before b.
func (s *selector) before(a, b entry) bool {
	if a.score != b.score {
		return a.score > b.score
	}
	return s.ties(a.item, b.item)
}

// top finds the best items. Those of the masks (ascending lists) are left out. It returns the first item whose score is NaN, masked or not, and -1
// where there is none.
func (s *selector) top(scores []float32, masks [][]int32) (nan int32) {
	s.reset()
	threshold := float32(math.Inf(-1))
	for i := above(scores, 0, threshold); i < len(scores); i = above(scores, i+1, threshold) {
		x := scores[i]
		if x != x {
			return int32(i)
		}
		threshold = s.offer(int32(i), x, masks)
	}
	return -1
}

func (s *selector) reset() { s.heap = s.heap[:0] }

// offer enters an item that is good enough and in no mask, and returns the score that a better one has at least.
func (s *selector) offer(item int32, score float32, masks [][]int32) (threshold float32) {
	e := entry{score, item}
	if !(len(s.heap) == s.n && s.before(s.heap[0], e) || listed(masks, item)) {
		s.push(e)
	}
	if len(s.heap) < s.n {
		return float32(math.Inf(-1))
	}
	return s.heap[0].score
}

// topAmong is top over some of the items, none of them masked. A NaN anywhere in the row is found, as by top.
func (s *selector) topAmong(items []int32, scores []float32) (nan int32) {
	s.reset()
	for _, i := range items {
		e := entry{scores[i], i}
		if len(s.heap) < s.n || s.before(e, s.heap[0]) {
			s.push(e)
		}
	}
	return int32(slices.IndexFunc(scores, func(x float32) bool { return x != x }))
}

// sort puts the items found in order, best first. They stay until the next reset.
func (s *selector) sort() {
	slices.SortFunc(s.heap, func(a, b entry) int {
		if s.before(a, b) {
			return -1
		}
		return 1
	})
}

// write writes the items found, after sort, to out, and -1 behind them.
func (s *selector) write(out []int32) {
	for r := range out {
		if out[r] = -1; r < len(s.heap) {
			out[r] = s.heap[r].item
		}
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
			if !s.before(s.heap[parent], e) {
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
		if child+1 < len(s.heap) && s.before(s.heap[child], s.heap[child+1]) {
			child++
		}
		if !s.before(e, s.heap[child]) {
			break
		}
		s.heap[i] = s.heap[child]
		i = child
	}
	s.heap[i] = e
}
