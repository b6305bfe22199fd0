package dataset

// TrainOnValid is the data set with its validation interactions back in train and an empty validation split: what a model is trained on again
// once the validation split has done its work.
func (d *Dataset) TrainOnValid() *Dataset {
	merged := *d
	merged.Train = union(d.Train, d.Valid)
	merged.Valid = d.Valid.where(func(int, int64) bool { return false })
	return &merged
}

// OfUsers returns the interactions of the users u for which at[u] is not negative, over the same users and items.
func (x *Interactions) OfUsers(at []int32) *Interactions {
	return x.where(func(u int, _ int64) bool { return at[u] >= 0 })
}
