package evaluate

import (
	"context"
	"fmt"
	"slices"
)

// Recommend gives each user the best n items that are not among their seen ones, best first, in blocks that keep memory small. Ties fall as in Rank
// under the same seed. yield is called in the order of the users; its slices are valid during the call only, and fewer than n where fewer items
// are left. seen may be nil.
func Recommend(ctx context.Context, s Scorer, users []int32, seen func(user int32) [][]int32, n int, seed uint64, yield func(user int32, items []int32, scores []float32) error) error {
	if n < 1 {
		return fmt.Errorf("evaluate: %d recommendations: want at least one", n)
	}
	items := s.Items()
	n = min(n, items)
	selector, top := newSelector(n, tieKeys(items, seed)), make([]int32, n)
	scores, best := make([]float32, min(defaultBlock(items), max(len(users), 1))*items), make([]float32, n)
	for block := range slices.Chunk(users, max(1, len(scores)/items)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.Score(ctx, block, scores[:len(block)*items]); err != nil {
			return err
		}
		for row, u := range block {
			var masks [][]int32
			if seen != nil {
				masks = seen(u)
			}
			of := scores[row*items : (row+1)*items]
			if item := selector.top(of, masks, top); item >= 0 {
				return fmt.Errorf("evaluate: the score of user %d and item %d is NaN: the model has diverged", u, item)
			}
			left := len(top)
			if i := slices.Index(top, -1); i >= 0 {
				left = i
			}
			for i, item := range top[:left] {
				best[i] = of[item]
			}
			if err := yield(u, top[:left], best[:left]); err != nil {
				return err
			}
		}
	}
	return nil
}
