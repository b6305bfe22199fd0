package dataset

import "testing"

// Train and validation together are the interactions that were there before validation was taken out.
func TestTrainOnValidUndoesTheSplit(t *testing.T) {
	whole, err := Load(t.Context(), Options{Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	split, err := Load(t.Context(), Options{Seed: 3, ValidRatio: .2})
	if err != nil {
		t.Fatal(err)
	}
	if split.Valid.Len() == 0 || split.Train.Len() == whole.Train.Len() {
		t.Fatal("nothing was held out")
	}
	merged := split.TrainOnValid()
	if merged.Valid.Len() != 0 || merged.Valid.Users() != whole.Users() {
		t.Errorf("the validation split has %d interactions of %d users, want none of %d", merged.Valid.Len(), merged.Valid.Users(), whole.Users())
	}
	if merged.Checksum() != whole.Checksum() {
		t.Error("the merged set is not the one that was split")
	}
	if split.Valid.Len() == 0 {
		t.Error("merging has changed the split data set")
	}
}
