package evaluate

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"nearfar/kernels/cpu"
	"nearfar/kernels/philox"
)

// factors is a Scorer of two tables in host memory.
type factors struct {
	users, items Table
	kernels      *cpu.Set
	scored       int // calls of Score
}

func (f *factors) Users() int { return f.users.N }
func (f *factors) Items() int { return f.items.N }
func (f *factors) Factors() (users, items Table, kernels *cpu.Set, err error) {
	return f.users, f.items, f.kernels, nil
}
func (f *factors) Score(_ context.Context, users []int32, out []float32) error {
	f.scored++
	for _, u := range users {
		for i := range f.items.N {
			s := float32(0)
			for k := range f.users.D {
				s += f.users.Data[int(u)*f.users.D+k] * f.items.Data[i*f.items.D+k]
			}
			out[i] = s
		}
		out = out[f.items.N:]
	}
	return nil
}

// smallIntegers are a table whose products are exact.
func smallIntegers(n, d int) Table {
	x := Table{Data: make([]float32, n*d), N: n, D: d}
	words := philox.New(uint64(n), "factors").Sequence(0, 0)
	for i := range x.Data {
		x.Data[i] = float32(words.Below(7)) - 3
	}
	return x
}

// A ranking by tables is that by scores, with any kernels and threads. Elements are small integers: the scores are exact, and many tie.
func TestRankFactored(t *testing.T) {
	const users, items, d = 250, 900, 5
	f := &factors{users: smallIntegers(users, d), items: smallIntegers(items, d)}
	train := random(t, users, items, "train", func(u int) float64 { return .02 * float64(u%50) })
	p := Protocol{Targets: random(t, users, items, "test", func(int) float64 { return .02 }), K: []int{5, 20}, Seed: 3, Threads: 1}
	p.Mask = append(p.Mask, train, random(t, users, items, "valid", func(int) float64 { return .01 }))
	want := rank(t, f, p)
	scored := f.scored
	for _, set := range cpu.Sets() {
		f.kernels = &set
		for _, p.Threads = range []int{1, 3} {
			if got := rank(t, f, p); !reflect.DeepEqual(got, want) {
				t.Errorf("%s, %d threads: another report", set.Name(), p.Threads)
			}
		}
	}
	if f.scored != scored {
		t.Error("a ranking by tables called Score")
	}

	p.Candidates = 30
	rank(t, f, p)
	if p.Candidates = 0; f.scored == scored {
		t.Error("a sampled ranking did not call Score")
	}
	f.items.Data[700*d], f.items.Data[800*d] = float32(math.NaN()), float32(math.NaN())
	guilty := fmt.Sprintf("user %d and item 700 is NaN", want.Users[0])
	if _, err := Rank(context.Background(), f, p); err == nil || !strings.Contains(err.Error(), guilty) {
		t.Errorf("the error is %v, want %s", err, guilty)
	}
	ended, end := context.WithCancel(context.Background())
	end()
	if _, err := Rank(ended, f, p); err != context.Canceled {
		t.Errorf("where the context has ended the error is %v", err)
	}
}
