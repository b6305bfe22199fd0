package sweep

import (
	"fmt"
	"math"
)

// A Spread is the mean of some values and their sample deviation, sqrt(sum (x - mean)² / (n-1)); 0 for a single value.
type Spread struct {
	Mean      float64 `json:"mean"`
	Deviation float64 `json:"deviation"`
	N         int     `json:"n"`
}

// SpreadOf is the spread of values, of which there is at least one.
func SpreadOf(values []float64) Spread {
	s := Spread{N: len(values)}
	for _, v := range values {
		s.Mean += v
	}
	s.Mean /= float64(s.N)
	if s.N < 2 {
		return s
	}
	sum := 0.0
	for _, v := range values {
		sum += (v - s.Mean) * (v - s.Mean)
	}
	s.Deviation = math.Sqrt(sum / float64(s.N-1))
	return s
}

// String is "0.1262 ± 0.0024", or "0.1262" for a single value.
func (s Spread) String() string {
	if s.N < 2 {
		return fmt.Sprintf("%.4f", s.Mean)
	}
	return fmt.Sprintf("%.4f ± %.4f", s.Mean, s.Deviation)
}

// spreads are those of each metric over the runs' values.
func spreads(metrics []string, runs []Run, of func(*Run) map[string]float64) map[string]Spread {
	out := map[string]Spread{}
	for _, name := range metrics {
		var values []float64
		for i := range runs {
			if v, ok := of(&runs[i])[name]; ok {
				values = append(values, v)
			}
		}
		if len(values) > 0 {
			out[name] = SpreadOf(values)
		}
	}
	return out
}
