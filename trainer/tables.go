package trainer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"nearfar/engine"
	"nearfar/engine/op"
	"nearfar/kernels"
	"nearfar/trainer/dataset"
	"nearfar/trainer/evaluate"
	"nearfar/trainer/runfolder"
)

// Tables are the embeddings by which a run ranks, Users [U, k] and Items [I, k], with the ids of their rows: the score is the inner product.
type Tables struct {
	Users, Items   evaluate.Table
	UserID, ItemID []string
}

// ReadTables reads what a finished run exported.
func ReadTables(folder *runfolder.Folder) (t Tables, err error) {
	path := folder.File(runfolder.Embeddings)
	_, tensors, err := runfolder.ReadSafetensors(path)
	if errors.Is(err, fs.ErrNotExist) {
		return t, fmt.Errorf("%s has no %s: it has not finished; go on with -resume %s", folder.Path(), runfolder.Embeddings, folder.Path())
	} else if err != nil {
		return t, err
	}
	if t.UserID, err = runfolder.ReadIDs(folder.File(runfolder.Users)); err != nil {
		return t, err
	}
	if t.ItemID, err = runfolder.ReadIDs(folder.File(runfolder.Items)); err != nil {
		return t, err
	}
	for _, e := range tensors {
		if e.Desc.Type != kernels.Float32 || e.Desc.Rank != 2 {
			return t, fmt.Errorf("%s: the tensor %s is %v: want rows of float32", path, e.Name, e.Desc)
		}
		table := evaluate.Table{Data: engine.View[float32](e.Data), N: e.Desc.Rows(), D: e.Desc.Cols()}
		switch e.Name {
		case "users":
			t.Users = table
		case "items":
			t.Items = table
		}
	}
	if t.Users.N != len(t.UserID) || t.Items.N != len(t.ItemID) || t.Users.D != t.Items.D || t.Users.N == 0 || t.Items.N == 0 {
		return t, fmt.Errorf("%s: users %d x %d and items %d x %d, with %d and %d ids", path, t.Users.N, t.Users.D, t.Items.N, t.Items.D, len(t.UserID), len(t.ItemID))
	}
	return t, nil
}

// CheckpointTables computes the tables of one of the run's checkpoints, for which the data must be what the run was made on.
func (j Job) CheckpointTables(ctx context.Context, data *dataset.Dataset, device engine.Device, file string) (t Tables, err error) {
	j.Resume = true // opens no file of the folder for writing
	r := &run{Job: j, data: data}
	defer r.close()
	if err := r.build(ctx, device); err != nil {
		return t, err
	}
	tables, ok := r.scorer.(*tableScorer)
	if !ok {
		return t, fmt.Errorf("%s has no checkpoints: %s is fitted, not trained", r.Folder.Path(), r.Name)
	}
	at := r.read(file)
	if at.err != nil {
		return t, at.err
	}
	if at.Data != r.position.Data {
		return t, fmt.Errorf("%s: the run was made on other data, or on another split of it, than %s is now", r.Folder.Path(), data.Path)
	}
	if err := r.store.Restore(at.states, at.Constants); err != nil {
		return t, fmt.Errorf("%s: %w", r.Folder.File(file), err)
	}
	if err := tables.refresh(ctx); err != nil {
		return t, err
	}
	t.UserID, t.ItemID = data.UserID, data.ItemID
	t.Users, t.Items, err = tables.read()
	return t, err
}

// A HistoryScorer also scores all items for somebody of whom only the items are known.
type HistoryScorer interface {
	evaluate.Scorer
	// ScoreHistory writes out [Items] for the history, which is not empty.
	ScoreHistory(ctx context.Context, items []int32, out []float32) error
}

// A TableScorer ranks by tables, on a device: to the bits of the run that they are of where its device has the same name, else within rounding.
type TableScorer struct {
	*tableScorer
	store *engine.Store
}

var _ evaluate.Factored = (*TableScorer)(nil)

// NewTableScorer puts tables on a device. Close frees them.
func NewTableScorer(ctx context.Context, device engine.Device, t Tables) (*TableScorer, error) {
	s := &TableScorer{store: engine.NewStore(device, kernels.Float32, 0)}
	var err error
	if s.tableScorer, err = newTableScorer(s.store, frozen{t}); err == nil {
		err = s.refresh(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Close frees the device's memory.
func (s *TableScorer) Close() error {
	if s.tableScorer != nil {
		s.close()
	}
	return s.store.Close()
}

// Fit fits the run's ItemModel again, which is a pure function of its data and options, and gives what ranks by it.
func (j Job) Fit(ctx context.Context, data *dataset.Dataset, device engine.Device) (HistoryScorer, error) {
	j.Resume = true // opens no file of the folder for writing
	r := &run{Job: j, data: data}
	defer r.close()
	if err := r.build(ctx, device); err != nil {
		return nil, err
	}
	s, ok := r.scorer.(*itemScorer)
	if !ok {
		return nil, fmt.Errorf("%s has no embeddings yet, and %s is trained, not fitted: go on with -resume %s", r.Folder.Path(), r.Name, r.Folder.Path())
	}
	return s, r.fit(ctx)
}

// frozen is the model that has nothing but its tables.
type frozen struct{ Tables }

func (f frozen) StepsPerEpoch() int                     { return 0 }
func (f frozen) Train(*engine.Builder) engine.Objective { return nil }
func (f frozen) Score(b *engine.Builder) (users, items *op.Node) {
	constant := func(name string, t evaluate.Table) *op.Node {
		wide := make([]float64, len(t.Data))
		for i, v := range t.Data {
			wide[i] = float64(v)
		}
		return b.Const(name, wide, t.N, t.D)
	}
	return constant("frozen/users", f.Users), constant("frozen/items", f.Items)
}
