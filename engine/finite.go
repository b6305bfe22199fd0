package engine

// NonFinite says what tensors hold beside finite numbers.
type NonFinite struct {
	Bad    bool // NaN or +Inf
	Absent bool // -Inf, which among operands is what is absent: a bias, the maximum of nothing
}

// FindNonFinite looks through v.
func FindNonFinite[T float32 | float64](v []T) (n NonFinite) {
	for _, x := range v {
		if x-x != 0 { // NaN or infinite
			n = n.And(NonFinite{Bad: !(x < 0), Absent: x < 0})
		}
	}
	return n
}

// And is what both hold together.
func (n NonFinite) And(m NonFinite) NonFinite { return NonFinite{n.Bad || m.Bad, n.Absent || m.Absent} }

// Guilty tells whether an instruction made its results n, and did not find in operands that held in: it made NaN or +Inf of finite numbers
// and -Inf, or -Inf of finite ones. A constant, which has no operands, is meant.
func (n NonFinite) Guilty(in NonFinite, operands int) bool {
	return !in.Bad && (n.Bad || n.Absent && !in.Absent && operands > 0)
}
