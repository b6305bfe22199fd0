package trainer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"nearfar/kernels"
	"nearfar/models"
	"nearfar/trainer/dataset"
	"nearfar/trainer/runfolder"
)

// itemScorer ranks by weights between items, which it fits once: they depend on no parameter.
type itemScorer struct {
	model   models.ItemModel
	train   *dataset.Interactions
	threads int
	step    func(done, total int)
	fitted  models.ItemScorer
}

func (s *itemScorer) Users() int { return s.train.Users() }
func (s *itemScorer) Items() int { return s.train.Items }

func (s *itemScorer) refresh(ctx context.Context) error {
	if s.fitted != nil {
		return nil
	}
	how, err := fitting(s.threads, s.step)
	if err != nil {
		return err
	}
	s.fitted, err = s.model.Fit(ctx, how)
	return err
}

// Score implements evaluate.Scorer.
func (s *itemScorer) Score(ctx context.Context, users []int32, out []float32) error {
	return s.fitted.Score(ctx, users, out)
}

func (s *itemScorer) ScoreHistory(ctx context.Context, items []int32, out []float32) error {
	return s.fitted.ScoreHistory(ctx, items, out)
}

// export gives the weights of a model that has few. Others have none to keep: the run's options and data fit them again.
func (s *itemScorer) export() (exported, error) {
	sparse, ok := s.fitted.(models.SparseScorer)
	if !ok {
		return exported{}, nil
	}
	e := exported{
		file:  runfolder.Weights,
		score: "sum of the rows of the user's items; row i is weight[ptr[i]:ptr[i+1]] for the items item[ptr[i]:ptr[i+1]]; ids in items.txt",
	}
	w := sparse.Weights()
	for _, t := range []struct {
		name   string
		dtype  kernels.DType
		length int
		values any
	}{{"ptr", kernels.Int32, len(w.Ptr), w.Ptr}, {"item", kernels.Int32, len(w.Item), w.Item}, {"weight", kernels.Float32, len(w.Weight), w.Weight}} {
		b, err := binary.Append(nil, binary.LittleEndian, t.values)
		if err != nil {
			return e, err
		}
		e.tensors = append(e.tensors, runfolder.Entry{Name: t.name, Desc: kernels.Of(t.dtype, t.length), Data: b})
	}
	return e, nil
}

func (s *itemScorer) close() {}

// fit computes what an ItemModel ranks by, with progress; other models have nothing to fit.
func (r *run) fit(ctx context.Context) error {
	s, ok := r.scorer.(*itemScorer)
	if !ok {
		return nil
	}
	shown := counting{console: r.Console, label: "fitting " + r.Name}
	s.step = shown.step
	start := time.Now()
	err := s.refresh(ctx)
	r.position.TrainTime += time.Since(start).Seconds()
	shown.close()
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%w while %s was fitted, of which nothing is kept: %s", ErrInterrupted, r.Name, r.anew())
	}
	if err != nil {
		return fmt.Errorf("%s: %w", r.Name, err)
	}
	return nil
}
