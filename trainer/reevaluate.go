package trainer

import (
	"context"
	"fmt"
	"math"
	"slices"

	"nearfar/trainer/dataset"
	"nearfar/trainer/evaluate"
)

// Targets are the interactions of a split of the data, "test" or "valid".
func Targets(data *dataset.Dataset, split string) *dataset.Interactions {
	if split == "valid" {
		return data.Valid
	}
	return data.Test
}

// Evaluate ranks a split of the data, "test" or "valid", by a scorer of its users and items, under the options' protocol.
func Evaluate(ctx context.Context, s evaluate.Scorer, data *dataset.Dataset, split string, o Options) (*evaluate.Report, error) {
	targets := Targets(data, split)
	switch {
	case targets.Len() > 0:
	case split == "valid" && o.TrainOn == trainOnBoth:
		return nil, fmt.Errorf("%s has no valid split to evaluate on: with -train-on %s its interactions are in train", data.Path, o.TrainOn)
	default:
		return nil, fmt.Errorf("%s has no %s split to evaluate on", data.Path, split)
	}
	r := run{Job: Job{Options: o}, data: data}
	return evaluate.Rank(ctx, s, r.protocol(targets, true))
}

// Match says where the users and items of a data set stand among those of a run.
type Match struct {
	User, Item                 []int32 // [data's], the run's index or -1
	UnknownUsers, UnknownItems int     // of the data
	UnrankedItems              int     // of the run: the data's catalogue has not got them
}

// MatchIDs matches by id.
func MatchIDs(data *dataset.Dataset, userID, itemID []string) (m Match) {
	place := func(names, among []string) (at []int32, unknown int) {
		index := make(map[string]int32, len(among))
		for i, name := range among {
			index[name] = int32(i)
		}
		at = make([]int32, len(names))
		for i, name := range names {
			row, ok := index[name]
			if !ok {
				row = -1
				unknown++
			}
			at[i] = row
		}
		return at, unknown
	}
	m.User, m.UnknownUsers = place(data.UserID, userID)
	m.Item, m.UnknownItems = place(data.ItemID, itemID)
	m.UnrankedItems = len(itemID) - (len(data.ItemID) - m.UnknownItems)
	return m
}

// Identical tells whether both have the same users and items in the same order.
func (m *Match) Identical(userID, itemID []string) bool {
	inOrder := func(at []int32, n int) bool {
		return len(at) == n && !slices.ContainsFunc(at, func(i int32) bool { return i < 0 }) && slices.IsSorted(at)
	}
	return inOrder(m.User, len(userID)) && inOrder(m.Item, len(itemID))
}

// Known is the data without the validation and test interactions of users that the run does not know: there is nothing to rank for them. Items
// that it does not know stay: they are misses.
func (m *Match) Known(data *dataset.Dataset) *dataset.Dataset {
	known := *data
	known.Valid, known.Test = data.Valid.OfUsers(m.User), data.Test.OfUsers(m.User)
	return &known
}

// Scorer ranks the data's catalogue by a run's scores. An item that the run does not know comes behind all others.
func (m *Match) Scorer(of evaluate.Scorer) evaluate.Scorer { return &matchedScorer{Match: m, of: of} }

type matchedScorer struct {
	*Match
	of     evaluate.Scorer
	users  []int32
	scores []float32
}

func (s *matchedScorer) Users() int { return len(s.User) }
func (s *matchedScorer) Items() int { return len(s.Item) }

// Score implements evaluate.Scorer, for users that the run knows.
func (s *matchedScorer) Score(ctx context.Context, users []int32, out []float32) error {
	s.users = s.users[:0]
	for _, u := range users {
		if s.User[u] < 0 {
			return fmt.Errorf("user %d of the data is not known to the run", u)
		}
		s.users = append(s.users, s.User[u])
	}
	n := s.of.Items()
	s.scores = slices.Grow(s.scores[:0], len(users)*n)[:len(users)*n]
	if err := s.of.Score(ctx, s.users, s.scores); err != nil {
		return err
	}
	for row := range users {
		from, to := s.scores[row*n:(row+1)*n], out[row*len(s.Item):(row+1)*len(s.Item)]
		for i, at := range s.Item {
			to[i] = float32(math.Inf(-1))
			if at >= 0 {
				to[i] = from[at]
			}
		}
	}
	return nil
}
