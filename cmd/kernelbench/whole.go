package main

import (
	"context"
	"fmt"
)

// Beside the kernels, what they are for is timed as a whole: the full ranking of some users, as the trainer does it, and a training step.
const (
	rankingName = "Ranking top 20"
	stepName    = "SimGCL step"
)

// whole times what is more than a kernel: on every device of the match, and on the peers.
func (b *bencher) whole(ctx context.Context, w *workload, n dimensions, seen map[string]bool) error {
	wanted := func(name, size string) bool {
		key := name + "|" + size
		if seen[key] || !b.run.MatchString(name) {
			return false
		}
		seen[key] = true
		return true
	}
	if size := rankingSize(w, n.dim); wanted(rankingName, size) {
		if err := b.rank(ctx, newRanking(w, n.dim)); err != nil {
			return fmt.Errorf("%s, %s: %w", rankingName, size, err)
		}
	}
	if s := (&simgcl{w, n, 3}); wanted(stepName, s.size()) {
		if err := b.step(ctx, s); err != nil {
			return fmt.Errorf("%s, %s: %w", stepName, s.size(), err)
		}
	}
	return nil
}
