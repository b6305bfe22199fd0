package dataset

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestRatiosToTheUnit: parts of all interactions are exact; of a user's, each is within one of its share, and train keeps one.
func TestRatiosToTheUnit(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	for range 50 {
		a, b := random.IntN(60), random.IntN(40)
		r := Ratios{float64(100-a-b) / 100, float64(a) / 100, float64(b) / 100}
		all := events(random, 40, 50, 1+random.IntN(600), 1<<40)
		n := len(all)
		for _, split := range []Split{SplitRandom, SplitTemporal} {
			d := divide(t, held(t, 40, 50, all, true), Options{Split: split, Ratio: r})
			// Integers, so that the oracle does not round.
			if d.Valid.Len() != a*n/100 || d.Test.Len() != b*n/100 {
				t.Errorf("%s of %d by %s: %d and %d are held out, want %d and %d", split, n, r, d.Valid.Len(), d.Test.Len(), a*n/100, b*n/100)
			}
			d = divide(t, held(t, 40, 50, all, true), Options{Split: split, By: ByUser, Ratio: r})
			for u := range d.Users() {
				n := d.Train.Degree(u) + d.Valid.Degree(u) + d.Test.Degree(u)
				if n > 0 && d.Train.Degree(u) == 0 {
					t.Errorf("%s by user: user %d has nothing in train", split, u)
				}
				if n < 2 || d.Train.Degree(u) == 1 {
					continue // the one that train keeps may be missing elsewhere
				}
				for _, part := range []struct {
					got   int
					share float64
				}{{d.Valid.Degree(u), r.Valid}, {d.Test.Degree(u), r.Test}} {
					if want := part.share * float64(n); math.Abs(float64(part.got)-want) >= 1+1e-9 {
						t.Errorf("%s by user: %d of %d held out, want about %g", split, part.got, n, want)
					}
				}
			}
		}
	}
}

// TestUserRatiosAddUp: users whose share is less than one interaction are held out as often as it asks.
func TestUserRatiosAddUp(t *testing.T) {
	const users, each = 20000, 4
	var all []event
	for u := range users {
		for i := range each {
			all = append(all, event{Pair{int32(u), int32(i)}, float64(i)})
		}
	}
	for _, split := range []Split{SplitRandom, SplitTemporal} {
		d := divide(t, held(t, users, each, all, true), Options{Split: split, By: ByUser, Ratio: Ratios{.85, .1, .05}})
		for _, part := range []struct {
			x    *Interactions
			want float64
		}{{d.Valid, .1}, {d.Test, .05}} {
			// Five deviations of a share that is drawn for each user.
			if got := float64(part.x.Len()) / (users * each); math.Abs(got-part.want) > 5*math.Sqrt(.25/users)/each {
				t.Errorf("%s: a share of %.4f is held out, want %g", split, got, part.want)
			}
		}
	}
}

func TestRatiosText(t *testing.T) {
	for text, want := range map[string]Ratios{"": {}, " ": {}, "0.8,0.1,0.1": {.8, .1, .1}, " .7, .1 ,.2": {.7, .1, .2}, "1,0,0": {1, 0, 0}} {
		var r, again Ratios
		if err := r.UnmarshalText([]byte(text)); err != nil || r != want {
			t.Errorf("%q: %v (%v), want %v", text, r, err, want)
		}
		back, err := r.MarshalText()
		if err != nil || again.UnmarshalText(back) != nil || again != want {
			t.Errorf("%q is written as %q (%v)", text, back, err)
		}
	}
	for _, text := range []string{"0.8", "0.8,0.2", "a,b,c", "8,1,1", "0.5,0.5,0.5", "NaN,0,1", "0.25,0.25,0.25,0.25", "+Inf,0,0", "1,-0.1,0.1"} {
		if err := new(Ratios).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}
