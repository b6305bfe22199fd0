package trainer

import (
	"context"
	"fmt"

	"nearfar/engine"
	"nearfar/engine/cpu"
	"nearfar/engine/op"
	"nearfar/kernels"
	kernelset "nearfar/kernels/cpu"
	"nearfar/models"
	"nearfar/trainer/dataset"
	"nearfar/trainer/evaluate"
	"nearfar/trainer/runfolder"
)

// scorer ranks by what a model has learned.
type scorer interface {
	evaluate.Scorer
	// refresh computes what it ranks by from the parameters of now. It comes before the first score.
	refresh(ctx context.Context) error
	// ScoreHistory writes out [items] for somebody who has these items, each once, and whom training may never have seen.
	ScoreHistory(ctx context.Context, items []int32, out []float32) error
	// export is what a run keeps of it.
	export() (exported, error)
	close()
}

// exported is a file of tensors; without a name there is none.
type exported struct {
	file, score string // score says how they rank
	tensors     []runfolder.Entry
}

// newScorer makes the scorer of a model: a TableModel ranks on the store's device, an ItemModel in host memory.
func newScorer(store *engine.Store, m models.Model, train *dataset.Interactions, threads int) (scorer, error) {
	switch m := m.(type) {
	case models.TableModel:
		s, err := newTableScorer(store, m)
		if err != nil {
			return nil, err // and not a nil *tableScorer, which is a scorer
		}
		return s, nil
	case models.ItemModel:
		return &itemScorer{model: m, train: train, threads: threads}, nil
	}
	return nil, fmt.Errorf("the model %T ranks neither by tables nor by items", m)
}

// tableScorer ranks on the device by two programs over the run's Store: one computes the tables that the model ranks by, once an evaluation; the
// other multiplies a block of users with all items.
type tableScorer struct {
	store        *engine.Store
	tables, rank *engine.Program
	block        *userBlock
	users, items int
	onHost       evaluate.Table // the items' table, once a history has asked for it
}

const (
	usersTable = "score/users"
	itemsTable = "score/items"
	// transposed is the items' table by columns, as the product wants it: turned once an evaluation and not once a block, which took a third
	// of an evaluation's time.
	transposed = "score/items-transposed"
	scoreBlock = 256
)

// maxScoreBytes bounds a block of scores, so that evaluation needs little memory beside the embeddings.
const maxScoreBytes = 8 << 20

func newTableScorer(store *engine.Store, m models.TableModel) (*tableScorer, error) {
	s := &tableScorer{store: store}
	var err error
	s.tables, err = engine.Build(store, func(b *engine.Builder) engine.Step {
		u, i := m.Score(b)
		s.users, s.items = op.Desc(u).Dim[0], op.Desc(i).Dim[0]
		return engine.Step{Updates: []engine.Update{
			{State: b.Scratch(usersTable, op.Desc(u).Shape()...), Next: u},
			{State: b.Scratch(itemsTable, op.Desc(i).Shape()...), Next: i},
			{State: b.Scratch(transposed, op.Desc(i).Dim[1], op.Desc(i).Dim[0]), Next: op.Permute(i, 1, 0)},
		}}
	})
	if err != nil {
		return nil, err
	}
	s.block = &userBlock{user: make([]int32, max(1, min(scoreBlock, s.users, maxScoreBytes/4/s.items)))}
	s.rank, err = engine.Build(store, func(b *engine.Builder) engine.Step {
		table := func(name string) *op.Node { return b.Scratch(name, store.Entry(name).Desc.Shape()...) }
		scores := op.MatMul(op.Gather(table(usersTable), op.Only(b.Feed(s.block)[0])), table(transposed), false, false)
		return engine.Step{Outputs: []engine.Named{{Name: "scores", Value: scores}}}
	})
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *tableScorer) close() {
	for _, p := range []*engine.Program{s.tables, s.rank} {
		if p != nil {
			p.Close()
		}
	}
}

// refresh computes the tables.
func (s *tableScorer) refresh(ctx context.Context) error {
	s.onHost = evaluate.Table{}
	return s.tables.Run(ctx, 0, 1, nil)
}

func (s *tableScorer) Users() int { return s.users }
func (s *tableScorer) Items() int { return s.items }

// Score implements evaluate.Scorer.
func (s *tableScorer) Score(ctx context.Context, users []int32, out []float32) error {
	for len(users) > 0 {
		n := min(len(users), len(s.block.user))
		s.block.set(users[:n])
		if err := s.rank.Run(ctx, 0, 1, nil); err != nil {
			return err
		}
		if err := s.rank.OutputPart("scores", out[:n*s.items]); err != nil {
			return err
		}
		users, out = users[n:], out[n*s.items:]
	}
	return nil
}

// Factors implements evaluate.Factored where the device is the processor.
func (s *tableScorer) Factors() (users, items evaluate.Table, kernels *kernelset.Set, err error) {
	processor, ok := s.store.Device.(*cpu.Device)
	if !ok {
		return users, items, nil, nil
	}
	set := processor.Kernels()
	users, items, err = s.read()
	return users, items, &set, err
}

// read copies the tables to the host.
func (s *tableScorer) read() (users, items evaluate.Table, err error) {
	table := func(name string) (evaluate.Table, error) {
		v, d, err := s.store.Read32(name)
		return evaluate.Table{Data: v, N: d.Rows(), D: d.Cols()}, err
	}
	if users, err = table(usersTable); err != nil {
		return
	}
	items, err = table(itemsTable)
	return
}

// ScoreHistory ranks by the mean of the vectors of the items that somebody has. The model has learned no vector for a user whom it has not
// seen; what a user vector is near in training are those of its items.
func (s *tableScorer) ScoreHistory(ctx context.Context, items []int32, out []float32) error {
	if s.onHost.Data == nil {
		var err error
		if _, s.onHost, err = s.read(); err != nil {
			return err
		}
	}
	t := s.onHost
	user := make([]float64, t.D)
	for _, i := range items {
		for k, v := range t.Data[int(i)*t.D:][:t.D] {
			user[k] += float64(v) / float64(len(items))
		}
	}
	for i := range out {
		sum := 0.0
		for k, v := range t.Data[i*t.D:][:t.D] {
			sum += user[k] * float64(v)
		}
		out[i] = float32(sum)
	}
	return ctx.Err()
}

// export gives the tables.
func (s *tableScorer) export() (exported, error) {
	e := exported{file: runfolder.Embeddings, score: "inner product of a row of users and a row of items; ids in users.txt and items.txt"}
	for _, table := range []struct{ entry, name string }{{usersTable, "users"}, {itemsTable, "items"}} {
		b, d, err := s.store.ReadBytes(table.entry)
		if err != nil {
			return e, err
		}
		e.tensors = append(e.tensors, runfolder.Entry{Name: table.name, Desc: d, Data: b})
	}
	return e, nil
}

// userBlock feeds the users to rank, -1 behind them.
type userBlock struct{ user []int32 }

func (u *userBlock) set(users []int32) {
	n := copy(u.user, users)
	for i := n; i < len(u.user); i++ {
		u.user[i] = -1
	}
}

func (u *userBlock) Ports() []engine.Port {
	return []engine.Port{{Name: "rank/user", Desc: kernels.Of(kernels.Int32, len(u.user))}}
}

func (u *userBlock) Fill(_ uint64, out []engine.Slot) error {
	copy(out[0].I32, u.user)
	return nil
}
