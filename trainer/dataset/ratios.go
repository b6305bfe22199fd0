package dataset

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Ratios are the shares of interactions that train, validation and test get. They add up to 1; the zero value says nothing.
type Ratios struct{ Train, Valid, Test float64 }

// UnmarshalText reads "0.8,0.1,0.1"; nothing is the zero value.
func (r *Ratios) UnmarshalText(text []byte) error {
	*r = Ratios{}
	if len(strings.TrimSpace(string(text))) == 0 {
		return nil
	}
	fields := strings.Split(string(text), ",")
	if len(fields) != 3 {
		return errors.New("want three shares, of train, validation and test, such as 0.8,0.1,0.1")
	}
	for k, into := range []*float64{&r.Train, &r.Valid, &r.Test} {
		var err error
		if *into, err = strconv.ParseFloat(strings.TrimSpace(fields[k]), 64); err != nil {
			return fmt.Errorf("%q is not a number: want three shares, such as 0.8,0.1,0.1", fields[k])
		}
	}
	return r.check()
}

// MarshalText writes what UnmarshalText reads.
func (r Ratios) MarshalText() ([]byte, error) {
	if r == (Ratios{}) {
		return nil, nil
	}
	return []byte(r.String()), nil
}

func (r Ratios) String() string { return fmt.Sprintf("%g,%g,%g", r.Train, r.Valid, r.Test) }

// check refuses shares that are not of one whole. Train needs one; validation and test may have none.
func (r Ratios) check() error {
	switch sum := r.Train + r.Valid + r.Test; {
	case r == (Ratios{}):
		return nil
	case !(r.Train > 0) || !(r.Valid >= 0) || !(r.Test >= 0):
		return fmt.Errorf("%s: every share must be at least 0, and that of train above", r)
	case !(math.Abs(sum-1) < 1e-9):
		return fmt.Errorf("%s adds up to %.6g: train, validation and test must add up to 1", r, sum)
	}
	return nil
}

// held is how many of a user's n interactions leave train. A fraction of one is taken with its probability, luck being uniform in [0, 1), so
// that users with few interactions are in every part as often as its share asks. Train keeps one.
func (r Ratios) held(n int, luck float64) (valid, test int) {
	take := func(ratio float64) int { return int(math.Floor(ratio*float64(n) + luck + 1e-9)) } // 1e-9: as in share
	both := min(take(r.Valid+r.Test), n-1)
	test = min(take(r.Test), both)
	return both - test, test
}

// ratios are those of a split that is made: without a word about them, a tenth is tested, and the options of a given split say what validates.
func (o *Options) ratios() Ratios {
	if o.Ratio != (Ratios{}) {
		return o.Ratio
	}
	ratio := func(r float64) float64 {
		if r == 0 {
			return tenth
		}
		return max(r, 0)
	}
	valid, test := ratio(o.ValidRatio), ratio(o.TestRatio)
	return Ratios{max(1-valid-test, 0), valid, test}
}
