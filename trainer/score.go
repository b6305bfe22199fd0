package trainer

import (
	"context"

	"nearfar/engine"
	"nearfar/engine/op"
	"nearfar/kernels"
	"nearfar/models"
	"nearfar/trainer/evaluate"
)

// scorer ranks on the device by two programs over the run's Store: one computes the tables that the model ranks by, once an evaluation; the
// other multiplies a block of users with all items.
type scorer struct {
	store        *engine.Store
	tables, rank *engine.Program
	block        *userBlock
	users, items int
}

const (
	usersTable = "score/users"
	itemsTable = "score/items"
	scoreBlock = 256
)

// maxScoreBytes bounds a block of scores, so that evaluation needs little memory beside the embeddings.
const maxScoreBytes = 64 << 20

func newScorer(store *engine.Store, m models.Model) (*scorer, error) {
	s := &scorer{store: store}
	var err error
	s.tables, err = engine.Build(store, func(b *engine.Builder) engine.Step {
		u, i := m.Score(b)
		s.users, s.items = op.Desc(u).Dim[0], op.Desc(i).Dim[0]
		return engine.Step{Updates: []engine.Update{
			{State: b.Scratch(usersTable, op.Desc(u).Shape()...), Next: u},
			{State: b.Scratch(itemsTable, op.Desc(i).Shape()...), Next: i},
		}}
	})
	if err != nil {
		return nil, err
	}
	s.block = &userBlock{user: make([]int32, max(1, min(scoreBlock, s.users, maxScoreBytes/4/s.items)))}
	s.rank, err = engine.Build(store, func(b *engine.Builder) engine.Step {
		table := func(name string) *op.Node { return b.Scratch(name, store.Entry(name).Desc.Shape()...) }
		scores := op.MatMul(op.Gather(table(usersTable), op.Only(b.Feed(s.block)[0])), table(itemsTable), false, true)
		return engine.Step{Outputs: []engine.Named{{Name: "scores", Value: scores}}}
	})
	return s, err
}

func (s *scorer) close() {
	for _, p := range []*engine.Program{s.tables, s.rank} {
		if p != nil {
			p.Close()
		}
	}
}

// refresh computes the tables from the parameters of now.
func (s *scorer) refresh(ctx context.Context) error { return s.tables.Run(ctx, 0, 1, nil) }

func (s *scorer) Users() int { return s.users }
func (s *scorer) Items() int { return s.items }

// Score implements evaluate.Scorer.
func (s *scorer) Score(ctx context.Context, users []int32, out []float32) error {
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

// read copies the tables to the host.
func (s *scorer) read() (users, items evaluate.Table, err error) {
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
