package dataset

// Attributes are the categorical fields of users or of items as a bag of values for each row (CSR): row r has the value ids
// Value[Ptr[r]:Ptr[r+1]], ascending, none twice. A value belongs to one field, so "1995" as a year and "1995" as a zip code are two.
// Rows are those of Dataset.UserID or Dataset.ItemID; one that the data does not describe is empty.
type Attributes struct {
	Fields []string // in the order of the file
	Ptr    []int32  // [rows+1]
	Value  []int32  // [Ptr[rows]]
	Field  []int32  // [values]: index into Fields of each value id, ascending
	Name   []string // [values]: as it was written
}

// Rows is the number of users or items, those without a value included.
func (a *Attributes) Rows() int { return len(a.Ptr) - 1 }

// Values is the number of different values of all fields together.
func (a *Attributes) Values() int { return len(a.Name) }

// Of returns the value ids of a row, ascending. The slice is the set's own memory: read it only.
func (a *Attributes) Of(row int) []int32 { return a.Value[a.Ptr[row]:a.Ptr[row+1]] }
