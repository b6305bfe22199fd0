package models

import (
	"nearfar/engine"
	"nearfar/engine/op"
)

// PopularityOptions has none: popularity counts.
type PopularityOptions struct {
	_ struct{} `title:"Popularity" defaults:"epochs=0"`
}

// Untrained implements Untrained.
func (*PopularityOptions) Untrained() {}

// New makes the model.
func (o *PopularityOptions) New(d Data) (Model, error) { return &popularity{data: d}, nil }

// popularity scores an item by its number of training interactions: the baseline that every learned model has to beat.
type popularity struct {
	stepless
	data Data
}

// Score is the inner product of a user's 1 and the item's count.
func (m *popularity) Score(b *engine.Builder) (users, items *op.Node) {
	count := make([]float64, m.data.Train.Items)
	for i, n := range m.data.Train.ItemDegrees() {
		count[i] = float64(n)
	}
	users = op.Fill(b.Graph, 1, b.Float(m.data.Train.Users(), 1))
	return users, b.Const("popularity", count, len(count), 1)
}
