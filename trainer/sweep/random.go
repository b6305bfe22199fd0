package sweep

import (
	"fmt"
	"math"
	"strconv"

	"nearfar/kernels/philox"
)

// attempts is how often a trial may be drawn again because it was there already.
const attempts = 1000

// Random draws n different trials. Trial k depends on the axes and the seed alone, not on n: a sweep that is given more trials keeps those it
// has. A number from a range of reals is rounded to four digits, so that it can be typed again.
func Random(axes []Axis, n int, seed uint64) ([]Trial, error) {
	if n > maxTrials {
		return nil, fmt.Errorf("%d trials: at most %d", n, maxTrials)
	}
	if all := combinations(axes); float64(n) > all {
		return nil, fmt.Errorf("%d trials of %.0f combinations: lower -random, or leave it out to train all of them", n, all)
	}
	stream := philox.New(seed, "sweep/random")
	seen := map[string]bool{}
	var trials []Trial
	for k := uint64(0); len(trials) < n; k++ {
		if k > uint64(n)*attempts {
			return nil, fmt.Errorf("only %d different trials were found in %d draws: widen the ranges or lower -random", len(trials), k)
		}
		t := Trial{Number: len(trials) + 1}
		for i, a := range axes {
			w := stream.At(k, uint32(i), 0)
			t.Settings = append(t.Settings, Setting{a.Option, a.draw(w[0], w[1])})
		}
		if name := t.String(); !seen[name] {
			seen[name] = true
			trials = append(trials, t)
		}
	}
	return trials, nil
}

func (a *Axis) draw(x, y uint32) string {
	if a.Range == nil {
		return a.Values[philox.Below(x, len(a.Values))]
	}
	return a.Range.at((float64(x) + float64(y)/(1<<32)) / (1 << 32))
}

// at is the value at a position in [0, 1) of the range.
func (r *Range) at(position float64) string {
	low, high := r.Low, r.High
	if r.Whole { // each whole number has the same stretch
		low, high = low-.5, high+.5
	}
	v := low + position*(high-low)
	if r.Log {
		low = max(low, math.SmallestNonzeroFloat64)
		v = math.Exp(math.Log(low) + position*(math.Log(high)-math.Log(low)))
	}
	if r.Whole {
		return strconv.FormatInt(int64(min(max(math.Round(v), r.Low), r.High)), 10)
	}
	v, _ = strconv.ParseFloat(strconv.FormatFloat(v, 'e', 3, 64), 64)
	return strconv.FormatFloat(min(max(v, r.Low), r.High), 'g', -1, 64)
}
